#pragma once
#include <memory>
#include <optional>
#include <set>

#include "node/replica.h"
#include "node/verify_file.h"
#include "protocol/member.h"
#include "storage/index.h"
#include "storage/kv.h"
#include "tests/sim/application.h"
#include "tests/sim/checkers.h"
#include "tests/sim/network.h"

namespace syncline::sim {

NodeId node_id(std::size_t number);
Folder::Identity folder_identity();  // of every node: one cluster

// One machine: a disk, a clock, applications, and (while it runs) the node's process: index, folder and
// replica, put together as the real node does, but with simulated delays in place of threads.
class Node {
 public:
  Node(World& world, std::size_t number, Network& network);
  ~Node();

  void start();
  // kill -9, or the loss of power, after `operations` more operations on the disk, or soon in any case.
  void crash(bool power, std::uint64_t operations);
  // A backup of the machine at rest; nothing while an application has a file open.
  void take_image();
  // The machine dies and starts again as it was in the image, its own or another machine's. `elsewhere`: of what is
  // lost by that, what others have.
  using Elsewhere = std::function<bool(const std::string& path, const std::optional<State>& state)>;
  void return_to_image(const Elsewhere& elsewhere);
  void become_copy_of(Node& other, const Elsewhere& elsewhere);
  void run_application(const Step& step);
  void finish_holds();
  void feed(const Event& event);
  void resolve(const std::string& path, bool restore);
  void revert(const std::string& path);
  // It sends and receives from now on, whatever it did before.
  void end_mode();
  FolderMode mode() const { return mode_; }
  void jump_clock(std::int64_t ms) { jump_ms_ += ms; }
  void lose_events(std::uint64_t ms);
  void disk_full(std::uint64_t ms);
  void disk_broken(std::uint64_t ms, const std::string& path);
  // The file operation of that number from now on fails.
  void glitch(std::uint64_t operations);
  using Whole = std::function<bool(const std::string& path, const State& state)>;
  void rot(const std::string& path, const Whole& is_elsewhere);
  bool has_rot();
  void verify();  // with --repair
  void ambush(std::uint64_t ms) { ambush_until_us_ = world_.queue.now_us() + ms * 1000; }
  void rescan();
  void heal();

  // Membership. Who is told: somebody has read that this node has left.
  void put_departure(const Departure& departure);
  std::optional<MemberState> departure() const;  // its own, as far as it knows
  bool lists(std::size_t peer) const;            // as a member; as it was when it last ran
  bool keeps_links() const;
  void set_leaving() { leaving_ = true; }  // its applications have stopped
  bool leaving() const { return leaving_; }
  void set_told() { told_ = true; }
  void set_gone() { gone_ = true; }
  bool gone() const { return gone_; }

  // The folder is not this node's any more: nobody looks at it, and it stays as it is. Then it is taken up again.
  void give_up();
  void take_up();
  bool has_folder() const { return !given_up_; }
  std::vector<std::string> given_away();  // paths that belong to the node's user, and should to the site's

  void pause();
  void unpause();

  // Whether this node has this state of the path, or knows of its deletion.
  bool knows(const std::string& path, const std::optional<State>& state) const;
  bool powered() const { return powered_; }
  bool running() const { return process_ != nullptr; }
  bool linkable() const { return process_ != nullptr && process_->scanned; }
  // Nothing is under way but gossip, as far as can be told from here.
  bool idle() const;
  std::uint64_t pending() const;
  bool has_conflict_bytes() const;  // of every open conflict
  bool searches_in_vain() const;    // for bytes that a loss of power has taken
  std::string why_busy() const;
  const VersionVector& vector() const;
  const Index& index() const { return *process_->index; }
  std::uint64_t starts() const { return processes_; }
  std::uint64_t wall_ms() const;
  std::size_t number() const { return number_; }
  const std::string& name() const { return name_; }
  NodeView view();  // for the checkers
  std::optional<Shown> shown(const std::string& path);
  Tree tree();
  bool is_written_to() const { return application_->holds_any(); }
  bool is_being_written(const std::string& path) const { return application_->holds(path); }
  bool is_told(const std::string& path, const State& state) const;
  bool paused() const { return process_ && process_->paused; }
  bool has_lost_events() const { return events_lost_until_us_ > 0; }
  std::uint64_t power_losses() const { return power_losses_; }
  std::uint64_t images() const { return disks_ - 1; }  // that its disk was set back to
  Replica& replica() { return *process_->replica; }
  Now now() const { return {world_.queue.now_us() / 1000, wall_ms()}; }

  // Set by whoever asks: WaitOver and FindOver; and that the power has failed.
  std::function<void(const Effect& effect)> answered;
  std::function<void()> on_power_loss;

 private:
  struct Strand {
    std::uint64_t free_us = 0, told_us = 0;
  };
  struct Process {
    std::uint64_t id = 0;
    std::unique_ptr<Index> index;
    std::unique_ptr<Folder> folder;
    std::unique_ptr<Replica> replica;
    bool scanned = false;
    bool paused = false;
    std::size_t under_way = 0;    // looks and jobs
    std::multiset<std::string> closed;  // after writing, and not looked at since
    std::size_t first_looks = 0;  // of the first scan, not told yet
    std::size_t first_scans = 0;  // and those that were ordered like it, for changed rules or after a pause, not over yet
    std::shared_ptr<const IgnoreRules> rules = std::make_shared<IgnoreRules>();
    std::map<std::string, Strand> strands;
    std::uint64_t tick_at_us = UINT64_MAX;
    bool group_planned = false;
  };

  bool has_bytes(const Conflict& conflict) const;
  bool may_be_gone(const Conflict& conflict) const;
  // Runs `what` later, unless the process has died by then.
  void later(std::uint64_t us, std::function<void()> what);
  void carry_out(std::vector<Effect> effects);
  void send(Send& effect);
  void plan_tick();
  void plan_group(std::uint64_t within_us);
  void group_commit();
  // Calls the folder in its turn on the strand, and gives what comes out to the replica later, in the
  // strand's order.
  void on_strand(const std::string& strand, std::uint64_t delay_us,
                 std::function<std::function<void()>()> work);
  void start_job(FileJob job);
  void look(const std::string& path, bool force, std::uint64_t delay_us, bool at_start = false,
            unsigned attempts = 0, bool asked = false, bool written = false);
  void look_below(const std::string& path);
  std::vector<std::string> all_paths();
  bool is_noticed(const std::string& path);
  void read_rules(bool at_start);
  void first_scan();
  void first_scan_over();
  void scan_slice(std::shared_ptr<std::vector<std::string>> paths, std::size_t from, bool at_start);
  void clean();
  void settle_limbo();
  void notice(const std::vector<Notice>& notices);
  bool is_rotten(const std::string& path);
  bool touches_rot(const std::string& path);
  void verified(const std::string& path, const DiskState& known, bool rotten, Verdict verdict, const Hash128& found);
  void before_operation(const MemoryFileSystem::Access& access);
  bool died_in_call();
  void die();
  void lose_power();
  void forget_folder();
  bool has_seen_all() const;
  struct Image {
    std::unique_ptr<MemoryFileSystem> disk;
    std::unique_ptr<MemoryKv> kv;
    std::size_t writes = 0;  // of the history
    std::vector<std::pair<std::string, State>> untold;  // what the disk shows and the index does not know
  };
  std::optional<Image> make_image();
  void put_image(const Image& image, std::size_t since, const Elsewhere& elsewhere);
  void set_up_disk(std::unique_ptr<MemoryFileSystem> disk);
  MemoryFileSystem::ClockNs disk_clock();
  void heal_disk();
  void set_disk_abilities();
  void set_owners();
  void check_shown(const std::string& path);
  std::uint64_t draw(std::uint64_t max_us) { return max_us == 0 ? 0 : random_.below(max_us + 1); }

  World& world_;
  std::size_t number_;
  std::string name_;
  Network& network_;
  Random random_;
  FolderMode mode_ = FolderMode::send_receive;
  std::string rules_text_;
  std::uint64_t rules_since_us_ = 0;
  std::int64_t skew_ms_ = 0, jump_ms_ = 0, drift_ppm_ = 0;
  std::unique_ptr<MemoryFileSystem> disk_;
  std::unique_ptr<MemoryKv> kv_;
  std::unique_ptr<Application> application_;
  std::unique_ptr<Process> process_;
  std::optional<Image> image_;
  std::uint64_t processes_ = 0, disks_ = 0, power_losses_ = 0;
  bool powered_ = true;
  bool in_call_ = false, in_hook_ = false;
  bool crash_armed_ = false, crash_by_power_ = false;
  std::uint64_t crash_operations_ = 0;
  bool halted_ = false;
  std::uint64_t ambush_until_us_ = 0, ambush_in_ = 0;
  bool leaving_ = false, told_ = false, gone_ = false;
  bool given_up_ = false, forgotten_ = false;
  Tree left_;              // what was there when it was given up,
  std::size_t left_at_ = 0;  // and how much had been written
  std::uint64_t glitch_in_ = 0;
  bool glitched_ = false;
  std::map<std::string, std::size_t> rotten_;  // path: content
  std::string applying_;
  std::uint64_t events_lost_until_us_ = 0;
};

}  // namespace syncline::sim

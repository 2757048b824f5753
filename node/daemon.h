#pragma once
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/agent_server.h"
#include "node/control_server.h"
#include "node/executor.h"
#include "node/file_source.h"
#include "node/folder_runner.h"
#include "node/home.h"
#include "node/http_server.h"
#include "node/invites.h"
#include "node/join.h"
#include "node/loop.h"
#include "node/path_key.h"
#include "node/replica.h"
#include "node/transport.h"
#include "storage/index.h"

namespace syncline {

// A folder that this node has, as it runs.
struct LocalFolder {
  HomeFolder home;
  std::shared_ptr<FolderSlot> slot = std::make_shared<FolderSlot>();
  std::unique_ptr<FolderRunner> runner;  // null: it is being removed, and what it was doing has ended
  std::string forgotten;                 // being removed: so far the index has been told
  FolderId id() const { return home.id; }
  const std::string& path() const { return home.config.path; }
};

// A running node: the replica, and around it the links, the folder, the index, the control socket and HTTP.
// Everything that decides is in the replica; this carries events to it and its effects out. Lives on the
// loop's thread.
class Daemon : private TransportHandler, private ControlHandler, private FileSource {
 public:
  // Error: one line for the administrator.
  static Result<std::unique_ptr<Daemon>> create(Home home);
  ~Daemon() override;
  // Until SIGTERM or SIGINT. The error that ended it, if it was not asked to stop.
  Status run();

 private:
  explicit Daemon(Home home);
  Status open_index();
  void open_replica();
  Status open_links();

  // daemon.cpp: the cycle
  void tell(Event event) { events_.push_back(std::move(event)); }
  void cycle();
  void process();
  bool commit();
  void execute(Effect& effect);
  void send(Send& message);
  void send_waiting(const NodeId& peer, Lane lane);
  void start_job(FileJob job);
  Now now() const;

  // daemon_folders.cpp
  LocalFolder& first_folder() const { return *folders_.front(); }
  LocalFolder* folder(FolderId id) const;                  // null: this node does not have it
  LocalFolder* folder_named(const std::string& name) const;  // the same; one that is being removed is not had
  std::string folder_name(FolderId id) const;
  FolderRunner* runner(FolderId id) const;
  LocalFolder& open_folder(HomeFolder home);
  // Which folder, and what in it: `path` as given on the command line; `name` may be empty.
  struct Place {
    LocalFolder* folder = nullptr;
    std::string path;
  };
  Result<Place> place_of(const std::string& name, const std::string& path) const;
  Result<LocalFolder*> folder_or_error(const std::string& name) const;
  std::vector<ClusterFolder> cluster_folders() const;
  FolderStatus folder_status(const LocalFolder& folder) const;
  Status save_folders() const;
  Result<ControlReply> on(const FolderAddRequest& request);
  Result<HomeFolder> new_folder(const FolderAddRequest& request) const;
  Result<LocalFolder*> set_paused(const std::string& name, bool paused);
  Result<ControlReply> on(const FolderPauseRequest& request);
  Result<ControlReply> on(const FolderResumeRequest& request);
  void remove_folder(const FolderRemoveRequest& request, ControlAnswer answer);
  void check_removals();

  // daemon_members.cpp
  void publish_self();
  void update_members();
  const Member* member(const NodeId& node) const;
  std::string name_of(const NodeId& node) const;
  std::string writer_name(const ActorId& actor) const;

  // daemon_verify.cpp
  struct Verify;
  void verify(const VerifyRequest& request, ControlAnswer answer);
  void go_on_verifying();
  void check_verify();
  void compare_with_peers(VerifyReply& reply) const;
  std::string shown_path(FolderId id, const std::string& path) const;

  // daemon_leave.cpp
  bool is_gone() const;
  bool keeps_links() const;
  void put_departure(const NodeId& node, MemberState state, const NodeId& by);
  void leave(const LeaveRequest& request, ControlAnswer answer);
  void check_leaves();
  Result<ControlReply> on(const EvictRequest& request);
  void disowned(const NodeId& peer) override;

  // TransportHandler
  void link_up(const NodeId& peer) override;
  void link_down(const NodeId& peer, const std::string& reason) override;
  void tell_paths();
  void dial_failed(const NodeId& peer, const std::string& reason) override;
  void caller_refused(const std::string& address, const std::string& reason) override;
  void received(const NodeId& peer, Lane lane, BytesView message) override;
  void writable(const NodeId& peer, Lane lane) override;
  std::optional<Key32> token_secret(const std::array<std::uint8_t, 8>& token_id) override;
  void join_opened(JoinLinkId link, const Key32& newcomer, const std::array<std::uint8_t, 8>& token_id,
                   const std::string& address) override;
  void join_received(JoinLinkId link, BytesView message) override;
  void join_closed(JoinLinkId link, const std::string& reason) override;

  // ControlHandler: daemon_control.cpp
  void handle(const ControlRequest& request, ControlAnswer answer) override;
  Result<ControlReply> on(const StatusRequest& request);
  Result<ControlReply> on(const MembersRequest& request);
  Result<ControlReply> on(const InviteRequest& request);
  Result<ControlReply> on(const ConflictsRequest& request);
  Result<ControlReply> on(const ConflictShowRequest& request);
  Result<ControlReply> on(const ConflictRestoreRequest& request);
  Result<ControlReply> on(const ConflictDropRequest& request);
  Result<ControlReply> on(const RevertRequest& request);
  void wait(const WaitRequest& request, ControlAnswer answer);
  void start_wait(FolderId folder, const std::string& path, const WaitRequest& request, Clock::time_point deadline,
                  ControlAnswer answer);
  void end_wait(std::uint64_t id);
  void check_wait_deadlines();
  void apply_rate();

  // daemon_ready.cpp
  static constexpr std::chrono::milliseconds kOverdueAgain{200};
  Result<ControlReply> on(const ReadyRequest& request);
  void resume(ControlAnswer answer);
  void check_resumes();
  std::string unhealthy();
  bool overdue() const;
  std::string agent_line();
  void drain(const DrainRequest& request, ControlAnswer answer);
  bool drained_by_now();
  DrainReply drain_reply() const;
  void check_drains();

  Result<Conflict> find_conflict(const std::string& id) const;
  ConflictEntry entry_of(const Conflict& conflict) const;
  ConflictSide side_of(const Record& record) const;

  // FileSource: daemon_file.cpp
  Result<OpenedFile> open(const std::string& folder, std::string& path) override;
  void find(const std::string& folder, const std::string& path, FindAnswer answer) override;
  void end_find(std::uint64_t id);

  Home home_;
  HashKey hash_key_;
  Loop loop_;
  Clock::time_point started_ = Clock::now();
  std::optional<Clock::time_point> ready_since_;  // as balancers' agents were told; of this start, or since the last `resume`
  Executor executor_;
  const std::shared_ptr<FolderSlots> open_folders_ = std::make_shared<FolderSlots>();  // what the index makes durable before itself
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<Replica> replica_;
  std::vector<std::unique_ptr<LocalFolder>> folders_;  // the one that the node was made with first, and for ever
  mutable std::mutex names_mutex_;
  std::map<std::string, FolderId> names_;  // of folders_, for HTTP's threads; "" is the first
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<AgentServer> agent_;
  std::optional<Invites> invites_;

  std::deque<Event> events_;
  std::vector<Effect> effects_;       // of steps not committed yet
  std::vector<PathKey> applied_;      // of applies whose end is among events_
  bool commit_blocked_ = false;  // no space for the index: nothing goes out until there is
  bool stopping_ = false;
  Status end_;
  Loop::Alarm* tick_ = nullptr;
  Loop::Alarm* service_ = nullptr;
  Loop::Alarm* retry_commit_ = nullptr;
  Loop::Alarm* wait_alarm_ = nullptr;
  Loop::Alarm* rate_alarm_ = nullptr;
  std::optional<std::uint64_t> rate_;  // of uploads, as last told to the transport
  Loop::Alarm* drain_alarm_ = nullptr;
  Loop::Alarm* resume_alarm_ = nullptr;
  Loop::Alarm* leave_alarm_ = nullptr;
  Loop::Alarm* verify_alarm_ = nullptr;

  std::vector<Member> members_;  // verified, this node first
  std::string members_saved_;         // text of HOME/members
  bool members_changed_ = true;
  std::map<NodeId, Clock::time_point> link_since_;
  std::set<NodeId> link_up_;
  std::map<NodeId, std::uint32_t> told_rtt_ms_;
  Clock::time_point paths_due_{};
  struct Overflow {
    std::deque<Bytes> messages;
    std::size_t bytes = 0;
  };
  std::map<std::pair<NodeId, Lane>, Overflow> overflow_;
  struct JoinLink {
    Key32 key;
    std::array<std::uint8_t, 8> token_id;
    std::string address;
  };
  std::map<JoinLinkId, JoinLink> join_links_;
  struct PendingWait {
    ControlAnswer answer;
    Clock::time_point deadline;
  };
  // Takes out those whose time is over, or all; the alarm is set for the rest, at `next` at the latest.
  static std::vector<PendingWait> take_ended(std::vector<PendingWait>& waiting, bool all, Loop::Alarm& alarm,
                                             Clock::time_point next = Clock::time_point::max());
  std::map<std::uint64_t, PendingWait> waits_;
  std::vector<PendingWait> drains_, resumes_, leaves_, verifiers_;
  std::multimap<FolderId, ControlAnswer> removals_;
  std::shared_ptr<Verify> verify_;  // the last one
  std::uint64_t verify_runs_ = 0;
  bool drain_was_early_ = false;
  std::map<std::uint64_t, std::vector<FindAnswer>> finds_;
  struct Rate {
    std::uint64_t done = 0, bytes_s = 0;
    Clock::time_point at;
  };
  std::map<PathKey, Rate> rates_;  // of transfers, between two status requests
};

}  // namespace syncline

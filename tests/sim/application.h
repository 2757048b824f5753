#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/history.h"
#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {

// What a change made by an application looks like to a watcher.
struct Notice {
  std::string path;
  bool closed_write = false;
};

// The programs that use one node's folder, and know nothing of Syncline. Whatever they do is entered in the
// history. A step that makes no sense on the tree as it is (an edit of a file that is not there) does
// nothing.
class Application {
 public:
  Application(std::size_t node, MemoryFileSystem& disk, History& history, Random random)
      : node_(node), disk_(disk), history_(history), random_(random) {}

  // The notices come new names first, as a watcher that looks at renames' targets first gives them.
  std::vector<Notice> run(const Step& step, std::uint64_t at_us);
  static bool does(Verb verb) { return verb < Verb::ambush; }
  // Ends the oldest `hold` of the path.
  std::vector<Notice> finish_hold(const std::string& path, std::uint64_t at_us);
  std::vector<Notice> finish_all(std::uint64_t at_us);
  // Open files are gone with the power.
  void lose_power() { holds_.clear(); }
  bool holds(const std::string& path) const;
  bool holds_any() const { return !holds_.empty(); }
  std::vector<std::string> held() const;
  // Writes as such programs do at a bad moment: called between two operations of the node.
  std::vector<Notice> interfere(const std::string& path, std::uint64_t at_us);

 private:
  struct Hold {
    std::string path;
    std::unique_ptr<MemoryFileSystem::Writer> writer;
    std::uint32_t mode = 0;
    std::optional<State> before;  // what is there until it is finished, and was whole
    std::string bytes;            // of the finished file
    std::size_t written = 0;
    std::uint64_t inode = 0;
    bool unlinked = false;  // its name is gone by an application's doing
  };

  std::optional<State> at(const std::string& path);
  std::optional<Shown> shown(const std::string& path) { return read_path(disk_, history_, path); }
  std::string fresh_bytes(std::size_t size);
  bool make_parents(const std::string& path);
  bool ready_for_file(const std::string& path);
  void note(const std::string& path, bool closed_write = false) { notices_.push_back({path, closed_write}); }
  void wrote(const std::string& path, std::optional<State> before, std::optional<State> after) {
    history_.wrote(at_us_, node_, path, std::move(before), std::move(after));
  }
  bool is_in_place(const Hold& hold);
  bool holds_half(const std::string& path) const;  // what is there is no version yet
  void unlink_holds(const std::string& path);
  void write(const std::string& path, const std::string& bytes, bool keep_mtime = false);
  void save(const std::string& path, const std::string& bytes);
  void edit(const std::string& path, bool sneak);
  void append(const std::string& path, std::size_t size);
  void hold(const std::string& path);
  void linger(const std::string& path);
  void change_mode(const std::string& path, std::uint32_t mode);
  void touch(const std::string& path);
  void remove(const std::string& path);
  void make_link(const std::string& path, const std::string& target);
  void rename(const std::string& from, const std::string& to);
  void swap(const std::string& a, const std::string& b);
  void move(const std::string& from, const std::string& to);

  std::size_t node_;
  MemoryFileSystem& disk_;
  History& history_;
  Random random_;
  std::uint64_t at_us_ = 0;
  std::uint64_t made_ = 0;
  std::vector<std::unique_ptr<Hold>> holds_;
  std::vector<Notice> notices_;
};

}  // namespace syncline::sim

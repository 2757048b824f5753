#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/file_system_memory.h"

// The truth that the checkers judge by: what applications did and what trees show, seen from outside. Nothing
// here knows of records, vectors or merging.
namespace syncline::sim {

// What is at a path, without its mtime: what a user would call "the same".
struct State {
  FileType type = FileType::file;
  std::size_t content = 0;  // files: History::content()
  std::uint32_t mode = 0;   // files and directories
  std::string target;       // symlinks
  auto operator<=>(const State&) const = default;
};

// One path of a tree.
struct Shown {
  State state;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  std::int64_t ctime_ns = 0;
};
using Tree = std::map<std::string, Shown>;  // without the root and without .syncline

// One thing that an application (or an administrator, or a loss of power) did to one path of one node's tree.
struct Write {
  std::size_t id = 0;
  std::uint64_t at_us = 0;
  std::size_t node = 0;
  std::string path;
  std::optional<State> before;  // what the writer had before his eyes
  std::optional<State> after;   // nullopt: a removal
  bool forgiven = false;        // a loss of power took it, as it may
  bool unfinished = false;      // a file is being written: nothing is there until it is closed
  bool racing = false;          // in the midst of an apply: the mode may come out as the other's
  bool of_untold = false;       // a removal of what an apply had made as the node was killed: it cannot know
  bool by_crash = false;        // nobody wrote it: the disk shows it after a loss of power
  bool unpublished = false;     // in a folder that only receives
  bool unwatched = false;       // the node was down, or its folder paused or publishing nothing: it is told later
  bool imaged_untold = false;   // a restored image has it, and the index with it does not: it is published once more
};

class History {
 public:
  std::size_t content(const std::string& bytes);  // the same number for the same bytes
  // Same, for bytes that are asked for again and again.
  std::size_t content(const std::shared_ptr<const std::string>& bytes);
  const std::string& bytes(std::size_t content) const { return *contents_.at(content); }

  void set_racing(bool on) { racing_ = on; }
  void set_unwatched(bool on) { unwatched_ = on; }
  // The node does not look at its folder: what it had seen of what is done there meanwhile it will not know.
  void set_away(std::size_t node, bool on) { on ? void(away_[node] = writes_.size()) : void(away_.erase(node)); }
  void set_receive_only(std::size_t node) { receive_only_.insert(node); }
  // An administrator gave up what was done here on this node.
  void reverted(std::size_t node, const std::string& path);
  // What this node has removed and cannot know of: `forgot` says so of a path and what was there.
  void removed_unknown(std::size_t node, const std::function<bool(const std::string& path, const State& before)>& forgot);
  // The node is killed, and what it made at these paths it has not been told.
  void killed(std::size_t node, std::set<std::string> untold) {
    untold_[node] = std::move(untold);
    killed_at_[node] = writes_.size();
  }
  void wrote(std::uint64_t at_us, std::size_t node, const std::string& path, std::optional<State> before,
             std::optional<State> after);
  // A file is opened to be written anew: what it held is gone.
  void begun(std::uint64_t at_us, std::size_t node, const std::string& path, std::optional<State> before);
  // A file in the course of being written: may be seen on that node, and nowhere else.
  void half_written(std::size_t node, const std::string& path, const std::string& bytes);
  // The power of `node` failed, and the disk shows `after` where `before` was.
  void lost_power(std::uint64_t at_us, std::size_t node, const std::string& path, std::optional<State> before,
                  std::optional<State> after);
  // The disk of `node` is that of an earlier moment again, when `since` writes had been made: what its
  // applications did later is lost where `elsewhere` does not know it.
  void set_back(std::size_t node, std::size_t since,
                const std::function<bool(const std::string& path, const std::optional<State>& state)>& elsewhere);
  void imaged_untold(const std::string& path, const State& state);
  // An administrator dropped or restored a conflict: the version needs no keeping any more.
  void let_go(const std::string& path, const State& state) { let_go_.insert({path, state}); }

  const std::vector<Write>& writes() const { return writes_; }
  bool is_let_go(const std::string& path, const State& state) const {
    return let_go_.contains({path, state});
  }
  // Somebody closed this content at this path, on some node, or is writing it on this one.
  bool may_show(std::size_t node, const std::string& path, const State& state) const;
  // Same, for what may be kept, restored, or seen on other nodes: only whole versions.
  bool was_written(const std::string& path, const State& state) const;
  // A loss of power took a version of this path with these bytes, perhaps before anybody else had them.
  bool may_be_gone(const std::string& path, const std::function<bool(const std::string& bytes)>& is) const;
  std::string describe(const std::optional<State>& state) const;

 private:
  void forgive_removals(std::size_t node, const std::string& lost, const State& state);

  std::unordered_map<std::string, std::size_t> numbers_;
  struct Known {
    std::shared_ptr<const std::string> bytes;  // held, so that nobody else gets its address
    std::size_t number = 0;
  };
  std::unordered_map<const std::string*, Known> known_;
  std::vector<const std::string*> contents_;
  std::vector<Write> writes_;
  bool racing_ = false, unwatched_ = false;
  std::set<std::size_t> receive_only_;
  std::map<std::size_t, std::size_t> away_;  // since so many writes
  std::map<std::size_t, std::set<std::string>> untold_;
  std::map<std::size_t, std::size_t> killed_at_;  // by number of writes
  std::set<std::pair<std::string, State>> let_go_;
  std::set<std::tuple<std::string, FileType, std::size_t, std::string>>
      showable_;  // path, type, content, target
  std::set<std::tuple<std::size_t, std::string, std::size_t>> half_written_;
};

// Reads a disk behind the node's back: no fault, hook or count is touched.
Tree read_tree(MemoryFileSystem& disk, History& history);
std::optional<Shown> read_path(MemoryFileSystem& disk, History& history, const std::string& path);

bool is_below(std::string_view path, std::string_view directory);  // or equal
std::string join(const std::string& directory, const std::string& name);

}  // namespace syncline::sim

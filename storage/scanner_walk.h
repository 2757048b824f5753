#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "protocol/ignore.h"
#include "storage/file_system.h"

namespace syncline {

// What a walk met at a path.
struct WalkEntry {
  enum class State : std::uint8_t {
    found,       // `stat` is good; of a directory, its entries follow
    unlistable,  // the same, but its entries cannot be read: nothing is known of what is below. `problem`
    unknown,     // nothing is known of the path and what is below. `problem`
    unfit,       // there, but beyond the limits of a path or name; it is not entered. `problem`
  };
  State state = State::found;
  std::string path;
  FileStat stat;
  std::string problem;
};

// Every path below `start` ("" = the root; otherwise `start` itself comes first) in preorder, names sorted
// bytewise: the order of the index. Skips `.syncline` at the root, and what the rules ignore. Follows no symlink. What vanishes
// meanwhile is left out. Holds the names of the directories on the way to the present path, and nothing else.
// One thread.
class TreeWalk {
 public:
  // `ignore` may be null, and outlives this.
  TreeWalk(FileSystem& fs, std::string start, const IgnoreRules* ignore = nullptr);
  // To be called first. The error of listing the root (only where `start` is the root).
  Status open();
  bool root_is_empty() const { return root_is_empty_; }
  // The present entry, null at the end. Valid until advance().
  const WalkEntry* current() const { return at_end_ ? nullptr : &current_; }
  void advance();

 private:
  struct Level {
    std::string directory;
    std::vector<DirectoryItem> items;     // sorted
    std::vector<Result<FileStat>> stats;  // of the items from stats_begin on
    std::size_t next = 0, stats_begin = 0;
  };

  Status enter(std::string directory);
  bool next_item();
  void arrive(Result<FileStat> stat);

  FileSystem& fs_;
  std::string start_;
  const IgnoreRules* ignore_;
  std::vector<Level> levels_;
  WalkEntry current_;
  bool at_end_ = false;
  bool root_is_empty_ = false;
};

}  // namespace syncline

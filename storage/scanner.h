#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "protocol/ignore.h"
#include "storage/index.h"
#include "storage/look.h"
#include "storage/scanner_walk.h"

namespace syncline {

struct ScanOptions {
  FolderId folder = 1;
  std::string subtree;     // "" = the whole folder; else this path and all below it
  std::string moved_from;  // where `subtree` was before a rename: every look says where its path was
  // What they ignore is not entered, compared or missed. Null: nothing is ignored.
  std::shared_ptr<const IgnoreRules> ignore;
  // Folder::check_marker. Asked after what an absence was concluded from, and before the absence is given
  // out.
  std::function<Status()> check_marker;
  // Whatever is missing was removed on purpose. Without it a scan of the whole folder does not believe that everything has gone, nor more
  // than `missing_percent` of at least kMassDelete paths.
  bool accept_deletions = false;
  std::uint32_t missing_percent = 50;  // 100: that is believed
};

inline constexpr std::uint64_t kMassDelete = 100;

struct ScanProblem {
  std::string path;
  std::string reason;  // one line for `status`
};

struct ScanSlice {
  enum class State : std::uint8_t {
    more,  // call step() again
    done,
    emptied,  // ended: the folder is empty, but the index has files (DESIGN.md, invariant 6)
    missing,  // ended: it is not empty, but much is missing (the same)
    refused,  // ended: the marker is missing or foreign, or the root cannot be read
  };
  State state = State::more;
  std::vector<Look> looks;
  std::vector<ScanProblem> problems;
  std::string reason;  // emptied, missing, refused
};

struct ScanTotals {
  std::uint64_t entries = 0;  // met on disk
  std::uint64_t indexed = 0;  // known to the index, tombstones included
  std::uint64_t changed = 0;  // looks for new or changed paths
  std::uint64_t present = 0;  // of those, the ones that were on disk when they were looked at last
  std::uint64_t absent = 0;   // of those, the ones that are missing now: looks for them
  std::uint64_t problems = 0;
};

// One scan: a merge join of a sorted walk with the index in the same order. What is equal costs one stat and
// nothing else; a look is given for every path that is new, differs or is missing. Looks for missing paths
// come last and children first, so that whoever holds the old content of something renamed meanwhile still
// has it when the new path arrives; above limits::scan_held_absences of them they come in several such
// batches, once a walk to the end has counted them and another one begun. Nothing is concluded of what cannot be read.
//
// The index may change meanwhile: that may cost a look too many, never one too few for what was there when
// the scan began. One thread, any; pause it by not calling step(). Memory: the names of one directory per
// level, and the absences held back.
class Scanner {
 public:
  Scanner(FileSystem& fs, const IndexReader& index, ScanOptions options);
  // Goes on for about `budget` entries; at most that many looks come out. Not to be called after an end.
  ScanSlice step(std::size_t budget);
  const ScanTotals& totals() const { return totals_; }

 private:
  using Indexed = std::pair<std::string, PathEntry>;

  void begin(ScanSlice& slice);
  void begin_again();
  bool believes(ScanSlice& slice);
  bool index_has_files() const;
  const Indexed* indexed();
  void join_one(ScanSlice& slice);
  void met(const WalkEntry& entry, const PathEntry* known, ScanSlice& slice);
  void missing(const Indexed& item);
  void out_of_order(const Indexed& item);
  void report(const std::string& path, std::string reason, ScanSlice& slice);
  void give_absences(std::size_t budget, ScanSlice& slice);
  void end(ScanSlice& slice, ScanSlice::State state, std::string reason = {});

  FileSystem& fs_;
  const IndexReader& index_;
  ScanOptions options_;
  std::optional<TreeWalk> walk_;
  bool begun_ = false;
  std::vector<Indexed> page_;  // of the index
  std::size_t page_at_ = 0;
  bool index_begun_ = false, index_ended_ = false;
  std::string index_after_;
  std::string blocked_;         // nothing is known of what is below this path; "" = no such
  std::vector<Look> absences_;  // held back
  bool giving_absences_ = false;
  bool believed_ = false;  // it is known that not too much is missing
  bool counting_ = false;  // to the end, to know it: nothing comes out
  bool ended_ = false;
  ScanTotals totals_;
};

}  // namespace syncline

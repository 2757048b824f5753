#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/hlc.h"
#include "protocol/ids.h"
#include "protocol/version_vector.h"

namespace syncline {

enum class Kind : std::uint8_t {
  deleted = 0,    // a tombstone
  file = 1,
  directory = 2,
  symlink = 3,
  value = 4,      // data of the cluster itself (kClusterFolder only), carried in `target`
};

// What a version of a path is, without who wrote it.
struct Content {
  Kind kind = Kind::deleted;
  Hash128 hash{};                // files: keyed XXH3-128 of all bytes
  std::uint64_t size = 0;      // files: bytes
  std::uint32_t mode = 0;      // files and directories: permission bits (07777)
  std::int64_t mtime_ns = 0;   // files, directories, symlinks: since the Unix epoch; an attribute, never the clock
  std::string target{};          // symlinks: where to; values: the payload
  bool operator==(const Content&) const = default;
};

// Whether losing `loser` to `winner` loses something a user made: same bytes, target and mode do not, nor does the
// loss of a tombstone, a directory or a cluster value. mtime alone is never worth a conflict.
bool worth_a_conflict(const Content& winner, const Content& loser);

// One version of one path (shared by every node that holds it, never changed).
struct Record {
  FolderId folder = 0;
  std::string path{};        // canonical: relative, '/' between components, none of them empty, "." or ".."
  Content content{};
  Dot dot{};                 // who wrote it
  VersionVector context{};   // the dots of this path that the writer had seen (its own dot not included)
  Hlc hlc{};                 // above that of everything in `context`
  Hash128 base{};            // files: hash of the content this was edited from, zero for none
  bool operator==(const Record&) const = default;
};

// Total order of versions of one path: the live version is the greatest ever written. Ties cannot happen between
// different versions (one actor never issues an Hlc twice).
inline bool newer(const Record& a, const Record& b) {
  return a.hlc != b.hlc ? a.hlc > b.hlc : a.dot > b.dot;
}

// A loser that the winner's writer had not seen. Replicated like a record, under its own dot; keyed by the loser's
// (folder, path, dot), so that several nodes detecting it make one entry. Monotone: open, then resolved for ever.
struct Conflict {
  Record loser{};
  Dot winner{};              // as known to the node that detected it; for display only
  Hlc detected{};
  bool resolved = false;
  Dot dot{};                 // of this entry's latest state
  bool operator==(const Conflict&) const = default;
};

// Which of two states of one conflict entry stands.
inline bool newer(const Conflict& a, const Conflict& b) {
  return a.resolved != b.resolved ? a.resolved : a.dot > b.dot;
}

// The folder's own directory: only its attributes are a record.
inline constexpr std::string_view kRootPath = ".";

// True for a path that every platform-independent rule allows (see Record::path) and that is within the limits.
bool is_canonical_path(std::string_view path);
// "a/b/c" -> "a/b"; "" for a path at the root.
std::string_view parent_path(std::string_view path);

}  // namespace syncline

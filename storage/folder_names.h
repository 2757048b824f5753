#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "protocol/ids.h"

// Names inside .syncline/. Hashes are in hexadecimal, numbers too; what does not parse is not ours and is
// left alone.
namespace syncline::folder_names {

inline constexpr std::string_view kMarker = ".syncline/folder";
inline constexpr std::string_view kStaging = ".syncline/staging";
inline constexpr std::string_view kVersions = ".syncline/versions";

// What is being built lies in directories of its own below staging/, in turn: on ext4 each has its place on the disk, and a worker that
// makes a file holds up only those who want the same directory.
inline constexpr unsigned kBuildingDirectories = 64;
std::string building_directory(unsigned i);  // i < kBuildingDirectories

std::string staged(const Hash128& hash);    // complete and verified by this process
std::string part(const Hash128& hash);      // incomplete, or not verified since the start
std::string progress(const Hash128& hash);  // 8 bytes, big-endian: contiguous bytes of a part that has gaps
std::string version(const Hash128& hash);
std::string late(const Hash128& tag);  // a note: whose bytes those in versions/ are that the index may not know yet
std::string building(std::uint64_t n);  // a new file, directory or symlink being made

// A file that is about to change places with, or has just been, what is visible: says after a crash which of
// the two it is and whether an application has changed it.
struct Swap {
  std::uint64_t n = 0;
  bool keep_old = false;        // the old content belongs under versions/
  std::uint64_t new_inode = 0;  // of the new file; 0: the path is being deleted, so this can only be the old
  Hash128 new_hash, old_hash;   // of a symlink: the hash of its target
  std::string path;             // where it is, or was, visible; "" when the name has no room for it
};
std::string swap(const Swap& swap);

// A name found in staging/ or below, taken apart. `name` may have directories in front.
struct Found {
  enum class What { staged, part, progress, building, swap, late } what = What::building;
  Hash128 hash;  // staged, part, progress; late: its tag
  Swap swap;     // of building only `n`
};
std::optional<Found> parse(std::string_view name);
std::optional<Hash128> parse_hash(std::string_view hex);

}  // namespace syncline::folder_names

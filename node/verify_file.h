#pragma once
#include "storage/folder.h"

namespace syncline {

// What `syncline verify` makes of a file that was read again.
enum class Verdict : std::uint8_t {
  whole,
  damaged,     // other bytes, though nobody has written to it
  changed,     // by an application, or by an apply since: noticed the usual way
  unreadable,
};

// `known`: what the index says is on disk; `seen`: a forced observation of it.
Verdict verdict_of(const DiskState& known, const Observation& seen);
// The kept version of this hash and size is there, with its bytes.
bool is_kept_whole(Folder& folder, const HashKey& key, const Hash128& hash, std::uint64_t size);

}  // namespace syncline

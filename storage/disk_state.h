#pragma once
#include <cstdint>

#include "protocol/record.h"

namespace syncline {

// Tells whether what is at a path is still what was looked at. Any write, rename over, chmod or utimes changes one of these.
// A fingerprint taken so soon after a write that the kernel's clock tick could hide a second one is "racy": its ctime_ns
// is 0, so that it never compares equal and the content is read again.
struct Fingerprint {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  bool operator==(const Fingerprint&) const = default;
};

// What is (or was, when last looked at) at a path. Absence is content.kind == Kind::deleted.
struct DiskState {
  Content content;
  Fingerprint print;
  bool operator==(const DiskState&) const = default;
  bool present() const { return content.kind != Kind::deleted; }
};

}  // namespace syncline

#pragma once
#include <functional>
#include <memory>

#include "protocol/content_hash.h"
#include "protocol/signature.h"
#include "storage/file_system.h"

namespace syncline {

// What reading a whole file found.
struct HashedFile {
  Hash128 hash;
  std::shared_ptr<const Bytes> content;        // of at most limits::inline_content_bytes
  std::shared_ptr<const Signature> signature;  // of at least limits::signature_min_file_bytes
};

// Reads exactly `size` bytes from the start. Error::busy if the file is shorter. `between` is called after
// every MiB or so of a large file; its error ends the reading.
Result<HashedFile> hash_file(File& file, std::uint64_t size, const HashKey& key,
                             const std::function<Status()>& between = {});

}  // namespace syncline

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

// Hands the bytes [from, to) to `take` in order, a MiB or so at a time. Error::busy if the file is shorter; an error of `take` ends it.
Status read_pieces(File& file, std::uint64_t from, std::uint64_t to, const std::function<Status(BytesView)>& take);

// Reads exactly `size` bytes from the start. Error::busy if the file is shorter. `between` is called after
// every MiB or so of a large file; its error ends the reading.
Result<HashedFile> hash_file(File& file, std::uint64_t size, const HashKey& key,
                             const std::function<Status()>& between = {});

}  // namespace syncline

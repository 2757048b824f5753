#pragma once
#include <cstdint>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/content_hash.h"
#include "protocol/error.h"
#include "protocol/ids.h"
#include "protocol/limits.h"

namespace syncline {

// What a node keeps of a file's last synced version, so that it can make a delta to the next one without
// having the old bytes: two sums for each block, 20 bytes. Block i is the bytes [i * block_bytes, i *
// block_bytes + block_length(i)).
struct Signature {
  std::uint32_t block_bytes = limits::delta_block_bytes;  // a power of two within the limits
  std::uint64_t file_bytes = 0;
  Hash128 file_hash;                // of the whole file
  std::vector<std::uint32_t> weak;  // weak_sum() of each block
  std::vector<Hash128> strong;      // HashKey::hash() of each block
  bool operator==(const Signature&) const = default;

  std::size_t blocks() const { return strong.size(); }
  // Below block_bytes only for the last block of a file that is not a multiple of it.
  std::uint32_t block_length(std::size_t block) const;
};

// The smallest block size (not below limits::delta_block_bytes) with which a file of this size stays within
// limits::signature_bytes: 4 KiB up to some 200 GiB.
std::uint32_t signature_block_bytes(std::uint64_t file_bytes);

// Makes a signature of content that arrives in pieces, in order, together with the hash of the whole: a
// drop-in for ContentHasher where a file is read anyway. One thread; must not outlive the key.
class SignatureBuilder {
 public:
  explicit SignatureBuilder(const HashKey& key, std::uint32_t block_bytes = limits::delta_block_bytes);

  void update(BytesView piece);
  Hash128 file_hash() const { return file_.digest(); }  // of everything so far, also where finish() refuses
  // Ends the content; the builder is spent. Error full where the signature would exceed
  // limits::signature_bytes.
  Result<Signature> finish();

 private:
  void add_blocks(BytesView piece);
  void add_block(BytesView block);

  const HashKey& key_;
  ContentHasher file_;
  Signature out_;
  Bytes partial_;  // the beginning of a block, shorter than block_bytes
  bool over_limit_ = false;
};

// The form in which a signature is stored (DELTA.md, "Signature"); at most limits::signature_bytes.
Bytes encode_signature(const Signature& signature);
// Error invalid for anything that encode_signature() cannot have written; allocates no more than
// encoded.size().
Result<Signature> decode_signature(BytesView encoded);

}  // namespace syncline

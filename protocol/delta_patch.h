#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "protocol/content_hash.h"
#include "protocol/delta.h"

namespace syncline {

// Takes the target's bytes in order, in pieces of at most limits::range_bytes; its error ends the patch.
using PatchOutput = std::function<Status(BytesView piece)>;

// Turns a delta that arrives in pieces into the target, given the base. The delta is not trusted: every
// length and offset is checked against `expected` before it is acted on, memory stays below 4 MiB, and no
// more than the announced number of bytes is ever put out. What was put out is the target only once finish()
// has returned success. One thread.
class DeltaPatcher {
 public:
  // `expected` is what the caller knows from the record; a delta with another header is Error invalid. `key`
  // makes finish() check the target's hash; without it the caller must (it may be hashing anyway, in a
  // SignatureBuilder). The key must outlive the patcher.
  DeltaPatcher(const DeltaHeader& expected, ReadAt base, PatchOutput output, const HashKey* key);
  ~DeltaPatcher();

  // Errors: invalid (malformed), those of the base and of the output; busy where the base is shorter than
  // announced. An error is final: every later call returns it again.
  Status update(BytesView piece);
  // Error invalid also where the delta is cut short or the hash differs (the base was not what it was
  // believed to be).
  Status finish();

  std::uint64_t written() const { return written_; }

 private:
  enum class State { header, operation, literal, packed, ended };
  Status step(BytesView& piece);
  Status read_header(BytesView& piece);
  Status read_operation(BytesView& piece);
  Status start_operation(std::uint64_t code, std::uint64_t argument);
  Status read_literal(BytesView& piece);
  Status read_packed(BytesView& piece);
  Status copy(std::uint64_t offset, std::uint64_t bytes);
  Status put(BytesView bytes);

  const DeltaHeader expected_;
  const ReadAt base_;
  const PatchOutput output_;
  std::optional<ContentHasher> hasher_;
  State state_ = State::header;
  Bytes held_;               // the part of a header, an operation or a packed chunk that has come
  std::uint64_t bytes_ = 0;  // target bytes that the current literal still yields
  std::size_t packed_bytes_ = 0;
  std::uint64_t base_at_ = 0;  // base offset at which the next copy is expected
  std::uint64_t written_ = 0;
  struct Unpacker;
  std::unique_ptr<Unpacker> unpacker_;
  Bytes buffer_;
  Status failed_;
};

// The whole at once, hash checked.
Status apply_delta(BytesView delta, const DeltaHeader& expected, const ReadAt& base,
                   const PatchOutput& output, const HashKey& key);

}  // namespace syncline

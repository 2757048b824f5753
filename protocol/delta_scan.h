#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/delta_index.h"
#include "protocol/delta_source.h"
#include "protocol/signature_weak.h"

namespace syncline {

// One piece of the new content, in its order: bytes of the base (from `offset` of the base), or bytes that
// only the new content has (at `offset` of the new content).
struct DeltaOp {
  enum class Kind : std::uint8_t { copy, literal };
  Kind kind = Kind::literal;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool operator==(const DeltaOp&) const = default;
};

// Appends, merging with the last one where the two are one run.
void append(std::vector<DeltaOp>& ops, const DeltaOp& op);

// Finds the blocks of a base in one segment of new content. While the content goes on as the base does, it
// costs one strong hash a block; where it stops doing so (a gap) the weak sum rolls over it, byte by byte,
// until some block of the base matches or the base's own course is met again. One thread; several scanners
// may share all that they refer to.
class DeltaScanner {
 public:
  // `own`: the target's signature, or null.
  DeltaScanner(const Signature& base, const HashKey& key, const BlockIndex& index, const DeltaSource& target,
               const Signature* own = nullptr);

  // Covers [begin, end) of the target and, where a block begins before `end`, a little more (less than two
  // blocks). `next` is the block expected at `begin`, base.blocks() or above for none.
  Result<std::vector<DeltaOp>> scan(std::uint64_t begin, std::uint64_t end, std::uint64_t next);

  // Where the last scan came to, and the block that it expected there: what a scan that goes on from it
  // starts with.
  std::uint64_t position() const { return at_; }
  std::uint64_t next() const { return next_; }
  // Strong hashes of windows in a gap that were computed in vain.
  std::uint64_t false_alarms() const { return false_alarms_; }

 private:
  bool matches(std::uint64_t at, std::uint64_t block);
  void take(std::uint64_t block);
  void skip(std::uint64_t bytes);
  void gap();
  bool gap_round(WeakSum& sum, bool& rolling);
  void tail();
  std::optional<std::uint32_t> roll(const char* window, std::uint64_t count, WeakSum& sum,
                                    std::uint64_t& rolled);
  std::optional<std::uint32_t> confirm(const char* window, std::uint32_t weak);

  const Signature& base_;
  const HashKey& key_;
  const BlockIndex& index_;
  const DeltaSource& target_;
  const Signature* const own_;
  SourceWindow window_;
  const std::uint64_t block_bytes_;
  const RollBatch roll_batch_ = best_roll_batch();
  std::uint64_t at_ = 0, end_ = 0, next_ = 0;
  std::uint64_t false_alarms_ = 0, rolled_bytes_ = 0;
  std::vector<DeltaOp> ops_;
};

}  // namespace syncline

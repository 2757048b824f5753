#pragma once
#include <cstdint>
#include <vector>

#include "protocol/signature_weak.h"

namespace syncline {

// A set of weak sums that may also claim a few (1-2 %) that it was never given: two bits of one 32-bit word,
// so that the rolling scan pays one memory access for each byte. 16 to 32 bits a sum: for 1 GiB of base half
// of an L2 cache.
struct WeakFilter {
  explicit WeakFilter(std::size_t sums = 0);
  void add(std::uint32_t weak);
  bool may_have(std::uint32_t weak) const {
    const std::uint32_t word = words[weak >> word_shift];
    return ((word >> (weak >> bit_shift & 31)) & (word >> (weak >> bit2_shift & 31)) & 1) != 0;
  }

  std::vector<std::uint32_t>
      words;  // a power of two of them, indexed by the best mixed, the high, bits of a sum
  unsigned word_shift, bit_shift, bit2_shift;
};

inline constexpr std::size_t kRollBatch = 64;

// The sums of `count` <= kRollBatch windows of 1 << block_bits bytes, each one byte on from the last: into
// weak[i] goes that of the window at leaving + i, and bit i of the result says whether the filter may have
// it. `sum` enters as that of the first and leaves as that of the window at leaving + count, hence `count`
// bytes at leaving and at entering = leaving + (1 << block_bits) are read.
using RollBatch = std::uint64_t (*)(const WeakFilter& filter, const char* leaving, unsigned block_bits,
                                    std::size_t count, WeakSum& sum, std::uint32_t* weak);

std::uint64_t roll_batch_portable(const WeakFilter& filter, const char* leaving, unsigned block_bits,
                                  std::size_t count, WeakSum& sum, std::uint32_t* weak);
// The fastest that this processor has; all give the same results.
RollBatch best_roll_batch();

}  // namespace syncline

#include "protocol/delta_index.h"

namespace syncline {

// A bound on the work for one weak sum, however the sums were prepared. At a load of 2/3 honest sums sit
// within ten or so slots of their own.
static constexpr std::size_t kProbesMax = 64;

BlockIndex::BlockIndex(const Signature& base)
    : base_(base),
      full_blocks_(static_cast<std::uint32_t>(base.file_bytes / base.block_bytes)),
      filter_(full_blocks_) {
  slots_.resize(std::size_t{full_blocks_} * 3 / 2 + 1);
  for (std::uint32_t block = 0; block < full_blocks_; ++block) insert(block);
}

void BlockIndex::insert(std::uint32_t block) {
  const std::uint32_t weak = base_.weak[block];
  std::size_t slot = slot_of(weak);
  for (std::size_t probe = 0; probe < kProbesMax; ++probe) {
    Slot& held = slots_[slot];
    if (held.block_plus_1 == 0) {
      held = {weak, block + 1};
      filter_.add(weak);
      return;
    }
    if (held.weak == weak && base_.strong[held.block_plus_1 - 1] == base_.strong[block]) return;
    if (++slot == slots_.size()) slot = 0;
  }
}

// The first block with this weak sum that is wanted.
template <class Wanted>
std::optional<std::uint32_t> BlockIndex::lookup(std::uint32_t weak, const Wanted& wanted) const {
  std::size_t slot = slot_of(weak);
  for (std::size_t probe = 0; probe < kProbesMax && slots_[slot].block_plus_1 != 0; ++probe) {
    const std::uint32_t block = slots_[slot].block_plus_1 - 1;
    if (slots_[slot].weak == weak && wanted(block)) return block;
    if (++slot == slots_.size()) slot = 0;
  }
  return std::nullopt;
}

bool BlockIndex::has(std::uint32_t weak) const {
  return lookup(weak, [](std::uint32_t) { return true; }).has_value();
}

std::optional<std::uint32_t> BlockIndex::find(std::uint32_t weak, const Hash128& strong) const {
  return lookup(weak, [&](std::uint32_t block) { return base_.strong[block] == strong; });
}

}  // namespace syncline

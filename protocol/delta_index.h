#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/delta_roll.h"
#include "protocol/signature.h"

namespace syncline {

// Finds a block of full length by its sums. Blocks of equal content count once (the first of them); where
// somebody has prepared many blocks whose weak sums collide, the later ones are left out: that costs bytes on
// the wire, never time. Some 16 bytes a block. Immutable; the signature must outlive it.
class BlockIndex {
 public:
  explicit BlockIndex(const Signature& base);

  // False means that no block has this weak sum: to be asked before has(), which asks the table.
  const WeakFilter& filter() const { return filter_; }
  bool has(std::uint32_t weak) const;
  std::optional<std::uint32_t> find(std::uint32_t weak, const Hash128& strong) const;
  bool empty() const { return full_blocks_ == 0; }

 private:
  void insert(std::uint32_t block);
  template <class Wanted>
  std::optional<std::uint32_t> lookup(std::uint32_t weak, const Wanted& wanted) const;
  std::size_t slot_of(std::uint32_t weak) const {
    return static_cast<std::size_t>(std::uint64_t{weak} * slots_.size() >> 32);
  }

  const Signature& base_;
  std::uint32_t full_blocks_;
  WeakFilter filter_;
  struct Slot {  // both in one cache line: most lookups are false alarms of the filter
    std::uint32_t weak = 0;
    std::uint32_t block_plus_1 = 0;  // 0 for none
  };
  std::vector<Slot> slots_;  // open addressing
};

}  // namespace syncline

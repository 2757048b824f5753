#include "protocol/delta_scan.h"

#include <algorithm>
#include <array>
#include <bit>

namespace syncline {
namespace {

// Weak sums can be made to collide on purpose, and then each byte would cost the strong hash of a block. One
// false alarm in 64 bytes keeps the scan above 100 MB/s; chance brings one in 160 at the largest signature
// allowed.
constexpr std::uint64_t kBytesPerFalseAlarm = 64;
constexpr std::uint64_t kFalseAlarmsFree = 1024;

}  // namespace

void append(std::vector<DeltaOp>& ops, const DeltaOp& op) {
  if (op.bytes == 0) return;
  if (!ops.empty() && ops.back().kind == op.kind && ops.back().offset + ops.back().bytes == op.offset) {
    ops.back().bytes += op.bytes;
  } else {
    ops.push_back(op);
  }
}

DeltaScanner::DeltaScanner(const Signature& base, const HashKey& key, const BlockIndex& index,
                           const DeltaSource& target, const Signature* own)
    : base_(base),
      key_(key),
      index_(index),
      target_(target),
      own_(own != nullptr && own->block_bytes == base.block_bytes && own->file_bytes == target.bytes ? own : nullptr),
      window_(target),
      block_bytes_(base.block_bytes) {}

Result<std::vector<DeltaOp>> DeltaScanner::scan(std::uint64_t begin, std::uint64_t end, std::uint64_t next) {
  at_ = begin, end_ = end, next_ = next;
  ops_.clear();
  while (at_ < end_ && !window_.error()) {
    if (matches(at_, next_)) {
      take(next_);
    } else {
      gap();
    }
  }
  if (window_.error()) return tl::unexpected<Error>(*window_.error());
  return std::move(ops_);
}

// The strong hash alone: where this is asked, the answer is nearly always yes, and a weak sum first would
// only add to it.
bool DeltaScanner::matches(std::uint64_t at, std::uint64_t block) {
  if (block >= base_.blocks() || at >= target_.bytes) return false;
  const std::uint32_t bytes = base_.block_length(static_cast<std::size_t>(block));
  if (bytes > target_.bytes - at) return false;
  if (own_ != nullptr && at % block_bytes_ == 0 && own_->block_length(static_cast<std::size_t>(at / block_bytes_)) == bytes)
    return own_->strong[static_cast<std::size_t>(at / block_bytes_)] == base_.strong[static_cast<std::size_t>(block)];
  const char* window = window_.at(at, bytes);
  return window != nullptr && key_.hash({window, bytes}) == base_.strong[static_cast<std::size_t>(block)];
}

void DeltaScanner::take(std::uint64_t block) {
  const std::uint64_t bytes = base_.block_length(static_cast<std::size_t>(block));
  append(ops_, {DeltaOp::Kind::copy, block * block_bytes_, bytes});
  at_ += bytes;
  next_ = block + 1;
}

void DeltaScanner::skip(std::uint64_t bytes) {
  append(ops_, {DeltaOp::Kind::literal, at_, bytes});
  at_ += bytes;
}

// Entered where next_ does not match at at_; left at the end of the segment or after the first block found.
void DeltaScanner::gap() {
  if (index_.empty()) {
    while (at_ < end_ && target_.bytes - at_ >= block_bytes_) skip(block_bytes_);
    if (at_ < end_) tail();
    return;
  }
  WeakSum sum;
  bool rolling = false;  // whether `sum` is that of the window at at_
  while (at_ < end_ && !window_.error()) {
    if (target_.bytes - at_ < block_bytes_) return tail();
    if (!gap_round(sum, rolling)) return;
  }
}

// One block's length of a gap. False when the gap has ended.
bool DeltaScanner::gap_round(WeakSum& sum, bool& rolling) {
  const std::uint64_t left = target_.bytes - at_;
  const char* window = window_.at(at_, static_cast<std::size_t>(std::min(2 * block_bytes_, left)));
  if (window == nullptr) return false;
  if (!rolling) sum = WeakSum::of({window, static_cast<std::size_t>(block_bytes_)});
  rolling = true;

  // A page rewritten in place is the usual gap: if the base goes on right after it, only a block that was
  // moved to just here can be better than a literal, and there is nothing to roll over. Inside `window`, so
  // that it stays valid.
  const std::uint64_t back = next_ + 1;
  const bool goes_on = matches(at_ + block_bytes_, back);
  // The window at the very end has no byte to roll on to: it is a round of its own, as is a single window.
  const std::uint64_t count = goes_on ? 0 : std::min(block_bytes_, left - block_bytes_);
  std::uint64_t rolled = 0;
  const std::optional<std::uint32_t> found =
      count == 0 ? confirm(window, sum.value()) : roll(window, count, sum, rolled);
  skip(rolled);
  if (found) {
    take(*found);
    return false;
  }
  if (goes_on) {
    skip(block_bytes_);
    take(back);
    return false;
  }
  if (count == 0) skip(1);
  ++next_;
  return true;
}

// Less than a block is left: only the base's short last block can still fit.
void DeltaScanner::tail() {
  const std::uint64_t left = target_.bytes - at_;
  const std::uint64_t last_bytes = base_.file_bytes % block_bytes_;
  if (last_bytes != 0 && last_bytes <= left && matches(target_.bytes - last_bytes, base_.blocks() - 1)) {
    skip(left - last_bytes);
    take(base_.blocks() - 1);
  } else {
    skip(left);
  }
}

// Tries the windows that begin at window[0..count), of which count + block_bytes bytes are readable; `rolled`
// is how many were passed before the one that matched; if none did, that is all, and `sum` is that of the
// next window.
std::optional<std::uint32_t> DeltaScanner::roll(const char* window, std::uint64_t count, WeakSum& sum,
                                                std::uint64_t& rolled) {
  const auto block_bits = static_cast<unsigned>(std::countr_zero(block_bytes_));
  std::array<std::uint32_t, kRollBatch> weak;
  for (std::uint64_t begin = 0; begin < count; begin += kRollBatch) {
    const auto windows = static_cast<std::size_t>(std::min<std::uint64_t>(kRollBatch, count - begin));
    std::uint64_t maybe = roll_batch_(index_.filter(), window + begin, block_bits, windows, sum, weak.data());
    for (; maybe != 0; maybe &= maybe - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(maybe));
      const auto found = confirm(window + begin + i, weak[i]);
      if (!found) continue;
      rolled = begin + i;
      rolled_bytes_ += rolled;
      return found;
    }
  }
  rolled = count;
  rolled_bytes_ += rolled;
  return std::nullopt;
}

std::optional<std::uint32_t> DeltaScanner::confirm(const char* window, std::uint32_t weak) {
  if (!index_.has(weak)) return std::nullopt;
  if (false_alarms_ > kFalseAlarmsFree + rolled_bytes_ / kBytesPerFalseAlarm) return std::nullopt;
  const Hash128 strong = key_.hash({window, static_cast<std::size_t>(block_bytes_)});
  const std::optional<std::uint32_t> found = index_.find(weak, strong);
  if (!found) ++false_alarms_;
  return found;
}

}  // namespace syncline

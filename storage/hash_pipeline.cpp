#include "storage/hash_pipeline.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <system_error>

#include "protocol/limits.h"

namespace syncline {

static constexpr std::uint64_t kThreadedBytes = 16 << 20;  // below it a thread costs more than it saves

HashPipeline::HashPipeline(const HashKey& key, std::uint64_t file_bytes)
    : builder_(key, signature_block_bytes(file_bytes)) {
  if (file_bytes < kThreadedBytes) return;
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {  // no more threads to be had
  }
}

HashPipeline::~HashPipeline() { end(); }

void HashPipeline::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ended_ || done_ < added_; });
    if (done_ == added_) return;
    const std::size_t slot = done_ % kSlots;
    lock.unlock();
    builder_.update({slots_[slot].data(), filled_[slot]});
    lock.lock();
    ++done_;
    changed_.notify_all();
  }
}

std::span<char> HashPipeline::space() {
  std::unique_lock lock(mutex_);
  assert(!ended_);
  changed_.wait(lock, [&] { return added_ - done_ < kSlots; });
  Bytes& slot = slots_[added_ % kSlots];
  slot.resize(limits::range_bytes);
  return slot;
}

void HashPipeline::add(std::size_t bytes) {
  std::unique_lock lock(mutex_);
  const std::size_t slot = added_++ % kSlots;
  assert(bytes <= slots_[slot].size() && added_ - done_ <= kSlots);
  filled_[slot] = bytes;
  if (thread_.joinable()) return changed_.notify_all();
  builder_.update({slots_[slot].data(), bytes});
  done_ = added_;
}

void HashPipeline::update(BytesView piece) {
  if (!thread_.joinable()) return builder_.update(piece);
  while (!piece.empty()) {
    const std::span<char> into = space();
    const std::size_t bytes = std::min(piece.size(), into.size());
    std::memcpy(into.data(), piece.data(), bytes);
    add(bytes);
    piece.remove_prefix(bytes);
  }
}

SignatureBuilder& HashPipeline::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  return builder_;
}

}  // namespace syncline

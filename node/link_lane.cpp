#include "node/link_lane.h"

#include <algorithm>

#include "protocol/codec.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr std::size_t kHeadBytes = 4;

std::size_t length_of(BytesView head) {
  Reader r(head);
  return r.u32();
}

}  // namespace

void LaneSender::push(BytesView message) {
  Writer head;
  head.u32(static_cast<std::uint32_t>(message.size()));
  append(head.data(), message.size());
  append(message, 0);
  bytes_ += kHeadBytes + message.size();
}

// `more`: how much will follow, so that a chunk is allocated once.
void LaneSender::append(BytesView part, std::size_t more) {
  while (!part.empty()) {
    if (chunks_.empty() || chunks_.back()->size() == chunk_bytes_) {
      chunks_.push_back(std::make_unique<Bytes>());
      chunks_.back()->reserve(std::min(chunk_bytes_, part.size() + more));
    }
    Bytes& chunk = *chunks_.back();
    const BytesView now = part.substr(0, chunk_bytes_ - chunk.size());
    chunk += now;
    part.remove_prefix(now.size());
  }
}

std::unique_ptr<Bytes> LaneSender::pop() {
  if (chunks_.empty()) return nullptr;
  auto chunk = std::move(chunks_.front());
  chunks_.pop_front();
  bytes_ -= chunk->size();
  return chunk;
}

std::optional<BytesView> LaneReceiver::next() {
  if (taken_) {
    partial_.clear();
    taken_ = false;
  }
  if (broken_) return std::nullopt;
  const auto take = [&](std::size_t wanted) {
    const BytesView part = chunk_.substr(0, wanted - partial_.size());
    partial_ += part;
    chunk_.remove_prefix(part.size());
    return partial_.size() == wanted;
  };
  const bool whole_head_here = partial_.empty() && chunk_.size() >= kHeadBytes;
  if (!whole_head_here && partial_.size() < kHeadBytes && !take(kHeadBytes)) return std::nullopt;

  const std::size_t length = length_of(whole_head_here ? chunk_ : BytesView(partial_));
  if (length > limits::message_bytes) {
    broken_ = true;
    return std::nullopt;
  }
  if (whole_head_here && chunk_.size() >= kHeadBytes + length) {  // the common case: no copy
    const BytesView message = chunk_.substr(kHeadBytes, length);
    chunk_.remove_prefix(kHeadBytes + length);
    return message;
  }
  partial_.reserve(kHeadBytes + length);
  if (!take(kHeadBytes + length)) return std::nullopt;
  taken_ = true;
  return BytesView(partial_).substr(kHeadBytes);
}

}  // namespace syncline

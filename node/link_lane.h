#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "protocol/bytes.h"

namespace syncline {

// The messages of one lane as a stream: each is its length (u32, little-endian), then its bytes; the stream
// is cut into chunks wherever a chunk is full. A chunk is one ENet packet. Small messages share one, large
// ones span several.

// The messages that wait to be handed to ENet.
class LaneSender {
 public:
  explicit LaneSender(std::size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  void push(BytesView message);
  std::unique_ptr<Bytes> pop();  // the next chunk; nullptr: nothing waits
  std::size_t bytes() const { return bytes_; }

 private:
  void append(BytesView part, std::size_t more);

  const std::size_t chunk_bytes_;
  std::deque<std::unique_ptr<Bytes>> chunks_;
  std::size_t bytes_ = 0;
};

// Puts the messages together again.
class LaneReceiver {
 public:
  // Adds one chunk.
  void feed(BytesView chunk) { chunk_ = chunk; }
  // The next whole message of what was fed; valid until the next call. nullopt: none, feed more.
  std::optional<BytesView> next();
  // A length above limits::message_bytes was announced: the other end is broken.
  bool broken() const { return broken_; }

 private:
  BytesView chunk_;
  Bytes partial_;       // a message begun in an earlier chunk, with its length
  bool taken_ = false;  // partial_ was given out by next()
  bool broken_ = false;
};

}  // namespace syncline

#pragma once
#include <array>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>

#include "protocol/signature.h"

namespace syncline {

// A SignatureBuilder that works, for a large file, on a thread of its own while its owner reads or writes the
// next piece: both take about as long. The owner's calls come from one thread. For a smaller file, or where
// no thread is to be had, it works on the owner's. The key must outlive it.
class HashPipeline {
 public:
  HashPipeline(const HashKey& key, std::uint64_t file_bytes);
  ~HashPipeline();
  HashPipeline(const HashPipeline&) = delete;
  HashPipeline& operator=(const HashPipeline&) = delete;

  // Where the next piece goes, limits::range_bytes long; waits until there is room. add() says how much of it
  // was filled.
  std::span<char> space();
  void add(std::size_t bytes);
  // The same for a piece that is elsewhere.
  void update(BytesView piece);
  // Ends the content; after it nothing may be called but the builder's own file_hash() and finish().
  SignatureBuilder& end();

 private:
  static constexpr std::size_t kSlots = 8;
  void work();

  SignatureBuilder builder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Bytes, kSlots> slots_;
  std::array<std::size_t, kSlots> filled_{};
  std::uint64_t added_ = 0, done_ = 0;  // pieces
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace syncline

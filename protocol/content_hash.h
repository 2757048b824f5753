#pragma once
#include <memory>

#include "protocol/ids.h"

namespace syncline {

// The cluster's content hash: XXH3-128 with a 192-byte secret expanded (BLAKE2b) from the cluster's 32-byte hash key, so that
// nobody outside the cluster can prepare collisions. The key never rotates. Immutable; safe to share between threads.
class HashKey {
 public:
  explicit HashKey(const Key32& key);
  Hash128 hash(BytesView content) const;

 private:
  friend class ContentHasher;
  std::array<std::uint8_t, 192> secret_;
};

// The same hash over content that arrives in pieces, in order. One thread; must not outlive the key.
class ContentHasher {
 public:
  explicit ContentHasher(const HashKey& key);
  ~ContentHasher();
  ContentHasher(ContentHasher&&) noexcept;
  void update(BytesView piece);
  Hash128 digest() const;  // of everything so far; more may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace syncline

#pragma once
#include <cstdint>

#include "protocol/bytes.h"

namespace syncline {

// The rolling sum of a window x[0..n): a = sum of x[i], b = sum of (n - i) * x[i], both modulo 2^32; value()
// folds them into 32 bits. The idea is that of rsync (Tridgell, "Efficient Algorithms for Sorting and
// Synchronization", 1999, section 3.2) without the reduction to 16 bits, which for n = 4096 leaves b only the
// low four bits of every byte. value() is well mixed in its high bits only: index by those.
struct WeakSum {
  static constexpr std::uint32_t kMixA = 0x85EBCA6B, kMix = 0x9E3779B1;
  std::uint32_t a = 0;
  std::uint32_t b = 0;

  static WeakSum of(BytesView window);

  // Moves a window of n bytes one byte on: `out` leaves it, `in` enters.
  void roll(std::uint8_t out, std::uint8_t in, std::uint32_t n) {
    a += static_cast<std::uint32_t>(in) - out;
    b += a - n * out;
  }
  std::uint32_t value() const { return (b + a * kMixA) * kMix; }
};

inline std::uint32_t weak_sum(BytesView block) { return WeakSum::of(block).value(); }

}  // namespace syncline

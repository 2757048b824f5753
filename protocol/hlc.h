#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>

namespace syncline {

// Hybrid logical clock value (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014): 48 bits of milliseconds since
// the Unix epoch, then a 16-bit counter, in one integer whose order is the clock's order.
struct Hlc {
  std::uint64_t value = 0;

  auto operator<=>(const Hlc&) const = default;
  std::uint64_t ms() const { return value >> 16; }
  static Hlc at_ms(std::uint64_t ms) { return {ms << 16}; }
  Hlc next() const { return {value + 1}; }  // a full counter carries into the milliseconds: still greater
};

// The clock of one node. Not thread-safe.
class HlcClock {
 public:
  explicit HlcClock(Hlc start = {}) : last_(start) {}

  void observe(Hlc seen) { last_ = std::max(last_, seen); }
  // A time for a new version: above all that was ever observed or issued, and at least the physical time.
  Hlc tick(std::uint64_t physical_ms) { return last_ = std::max(last_.next(), Hlc::at_ms(physical_ms)); }
  Hlc last() const { return last_; }

 private:
  Hlc last_;
};

}  // namespace syncline

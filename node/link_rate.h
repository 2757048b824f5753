#pragma once
#include <cstddef>
#include <cstdint>

#include "node/transport.h"

namespace syncline {

// How much a node may send, on all links together: a token bucket that may be overdrawn by one chunk, which the next one then waits
// for. Its burst is what a tenth of a second brings, so that no more than that goes out at once after a pause. Time comes in.
class LinkRate {
 public:
  // Bytes a second; 0: no limit.
  void set(std::uint64_t bytes_per_second, Clock::time_point now);
  bool limited() const { return rate_ > 0; }
  // From when on the next chunk may be sent: `now` or before if at once.
  Clock::time_point free_at(Clock::time_point now) const;
  void count_sent(std::size_t bytes, Clock::time_point now);

 private:
  double level(Clock::time_point now) const;
  double burst() const;

  std::uint64_t rate_ = 0;
  double level_ = 0;  // bytes; below 0: owed
  Clock::time_point at_{};
};

}  // namespace syncline

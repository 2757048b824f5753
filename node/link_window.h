#pragma once
#include <cstdint>

#include "node/enet_link.h"

namespace syncline {

// How many bytes may be under way on one link. ENet has no congestion control of its own: with its window
// wide open a 100 Mbit/s bottleneck carries 1.7 Mbit/s. This one starts small, doubles until datagrams are
// lost or queue up, then stays near what the path was seen to deliver in one round trip, probing for more. A
// noisy line alone does not shrink it.
class LinkWindow {
 public:
  std::size_t bytes() const { return window_; }
  // Before anything is handed over. `limited`: more is waiting than the window lets out.
  void update(const EnetLink::Path& path, bool limited, Clock::time_point now);

  // On a long path a window is not sent in one burst, which no queue on the way would hold, but spread over
  // the round trip: bulk data waits until this time.
  Clock::time_point paced_until() const { return paced_until_; }
  void count_sent(std::size_t bytes, Clock::time_point now);

 private:
  void end_round(const EnetLink::Path& path, Clock::time_point now);
  void settle(std::uint64_t bdp, std::size_t keep_percent);

  std::size_t window_ = 128 * 1024;
  bool starting_ = true;  // doubling
  bool limited_ = false;  // at some time in this round
  Clock::time_point round_begin_{}, lowest_at_{}, paced_until_{};
  EnetLink::Path at_begin_;
  std::uint64_t last_acked_ = 0;
  std::uint32_t lowest_rtt_ms_ = 0, rtt_ms_ = 0;
  std::uint64_t rate_ = 0;  // bytes a second, the best of late
};

}  // namespace syncline

#include "node/link_window.h"

#include <algorithm>

#include "protocol/limits.h"

namespace syncline {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kSmallest = 32 * 1024;
constexpr std::size_t kStep = 16 * 1024;
constexpr std::size_t kDatagram = 1372;
constexpr std::size_t kLargest = limits::link_window_bytes;
constexpr std::size_t kLargestNear =
    limits::link_window_bytes / 4;  // below kNearMs more would only queue up in the kernel
constexpr std::uint32_t kNearMs = 5;
constexpr milliseconds kShortestRound{20};
constexpr std::chrono::seconds kLowestFor{30};  // routes change
constexpr milliseconds kLongestDebt{50};
constexpr milliseconds kBurst{2};               // what may leave at once after a pause
constexpr std::uint32_t kQueueMs = 25;          // delay beyond this over the lowest seen is a queue

}  // namespace

void LinkWindow::update(const EnetLink::Path& path, bool limited, Clock::time_point now) {
  if (round_begin_ == Clock::time_point{}) {
    round_begin_ = now;
    at_begin_ = path;
    last_acked_ = path.acked_bytes;
  }
  limited_ |= limited;
  rtt_ms_ = path.rtt_ms;
  if (starting_ && limited_) window_ += path.acked_bytes - last_acked_;
  last_acked_ = path.acked_bytes;
  if (now - round_begin_ >= std::max(kShortestRound, milliseconds(path.rtt_ms))) end_round(path, now);
  window_ = std::clamp(window_, kSmallest, path.rtt_ms < kNearMs ? kLargestNear : kLargest);
}

void LinkWindow::count_sent(std::size_t bytes, Clock::time_point now) {
  if (rtt_ms_ < kNearMs) return;
  // A window in less than a round trip, so that it is the window that counts; while doubling, two.
  const std::uint64_t percent = starting_ ? 200 : 120;
  const std::uint64_t ns = bytes * rtt_ms_ * 1'000'000 / window_ * 100 / percent;
  paced_until_ = std::max(paced_until_, now - kBurst) + std::chrono::nanoseconds(ns);
  // A debt from a time when the window was smaller is not paid to the end.
  paced_until_ = std::min(paced_until_, now + std::max(kLongestDebt, 2 * milliseconds(rtt_ms_)));
}

void LinkWindow::end_round(const EnetLink::Path& path, Clock::time_point now) {
  if (lowest_rtt_ms_ == 0 || path.rtt_ms <= lowest_rtt_ms_ || now - lowest_at_ > kLowestFor) {
    lowest_rtt_ms_ = std::max<std::uint32_t>(1, path.rtt_ms);
    lowest_at_ = now;
  }
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now - round_begin_).count();
  const std::uint64_t rate =
      (path.acked_bytes - at_begin_.acked_bytes) * 1'000'000 / static_cast<std::uint64_t>(us);

  // A round of few datagrams may be all repetitions: what counts is their share of a full window.
  const std::uint64_t sent = std::max<std::uint64_t>(path.sent - at_begin_.sent, window_ / kDatagram);
  const std::uint64_t lost = path.lost - at_begin_.lost;
  const bool overrun = lost * 3 > sent;  // what was delivered once does not count for long then
  rate_ = std::max(rate, rate_ - rate_ / (overrun ? 4 : 32));
  const std::uint64_t bdp = rate_ * lowest_rtt_ms_ / 1000;
  const bool queued = path.rtt_ms > 2 * lowest_rtt_ms_ + kQueueMs;
  if (overrun) {
    settle(bdp, 50);
  } else if (lost * 20 > sent || (lost > 0 && queued)) {
    settle(bdp, 70);
  } else if (queued) {
    settle(bdp + bdp / 4, 90);
  } else if (limited_ && !starting_) {
    window_ += std::max(kStep, window_ / 16);
  }
  round_begin_ = now;
  at_begin_ = path;
  limited_ = false;
}

// Down to what the path holds, but by no more than a share at a time.
void LinkWindow::settle(std::uint64_t bdp, std::size_t keep_percent) {
  starting_ = false;
  window_ = std::min<std::size_t>(window_, std::max<std::size_t>(bdp, window_ * keep_percent / 100));
}

}  // namespace syncline

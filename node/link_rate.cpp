#include "node/link_rate.h"

#include <algorithm>

namespace syncline {

namespace {
constexpr double kBurstSeconds = 0.1;
double seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }
}  // namespace

double LinkRate::burst() const { return static_cast<double>(rate_) * kBurstSeconds; }

double LinkRate::level(Clock::time_point now) const {
  return std::min(burst(), level_ + static_cast<double>(rate_) * seconds(now - at_));
}

void LinkRate::set(std::uint64_t bytes_per_second, Clock::time_point now) {
  if (bytes_per_second == rate_) return;
  const double owed = rate_ == 0 ? 0 : std::min(0.0, level(now));
  rate_ = bytes_per_second;
  level_ = owed;
  at_ = now;
}

Clock::time_point LinkRate::free_at(Clock::time_point now) const {
  if (rate_ == 0) return now;
  const double owed = -level(now);
  if (owed <= 0) return now;
  // A microsecond more, for what the conversion cuts off.
  const auto wait = std::chrono::duration<double>(owed / static_cast<double>(rate_));
  return now + std::chrono::duration_cast<Clock::duration>(wait) + std::chrono::microseconds(1);
}

void LinkRate::count_sent(std::size_t bytes, Clock::time_point now) {
  if (rate_ == 0) return;
  level_ = level(now) - static_cast<double>(bytes);
  at_ = now;
}

}  // namespace syncline

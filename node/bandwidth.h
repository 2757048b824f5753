#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace syncline {

// "20 MiB/s", "512 KiB/s", "800 kB/s", "1.5 MB/s", "100 Mbit/s"; bytes a second. "unlimited" is 0. Error::invalid.
Result<std::uint64_t> parse_rate(std::string_view text);

// A part of the day with a rate of its own: "08:00-18:00 5 MiB/s". Over midnight when it ends before it begins.
struct RatePeriod {
  std::uint32_t from_minute = 0, to_minute = 0;  // of the day, local time; to: not included
  std::uint64_t rate = 0;                        // bytes a second, 0: unlimited
  bool operator==(const RatePeriod&) const = default;
};
Result<RatePeriod> parse_rate_period(std::string_view text);

// What a node may send, all links together.
struct Bandwidth {
  std::string upload = "unlimited";   // as written: parse_rate()
  std::vector<std::string> schedule;  // as written: parse_rate_period(); the first that holds the moment counts
  bool operator==(const Bandwidth&) const = default;
  // Bytes a second at this minute of the day, 0: unlimited.
  std::uint64_t rate_at(std::uint32_t minute_of_day) const;
};

}  // namespace syncline

#include "node/bandwidth.h"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace syncline {
namespace {

constexpr std::uint64_t kRateMax = std::uint64_t{1} << 40;
constexpr double kRateMin = 1024;

std::optional<std::uint32_t> parse_minute(std::string_view text) {
  const auto two = [&](std::size_t at) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 2, value);
    if (error != std::errc{} || end != text.data() + at + 2) return std::nullopt;
    return value;
  };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = two(0), minutes = two(3);
  if (!hours || !minutes || *minutes > 59 || *hours > 24 || (*hours == 24 && *minutes > 0)) return std::nullopt;
  return *hours * 60 + *minutes;
}

}  // namespace

Result<std::uint64_t> parse_rate(std::string_view text) {
  if (text == "unlimited") return 0;
  constexpr std::array<std::pair<std::string_view, double>, 10> kUnits{{{"B/s", 1.0},
                                                                       {"kB/s", 1e3},
                                                                       {"KB/s", 1e3},
                                                                       {"MB/s", 1e6},
                                                                       {"GB/s", 1e9},
                                                                       {"KiB/s", 1024.0},
                                                                       {"MiB/s", 1048576.0},
                                                                       {"GiB/s", 1073741824.0},
                                                                       {"Mbit/s", 125e3},
                                                                       {"Gbit/s", 125e6}}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const auto& [name, bytes] : kUnits) {
    if (error != std::errc{} || unit != name) continue;
    const double rate = value * bytes;
    if (!(rate >= kRateMin && rate <= static_cast<double>(kRateMax))) break;
    return static_cast<std::uint64_t>(rate);
  }
  return fail(Error::Code::invalid, "must be \"unlimited\" or a rate of at least 1 KiB/s, like \"20 MiB/s\" or \"100 Mbit/s\"");
}

Result<RatePeriod> parse_rate_period(std::string_view text) {
  const auto bad = [] {
    return fail(Error::Code::invalid, "must be like \"08:00-18:00 5 MiB/s\" or \"22:00-06:00 unlimited\"");
  };
  if (text.size() < 13 || text[5] != '-' || text[11] != ' ') return bad();
  const auto from = parse_minute(text.substr(0, 5)), to = parse_minute(text.substr(6, 5));
  const auto rate = parse_rate(text.substr(12));
  if (!from || !to || *from == *to || !rate) return bad();
  return RatePeriod{*from, *to, *rate};
}

std::uint64_t Bandwidth::rate_at(std::uint32_t minute) const {
  for (const std::string& text : schedule) {
    const auto period = parse_rate_period(text);
    if (!period) continue;
    const bool over_midnight = period->to_minute < period->from_minute;
    const bool in = over_midnight ? minute >= period->from_minute || minute < period->to_minute
                                  : minute >= period->from_minute && minute < period->to_minute;
    if (in) return period->rate;
  }
  return parse_rate(upload).value_or(0);
}

}  // namespace syncline

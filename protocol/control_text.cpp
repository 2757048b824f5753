#include "protocol/control_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

namespace syncline {
namespace {

constexpr std::uint64_t kLastMs = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z

// Bytes of the well-formed UTF-8 sequence at the front of `text` (RFC 3629, section 4), 0 for none. `point`
// is its code point.
std::size_t sequence(std::string_view text, std::uint32_t& point) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const std::uint32_t head = at(0);
  if (head < 0x80) return point = head, 1;
  const std::size_t size = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2;
  if (head < 0xc2 || head > 0xf4 || text.size() < size) return 0;
  point = head & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (at(i) & 0x3fu);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least[size] || point > 0x10ffff || surrogate ? 0 : size;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::uint32_t point = 0; !text.empty();) {
    const std::size_t size = sequence(text, point);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

static std::string cleaned(std::string_view text, bool escape_controls) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::uint32_t point = 0;
    const std::size_t size = sequence(text, point);
    if (size == 0) {
      out += "\xef\xbf\xbd";
    } else if (escape_controls && (point < 0x20 || (point >= 0x7f && point < 0xa0))) {
      out += fmt::format("\\x{:02x}", point);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::string as_utf8(std::string_view text) { return cleaned(text, false); }
std::string printable(std::string_view text) { return cleaned(text, true); }

std::string iso8601(WallTime time) {
  using namespace std::chrono;
  const sys_time<milliseconds> moment{milliseconds(std::min(time.ms, kLastMs))};
  const auto day = floor<days>(moment);
  const year_month_day date(day);
  const hh_mm_ss clock(moment - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<WallTime> parse_iso8601(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view form = "dddd-dd-ddTdd:dd:dd.dddZ";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == 'd' ? !digit : text[i] != form[i]) return std::nullopt;
  }
  const auto number = [&](std::size_t from, std::size_t size) {
    unsigned value = 0;
    std::from_chars(text.data() + from, text.data() + from + size, value);
    return value;
  };
  const year_month_day date{year(static_cast<int>(number(0, 4))), month(number(5, 2)), day(number(8, 2))};
  if (!date.ok() || number(0, 4) < 1970 || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59)
    return std::nullopt;
  const auto moment = sys_days(date) + hours(number(11, 2)) + minutes(number(14, 2)) +
                      seconds(number(17, 2)) + milliseconds(number(20, 3));
  return WallTime{static_cast<std::uint64_t>(moment.time_since_epoch().count())};
}

std::optional<std::string> default_home(bool root, const char* xdg_state_home, const char* user_home) {
  if (root) return "/var/lib/syncline";
  // The XDG base directory specification: a relative path is to be ignored.
  if (xdg_state_home && *xdg_state_home == '/') return fmt::format("{}/syncline", xdg_state_home);
  if (user_home && *user_home) return fmt::format("{}/.local/state/syncline", user_home);
  return std::nullopt;
}

}  // namespace syncline

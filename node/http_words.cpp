#include "node/http_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "protocol/ids.h"
#include "protocol/limits.h"

namespace syncline::http {

Result<std::string> decode_path(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  std::string out;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (out.size() >= limits::path_bytes) return fail(Error::Code::invalid, "the path is too long");
    char c = target[i];
    if (c == '%') {
      const auto byte = from_hex(target.substr(i + 1, 2));
      if (!byte || byte->size() != 1)
        return fail(Error::Code::invalid, "the path has a % without two hexadecimal digits");
      c = byte->front();
      i += 2;
    }
    if (c == '\0') return fail(Error::Code::invalid, "the path has a NUL in it");
    out += c;
  }
  return out;
}

namespace {
constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::int64_t kDateMin = 0, kDateMax = 253'402'300'799;  // 1970 to 9999

std::optional<int> number(std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view without_weak(std::string_view etag) {
  return etag.starts_with("W/") ? etag.substr(2) : etag;
}
}  // namespace

std::string date(std::int64_t unix_seconds) {
  using namespace std::chrono;
  const sys_seconds time{seconds(std::clamp(unix_seconds, kDateMin, kDateMax))};
  const auto day = floor<days>(time);
  const year_month_day ymd(day);
  const hh_mm_ss hms(time - day);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[weekday(day).c_encoding()],
                     static_cast<unsigned>(ymd.day()), kMonths[static_cast<unsigned>(ymd.month()) - 1],
                     static_cast<int>(ymd.year()), hms.hours().count(), hms.minutes().count(),
                     hms.seconds().count());
}

std::optional<std::int64_t> parse_date(std::string_view text) {
  using namespace std::chrono;
  if (text.size() != 29 || text.substr(3, 2) != ", ") return std::nullopt;
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  const auto day = number(text.substr(5, 2)), year_number = number(text.substr(12, 4)),
             hour = number(text.substr(17, 2)), minute = number(text.substr(20, 2)),
             second = number(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year_number || !hour || !minute || !second) return std::nullopt;
  const year_month_day ymd{year(*year_number),
                           std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
                           std::chrono::day(static_cast<unsigned>(*day))};
  if (!ymd.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t out =
      sys_seconds(sys_days(ymd)).time_since_epoch().count() + *hour * 3600 + *minute * 60 + *second;
  // What it does not say exactly is no date: the day of the week, the colons, the zone.
  return date(out) == text ? std::optional(out) : std::nullopt;
}

bool none_match_names(std::string_view header, std::string_view etag) {
  if (trimmed(header) == "*") return true;
  while (!header.empty()) {
    header = trimmed(header);
    const bool weak = header.starts_with("W/");
    const auto open = weak ? 2u : 0u;
    if (header.size() <= open || header[open] != '"') return false;  // not a list of tags
    const auto close = header.find('"', open + 1);
    if (close == std::string_view::npos) return false;
    if (without_weak(header.substr(0, close + 1)) == without_weak(etag)) return true;
    header = trimmed(header.substr(close + 1));
    if (header.starts_with(',')) header.remove_prefix(1);
  }
  return false;
}

bool range_holds(std::string_view header, std::string_view etag, std::int64_t modified_seconds) {
  if (etag.starts_with("W/")) return false;  // too young to be sure that it is the same
  header = trimmed(header);
  if (header.starts_with('"')) return header == etag;
  const auto when = parse_date(header);
  return when && *when == modified_seconds;
}

Ranges choose_ranges(const std::vector<std::pair<std::int64_t, std::int64_t>>& wanted, std::uint64_t size) {
  Ranges out;
  if (wanted.empty() || wanted.size() > limits::http_ranges) return out;
  std::uint64_t sum = 0;
  for (const auto& [first, last] : wanted) {
    Slice slice;
    if (first < 0) {
      if (last <= 0 || size == 0) continue;
      slice = {size - std::min(size, static_cast<std::uint64_t>(last)), size - 1};
    } else {
      slice = {static_cast<std::uint64_t>(first), last < 0 ? size - 1 : static_cast<std::uint64_t>(last)};
      if (slice.first >= size) continue;
      slice.last = std::min(slice.last, size - 1);
    }
    if (slice.last < slice.first) continue;
    sum += slice.last - slice.first + 1;
    out.slices.push_back(slice);
  }
  out.what = out.slices.empty() ? Ranges::Do::refuse : Ranges::Do::slices;
  if (sum > size) return {};
  return out;
}

}  // namespace syncline::http

#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/error.h"

// What HTTP says, as values: targets, dates, entity tags, ranges (RFC 9110). Pure.
namespace syncline::http {

// The path of a request target, percent-decoded, without query and fragment. Error::invalid: a bad escape, a
// NUL, too long.
Result<std::string> decode_path(std::string_view target);

// "Sun, 06 Nov 1994 08:49:37 GMT", the only form still made; nullopt for any other.
std::string date(std::int64_t unix_seconds);
std::optional<std::int64_t> parse_date(std::string_view text);

// The value of If-None-Match names this tag (or is "*"), by weak comparison.
bool none_match_names(std::string_view header, std::string_view etag);
// The value of If-Range stands for this very version: then ranges of it may be sent.
bool range_holds(std::string_view header, std::string_view etag, std::int64_t modified_seconds);

struct Slice {
  std::uint64_t first = 0, last = 0;  // both included
  bool operator==(const Slice&) const = default;
};
struct Ranges {
  enum class Do : std::uint8_t { whole, slices, refuse } what = Do::whole;  // refuse: 416
  std::vector<Slice> slices;
};
// What is to be sent of `size` bytes. -1 stands for a number left out, as in "bytes=5-" and "bytes=-5". More
// than limits::http_ranges, or such as add up to more than the whole, are not worth it: the whole is sent.
Ranges choose_ranges(const std::vector<std::pair<std::int64_t, std::int64_t>>& wanted, std::uint64_t size);

// By the name's ending, in any case; application/octet-stream where it is not a common one.
std::string content_type(std::string_view path);

}  // namespace syncline::http

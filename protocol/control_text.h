#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace syncline {

// A wall-clock time for people: milliseconds since the Unix epoch. 0 = unknown.
struct WallTime {
  std::uint64_t ms = 0;
  auto operator<=>(const WallTime&) const = default;
};

// ISO 8601 in UTC with milliseconds, "2026-05-04T12:34:56.789Z"; years 1970 to 9999, later ones are shown as
// the last moment of 9999. And its exact inverse: nullopt for any other form.
std::string iso8601(WallTime time);
std::optional<WallTime> parse_iso8601(std::string_view text);

// RFC 3629: no overlong forms, no surrogates.
bool is_utf8(std::string_view text);
// Bytes that are not UTF-8 become U+FFFD.
std::string as_utf8(std::string_view text);
// What may be written to a terminal or a log line: as_utf8, with control characters (C0, DEL, C1) as \xNN.
// File names come from strangers: an escape sequence in one must not reach an administrator's terminal.
std::string printable(std::string_view text);

// The home where none is named: /var/lib/syncline for root, else $XDG_STATE_HOME/syncline, else
// $HOME/.local/state/syncline. The arguments are the variables' values, null or empty when unset. nullopt:
// none of them is set.
std::optional<std::string> default_home(bool root, const char* xdg_state_home, const char* user_home);

}  // namespace syncline

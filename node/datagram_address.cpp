#include "node/datagram_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "protocol/limits.h"

namespace syncline {
namespace {
constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

bool Endpoint::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), ip.begin()); }

bool Endpoint::is_loopback() const {
  if (is_v4()) return ip[12] == 127;
  return ip[15] == 1 && std::all_of(ip.begin(), ip.end() - 1, [](std::uint8_t b) { return b == 0; });
}

bool Endpoint::is_any() const {
  return std::all_of(ip.begin() + (is_v4() ? 12 : 0), ip.end(), [](std::uint8_t b) { return b == 0; });
}

Bytes Endpoint::rate_source() const { return Bytes(ip.begin(), is_v4() ? ip.end() : ip.begin() + 8); }

Bytes Endpoint::key() const {
  Bytes out(ip.begin(), ip.end());
  for (unsigned shift : {0u, 8u}) out.push_back(static_cast<char>(port >> shift));
  for (unsigned shift : {0u, 8u, 16u, 24u}) out.push_back(static_cast<char>(scope >> shift));
  return out;
}

Result<HostPort> parse_host_port(const std::string& text) {
  const auto malformed = [&] {
    return fail(Error::Code::invalid, fmt::format("'{}' is not HOST:PORT or [IPV6]:PORT", text));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.size() > limits::address_bytes) return malformed();
  HostPort out;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (error != std::errc{} || stop != end) return malformed();
  out.host = text.substr(0, colon);
  if (out.host.starts_with('[')) {
    if (!out.host.ends_with(']')) return malformed();
    out.host = out.host.substr(1, out.host.size() - 2);
    if (out.host.find(':') == std::string::npos) return malformed();
  } else if (out.host.find(':') != std::string::npos) {
    return malformed();
  }
  if (out.host == "*") out.host.clear();
  return out;
}

}  // namespace syncline

#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// An IP address and a UDP port. IPv4 is kept in its IPv6-mapped form (::ffff:a.b.c.d), so that there is one
// kind of address.
struct Endpoint {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;
  std::uint32_t scope = 0;  // the interface of a link-local IPv6 address

  auto operator<=>(const Endpoint&) const = default;
  bool is_v4() const;
  bool is_loopback() const;
  bool is_any() const;  // 0.0.0.0 or ::
  // What one host has only one of, for rate limits: the IPv4 address or the IPv6 /64.
  Bytes rate_source() const;
  Bytes key() const;  // every bit that tells two endpoints apart
};

std::string to_string(const Endpoint& endpoint);  // "1.2.3.4:5" or "[2001:db8::1]:5"

// "HOST:PORT" or "[V6]:PORT"; an empty host or "*" means every address. Error: one line naming `text`.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
Result<HostPort> parse_host_port(const std::string& text);

// nullopt: a host name, not a number. Never blocks.
std::optional<Endpoint> numeric_endpoint(const HostPort& address);
// Asks the system's resolver, which may block for many seconds. At most limits::resolved_addresses.
Result<std::vector<Endpoint>> resolve(const HostPort& address);

}  // namespace syncline

#include "protocol/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A decimal number of at most `max`, no sign, no blanks, no leading zeros.
bool decimal(std::string_view text, unsigned max, unsigned& out) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out <= max && is_digit(text.front());
}

bool is_ipv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = text.find('.');
    unsigned value = 0;
    if (!decimal(text.substr(0, dot), 255, value)) return false;
    if (dot == std::string_view::npos) return part == 3;
    text.remove_prefix(dot + 1);
  }
  return false;
}

// RFC 4291, 2.2: eight groups of up to four hex digits, one run of zeros as "::", the last two groups perhaps
// as IPv4. A zone ("%eth0") is allowed behind it.
bool is_ipv6(std::string_view text) {
  if (const std::size_t zone = text.find('%'); zone != std::string_view::npos) {
    if (zone + 1 == text.size() || !std::ranges::all_of(text.substr(zone + 1), is_alnum)) return false;
    text = text.substr(0, zone);
  }
  std::size_t groups = 0;
  bool gap = false, ends = false;  // ends: nothing may follow but by a colon
  while (!text.empty()) {
    if (text.starts_with("::") && !gap) {
      gap = true, ends = false;
      text.remove_prefix(2);
      continue;
    }
    if (ends) {
      if (text.front() != ':' || text.size() == 1) return false;
      text.remove_prefix(1);
    }
    const auto stop = std::ranges::find_if_not(text, is_hex);
    const auto size = static_cast<std::size_t>(stop - text.begin());
    if (stop != text.end() && *stop == '.') return is_ipv4(text) && (gap ? groups <= 5 : groups == 6);
    if (size == 0 || size > 4) return false;
    ++groups, ends = true;
    text.remove_prefix(size);
  }
  return gap ? groups <= 7 : groups == 8;
}

bool is_host_name(std::string_view text) {
  if (text.size() > 253) return false;
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-' || c == '_'; })) return false;
    if (dot == std::string_view::npos) return !std::ranges::all_of(label, is_digit);  // 300.1.1.1 is no name
    text.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string Address::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

bool Address::is_wildcard() const { return host == "0.0.0.0" || host == "::"; }

bool Address::is_loopback() const {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_ipv4(host));
}

Result<Address> parse_address(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Error::Code::invalid,
                fmt::format("\"{}\" is not HOST:PORT: {}", printable(text.substr(0, 80)), why));
  };
  if (text.size() > limits::address_bytes) return bad("too long");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("the port is missing");
  std::string_view host = text.substr(0, colon);
  unsigned port = 0;
  if (!decimal(text.substr(colon + 1), 65535, port)) return bad("the port must be a number from 0 to 65535");
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || !is_ipv6(host.substr(1, host.size() - 2)))
      return bad("what is in brackets is no IPv6 address");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("write an IPv6 address in brackets, as in [::1]:7440");
  } else if (host.empty()) {
    return bad("the host is missing (0.0.0.0 means every interface)");
  } else if (!is_ipv4(host) && !is_host_name(host)) {
    return bad("the host is neither a name nor an IP address");
  }
  return Address{std::string(host), static_cast<std::uint16_t>(port)};
}

}  // namespace syncline

#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace syncline {

// Where a node listens or is reached, as people write it: "web1:7440", "192.0.2.7:7440",
// "[2001:db8::7]:7440".
struct Address {
  std::string host;        // a name, an IPv4 or an IPv6 address, without brackets
  std::uint16_t port = 0;  // 0: any free one (listening only)

  std::string text() const;  // the form above, IPv6 in brackets
  bool is_wildcard() const;  // 0.0.0.0 or ::, "every interface"
  bool is_loopback() const;  // 127.0.0.0/8, ::1 or "localhost"
  bool operator==(const Address&) const = default;
};

// Checks the form only; no name is looked up. Error::invalid is one line that quotes the text and says what
// is wrong.
Result<Address> parse_address(std::string_view text);

}  // namespace syncline

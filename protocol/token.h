#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/control_text.h"
#include "protocol/error.h"
#include "protocol/ids.h"

namespace syncline {

using TokenId = std::array<std::uint8_t, 8>;

// What `cluster invite` prints and `cluster join` takes: enough to call the inviter, to know that it is the
// inviter, and to prove to it that one was invited. A secret. PROTOCOL.md, "Token".
struct Token {
  ClusterId cluster;
  Key32 inviter_key;                   // X25519
  TokenId id{};                        // sent in clear
  Key32 secret;                        // the PSK of the join link; never sent
  WallTime expires;                    // by the inviter's clock, which decides
  std::vector<std::string> addresses;  // of the inviter, HOST:PORT, 1..limits::addresses
  bool operator==(const Token&) const = default;
};

// "syncline-" + base64url without padding of the binary form and its checksum (the first 4 bytes of its
// BLAKE2b-128).
std::string token_text(const Token& token);
// Surrounding blanks are ignored. Error::invalid is one line that never quotes the token and tells a cut or
// damaged paste from something that is no token at all, and from a token of a newer version.
Result<Token> parse_token(std::string_view text);

}  // namespace syncline

#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/token.h"

namespace syncline {

// The tokens this node gave out and still honours, in HOME/invites (0600, with their secrets: the handshake
// needs them). Every change is on disk before the call returns, so that a token used once stays used after a
// crash. Not thread-safe.
class Invites {
 public:
  struct Invite {
    TokenId id{};
    Key32 secret;
    std::uint32_t uses = 0;  // left
    WallTime expires;
  };

  // A file that is missing is an empty list; one that cannot be read or understood is an error naming it.
  static Result<Invites> load(const std::string& file);

  // A new token id and secret from the system's random generator. uses and ttl_ms as in InviteRequest.
  // Error::full with limits::invites outstanding.
  Result<Invite> create(std::uint32_t uses, std::uint64_t ttl_ms, WallTime now);
  // For the handshake: nullopt for a token that is unknown, used up or expired.
  std::optional<Key32> secret(const TokenId& id, WallTime now) const;
  // Takes one use. Error::refused: "the token is unknown or used up", "the token has expired".
  Status consume(const TokenId& id, WallTime now);

  std::size_t outstanding(WallTime now) const;

 private:
  explicit Invites(std::string file) : file_(std::move(file)) {}
  Status save(std::vector<Invite> next);  // drops nothing itself; takes `next` over once it is on disk

  std::string file_;
  std::vector<Invite> list_;
};

}  // namespace syncline

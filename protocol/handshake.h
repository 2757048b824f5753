#pragma once
#include <memory>
#include <variant>

#include "protocol/error.h"
#include "protocol/handshake_cookie.h"
#include "protocol/handshake_noise.h"
#include "protocol/secure_channel.h"

// How two nodes agree on the keys of a link: Noise IKpsk2 between members, IKpsk1 for a newcomer with a token
// (LINKS.md, "Handshake"). Bytes in, outcome out; time, randomness and every decision (is this a member? is
// the token good?) come from the caller. sodium_init() must have succeeded.
namespace syncline {

enum class HandshakeKind : std::uint8_t { member, join };
using TokenId = std::array<std::uint8_t, wire::token_id_bytes>;

// Why a responder sends an init away. Only whoever knows the responder's public key gets one (mac1).
enum class Refusal : std::uint8_t {
  version = 1,      // speaks another version
  cannot_read = 2,  // made for another cluster
  not_member = 3,   // the caller's key is not on the member list
  token = 4,        // unknown, expired, used, or the secret is wrong
  stale = 5,        // not newer than an init already seen
};
// The 24 bytes that say so, in answer to `init` (wire::init_bytes long or, of another version, at least that
// long).
Bytes refusal_reply(BytesView init, Refusal why);

// Keys of a new channel, and whether the responder took the init as a new link (fresh) or as new keys of the
// session named in it. `session` names the link that began with this handshake, should it be fresh: equal on
// both sides, never 0.
struct HandshakeDone {
  ChannelSecrets secrets;
  std::uint64_t session = 0;
  bool fresh = true;
};

// The caller's side of one handshake; one init, never sent twice (another try is another object).
class HandshakeInitiator {
 public:
  struct Options {
    HandshakeKind kind = HandshakeKind::member;
    noise::DhKeys own;
    Key32 responder;
    ClusterId cluster;        // member only
    Key32 psk;                // the cluster's, or the token's secret
    TokenId token_id{};       // join only
    std::uint32_t index = 0;  // the answer will carry it; random, unused
    std::uint64_t timestamp =
        0;  // nanoseconds since the epoch, above that of any earlier init to this responder
    std::uint64_t session = 0;  // the link to get new keys for; 0: a new link
    std::uint8_t ciphers = 0;   // bits of Cipher
    noise::DhKeys ephemeral;    // random, used once
  };
  // Error: the responder's key is not a usable one.
  static Result<HandshakeInitiator> start(const Options& options, const std::optional<Mac>& cookie);

  const Bytes& message() const { return init_; }

  struct Ignored {};  // not for us, or forged: the true answer may still come
  struct Refused {
    std::string reason;
  };  // one line; a hint that the path to the peer can forge: go on waiting as well
  using Outcome = std::variant<Ignored, HandshakeDone, Refused, Mac>;  // Mac: the cookie for the next try
  // Any datagram whose receiver index is ours and that is no data.
  Outcome receive(BytesView datagram);

 private:
  HandshakeInitiator(const Options& options, noise::Initiator state)
      : options_(options), state_(std::move(state)) {}
  Outcome receive_response(BytesView datagram);

  Options options_;
  noise::Initiator state_;
  Bytes init_;
};

// The responder's side of one handshake. Order of calls: open, (decide), read_payload, (decide), accept.
class HandshakeResponder {
 public:
  struct Options {
    noise::DhKeys own;
    ClusterId cluster;
  };
  // `init` has passed Mac1Check. Two X25519 operations, some 100 us: rate-limit before.
  static std::variant<HandshakeResponder, Refusal> open(const Options& options, BytesView init);

  HandshakeKind kind() const { return kind_; }
  const Key32& caller() const { return caller_; }  // authentic once read_payload() has succeeded
  const TokenId& token_id() const { return token_id_; }

  // `psk`: the cluster's, or the secret of the token. False: the init is not authentic, or the token's secret
  // differs.
  bool read_payload(const Key32& psk);
  std::uint64_t timestamp() const { return timestamp_; }
  std::uint64_t session() const { return session_; }

  struct Accepted {
    Bytes response;
    HandshakeDone done;
  };
  // `fresh`: not taken as new keys for session(). nullopt: no cipher in common, or keys that are not usable
  // points.
  std::optional<Accepted> accept(std::uint32_t own_index, std::uint8_t own_ciphers, bool fresh,
                                 const noise::DhKeys& ephemeral);

 private:
  HandshakeResponder(HandshakeKind kind, BytesView init, noise::Responder state);

  HandshakeKind kind_;
  Bytes init_;
  noise::Responder state_;
  Key32 caller_;
  TokenId token_id_{};
  std::uint64_t timestamp_ = 0, session_ = 0;
  std::uint8_t ciphers_ = 0;
};

// The index a response, cookie, refusal or data datagram is addressed to; nullopt: it is none of these.
std::optional<std::uint32_t> receiver_index(BytesView datagram);

}  // namespace syncline

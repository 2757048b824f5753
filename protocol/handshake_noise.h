#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "protocol/bytes.h"
#include "protocol/ids.h"

// The Noise Protocol Framework (noiseprotocol.org, revision 34), as far as Syncline uses it: the pattern IK
// with a pre-shared key, over X25519, ChaCha20-Poly1305 and BLAKE2b. No IO, no clock, no randomness: the
// caller brings the ephemeral keys. sodium_init() must have succeeded. Every object wipes its secrets when it
// dies.
namespace syncline::noise {

// An X25519 key pair.
struct DhKeys {
  ~DhKeys();
  Key32 secret;
  Key32 public_key;
};
DhKeys dh_keys(const Key32& secret);

// After which message the pre-shared key is mixed in: IKpsk1 or IKpsk2.
enum class PskAfter : std::uint8_t { first = 1, second = 2 };

inline constexpr std::size_t kHashBytes = 64;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kStaticEnd =
    32 + 32 + kTagBytes;  // message 1: e, then the sealed static key, then the payload
using Hash512 = FixedBytes<kHashBytes, struct NoiseHashTag>;

// What both sides hold when the handshake is done. `transcript` is the handshake hash: equal on both sides,
// public.
struct SplitKeys {
  ~SplitKeys();
  Key32 first;   // initiator to responder
  Key32 second;  // responder to initiator
  Hash512 transcript;
};

// Noise's SymmetricState: chaining key, transcript hash and the current cipher key.
class SymmetricState {
 public:
  SymmetricState(PskAfter psk, BytesView prologue);
  ~SymmetricState();
  SymmetricState(const SymmetricState&) = default;
  SymmetricState& operator=(const SymmetricState&) = default;

  void mix_hash(BytesView data);
  void mix_key(BytesView input);
  void mix_key_and_hash(BytesView input);
  Bytes seal(BytesView plain);
  std::optional<Bytes> open(BytesView sealed);  // nullopt: not authentic; the state is then unchanged
  SplitKeys split() const;

 private:
  void set_key(const std::uint8_t* key);

  Hash512 chaining_key_, hash_;
  Key32 key_;
  std::uint64_t nonce_ = 0;
};

// The side that speaks first and knows the other's static key.
class Initiator {
 public:
  Initiator(PskAfter after, BytesView prologue, const DhKeys& own, const Key32& responder, const Key32& psk);
  ~Initiator();
  // nullopt: the responder's key is not a usable point.
  std::optional<Bytes> write_first(const DhKeys& ephemeral, BytesView payload);
  // The payload of message 2. nullopt: forged, or the pre-shared keys differ; the true answer may still come.
  std::optional<Bytes> read_second(BytesView message);
  SplitKeys split() const { return state_.split(); }

 private:
  PskAfter after_;
  DhKeys own_, ephemeral_;
  Key32 responder_, psk_;
  SymmetricState state_;
};

// The side that answers. Message 1 is read in two steps, because who calls decides which pre-shared key
// applies.
class Responder {
 public:
  Responder(PskAfter after, BytesView prologue, const DhKeys& own);
  ~Responder();
  // The initiator's static key. nullopt: forged, or made with another prologue or for another responder.
  std::optional<Key32> read_static(BytesView message);
  // The payload of the same message; `psk` counts here only with PskAfter::first. nullopt: forged or another
  // key.
  std::optional<Bytes> read_payload(BytesView message, const Key32& psk);
  // nullopt: the initiator's keys are not usable points.
  std::optional<Bytes> write_second(const DhKeys& ephemeral, BytesView payload);
  SplitKeys split() const { return state_.split(); }

 private:
  PskAfter after_;
  DhKeys own_;
  Key32 psk_, remote_ephemeral_, remote_static_;
  SymmetricState state_;
};

}  // namespace syncline::noise

#include "protocol/handshake_noise.h"

#include <sodium.h>

namespace syncline::noise {
namespace {

constexpr std::size_t kBlockBytes = 128;  // of BLAKE2b, for HMAC

const unsigned char* raw(BytesView v) { return reinterpret_cast<const unsigned char*>(v.data()); }
unsigned char* raw(Bytes& v) { return reinterpret_cast<unsigned char*>(v.data()); }

template <class T>
void wipe(T& value) {
  sodium_memzero(&value, sizeof value);
}

Hash512 hash(BytesView a, BytesView b = {}, BytesView c = {}) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, kHashBytes);
  for (BytesView part : {a, b, c}) crypto_generichash_update(&state, raw(part), part.size());
  Hash512 out;
  crypto_generichash_final(&state, out.bytes.data(), kHashBytes);
  wipe(state);
  return out;
}

// RFC 2104 with unkeyed BLAKE2b-512, as Noise wants it (not BLAKE2b's own keyed mode).
Hash512 hmac(const Hash512& key, BytesView a, BytesView b = {}) {
  std::array<char, kBlockBytes> pad{};
  const auto pad_with = [&](std::uint8_t mask) {
    for (std::size_t i = 0; i < pad.size(); ++i)
      pad[i] = static_cast<char>((i < kHashBytes ? key.bytes[i] : 0) ^ mask);
    return BytesView(pad.data(), pad.size());
  };
  const Hash512 inner = hash(pad_with(0x36), a, b);
  const Hash512 out = hash(pad_with(0x5c), inner.view());
  wipe(pad);
  return out;
}

// Noise's HKDF: as many outputs as asked for, at most three.
template <std::size_t N>
std::array<Hash512, N> hkdf(const Hash512& chaining_key, BytesView input) {
  Hash512 temp = hmac(chaining_key, input);
  std::array<Hash512, N> out;
  for (std::size_t i = 0; i < N; ++i) {
    const char counter = static_cast<char>(i + 1);
    out[i] = hmac(temp, i == 0 ? BytesView{} : out[i - 1].view(), {&counter, 1});
  }
  wipe(temp);
  return out;
}

bool mix_dh(SymmetricState& state, const Key32& secret, const Key32& public_key) {
  Key32 shared;
  if (crypto_scalarmult(shared.bytes.data(), secret.bytes.data(), public_key.bytes.data()) != 0) return false;
  state.mix_key(shared.view());
  wipe(shared);
  return true;
}

void mix_ephemeral(SymmetricState& state, BytesView public_key) {
  state.mix_hash(public_key);
  state.mix_key(
      public_key);  // with a pre-shared key in the pattern, `e` is mixed into the key as well (section 9.2)
}

std::array<unsigned char, 12> nonce_bytes(std::uint64_t n) {
  std::array<unsigned char, 12> out{};
  for (std::size_t i = 0; i < 8; ++i) out[4 + i] = static_cast<unsigned char>(n >> (8 * i));
  return out;
}

}  // namespace

DhKeys::~DhKeys() { wipe(secret); }
SplitKeys::~SplitKeys() { wipe(first), wipe(second); }

DhKeys dh_keys(const Key32& secret) {
  DhKeys out{secret, {}};
  crypto_scalarmult_base(out.public_key.bytes.data(), secret.bytes.data());
  return out;
}

SymmetricState::SymmetricState(PskAfter psk, BytesView prologue) {
  // The name is shorter than a hash: zero-padded, it is the first hash (section 5.2).
  const BytesView name = psk == PskAfter::first ? "Noise_IKpsk1_25519_ChaChaPoly_BLAKE2b"
                                                : "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b";
  std::memcpy(hash_.bytes.data(), name.data(), name.size());
  chaining_key_ = hash_;
  mix_hash(prologue);
}

SymmetricState::~SymmetricState() { wipe(chaining_key_), wipe(key_); }

void SymmetricState::set_key(const std::uint8_t* key) {
  std::memcpy(key_.bytes.data(), key, key_.bytes.size());
  nonce_ = 0;
}

void SymmetricState::mix_hash(BytesView data) { hash_ = hash(hash_.view(), data); }

void SymmetricState::mix_key(BytesView input) {
  auto out = hkdf<2>(chaining_key_, input);
  chaining_key_ = out[0];
  set_key(out[1].bytes.data());
  wipe(out);
}

void SymmetricState::mix_key_and_hash(BytesView input) {
  auto out = hkdf<3>(chaining_key_, input);
  chaining_key_ = out[0];
  mix_hash(out[1].view());
  set_key(out[2].bytes.data());
  wipe(out);
}

Bytes SymmetricState::seal(BytesView plain) {
  Bytes out(plain.size() + kTagBytes, '\0');
  const auto nonce = nonce_bytes(nonce_++);
  crypto_aead_chacha20poly1305_ietf_encrypt(raw(out), nullptr, raw(plain), plain.size(), hash_.bytes.data(),
                                            kHashBytes, nullptr, nonce.data(), key_.bytes.data());
  mix_hash(out);
  return out;
}

std::optional<Bytes> SymmetricState::open(BytesView sealed) {
  if (sealed.size() < kTagBytes) return std::nullopt;
  Bytes out(sealed.size() - kTagBytes, '\0');
  const auto nonce = nonce_bytes(nonce_);
  if (crypto_aead_chacha20poly1305_ietf_decrypt(raw(out), nullptr, nullptr, raw(sealed), sealed.size(),
                                                hash_.bytes.data(), kHashBytes, nonce.data(),
                                                key_.bytes.data()) != 0)
    return std::nullopt;
  ++nonce_;
  mix_hash(sealed);
  return out;
}

SplitKeys SymmetricState::split() const {
  auto out = hkdf<2>(chaining_key_, {});
  const SplitKeys keys{Key32::from(out[0].view()), Key32::from(out[1].view()), hash_};
  wipe(out);
  return keys;
}

Initiator::Initiator(PskAfter after, BytesView prologue, const DhKeys& own, const Key32& responder,
                     const Key32& psk)
    : after_(after), own_(own), responder_(responder), psk_(psk), state_(after, prologue) {
  state_.mix_hash(responder.view());
}

Initiator::~Initiator() { wipe(psk_); }

std::optional<Bytes> Initiator::write_first(const DhKeys& ephemeral, BytesView payload) {
  ephemeral_ = ephemeral;
  Bytes out(ephemeral.public_key.view());
  mix_ephemeral(state_, ephemeral.public_key.view());
  if (!mix_dh(state_, ephemeral.secret, responder_)) return std::nullopt;
  out += state_.seal(own_.public_key.view());
  if (!mix_dh(state_, own_.secret, responder_)) return std::nullopt;
  if (after_ == PskAfter::first) state_.mix_key_and_hash(psk_.view());
  return out += state_.seal(payload);
}

std::optional<Bytes> Initiator::read_second(BytesView message) {
  if (message.size() < Key32::size) return std::nullopt;
  SymmetricState next = state_;  // a forged message must not spoil the handshake
  const Key32 remote = Key32::from(message);
  mix_ephemeral(next, remote.view());
  if (!mix_dh(next, ephemeral_.secret, remote) || !mix_dh(next, own_.secret, remote)) return std::nullopt;
  if (after_ == PskAfter::second) next.mix_key_and_hash(psk_.view());
  std::optional<Bytes> payload = next.open(message.substr(Key32::size));
  if (payload) state_ = next;
  return payload;
}

Responder::Responder(PskAfter after, BytesView prologue, const DhKeys& own)
    : after_(after), own_(own), state_(after, prologue) {
  state_.mix_hash(own.public_key.view());
}

Responder::~Responder() { wipe(psk_); }

std::optional<Key32> Responder::read_static(BytesView message) {
  if (message.size() < kStaticEnd) return std::nullopt;
  remote_ephemeral_ = Key32::from(message);
  mix_ephemeral(state_, remote_ephemeral_.view());
  if (!mix_dh(state_, own_.secret, remote_ephemeral_)) return std::nullopt;
  const std::optional<Bytes> key = state_.open(message.substr(Key32::size, kStaticEnd - Key32::size));
  if (!key) return std::nullopt;
  return remote_static_ = Key32::from(*key);
}

std::optional<Bytes> Responder::read_payload(BytesView message, const Key32& psk) {
  psk_ = psk;
  if (!mix_dh(state_, own_.secret, remote_static_)) return std::nullopt;
  if (after_ == PskAfter::first) state_.mix_key_and_hash(psk_.view());
  return state_.open(message.substr(kStaticEnd));
}

std::optional<Bytes> Responder::write_second(const DhKeys& ephemeral, BytesView payload) {
  Bytes out(ephemeral.public_key.view());
  mix_ephemeral(state_, ephemeral.public_key.view());
  if (!mix_dh(state_, ephemeral.secret, remote_ephemeral_) ||
      !mix_dh(state_, ephemeral.secret, remote_static_))
    return std::nullopt;
  if (after_ == PskAfter::second) state_.mix_key_and_hash(psk_.view());
  return out += state_.seal(payload);
}

}  // namespace syncline::noise

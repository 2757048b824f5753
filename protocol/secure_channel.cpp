#include "protocol/secure_channel.h"

#include <sodium.h>

#include <algorithm>
#include <cassert>

namespace syncline {
namespace {

constexpr std::size_t kIndexAt = 1;
constexpr std::size_t kCounterAt = 5;

std::uint64_t counter_of(BytesView datagram) {
  return u32_at(datagram, kCounterAt) | static_cast<std::uint64_t>(u32_at(datagram, kCounterAt + 4)) << 32;
}

template <class T>
void put(std::uint8_t* out, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

// Both ciphers take 12 bytes: four zeros, then the counter as it stands in the datagram.
std::array<std::uint8_t, 12> nonce_of(const std::uint8_t* datagram) {
  std::array<std::uint8_t, 12> nonce{};
  std::copy_n(datagram + kCounterAt, 8, nonce.begin() + 4);
  return nonce;
}

}  // namespace

std::uint8_t available_ciphers() {
  auto offer = static_cast<std::uint8_t>(Cipher::chacha20_poly1305);
  if (crypto_aead_aes256gcm_is_available()) offer |= static_cast<std::uint8_t>(Cipher::aes256_gcm);
  return offer;
}

ChannelSecrets::~ChannelSecrets() {
  sodium_memzero(send.bytes.data(), send.bytes.size());
  sodium_memzero(receive.bytes.data(), receive.bytes.size());
}

bool ReplayWindow::is_new(std::uint64_t counter) const {
  if (counter >= end_) return true;
  if (end_ - counter > (kWords - 1) * 64) return false;
  return (bits_[counter / 64 % kWords] >> (counter % 64) & 1) == 0;
}

void ReplayWindow::mark(std::uint64_t counter) {
  assert(is_new(counter));
  const std::uint64_t word = counter / 64;
  if (counter >= end_) {
    const std::uint64_t last = end_ == 0 ? 0 : (end_ - 1) / 64;
    const std::uint64_t skipped = std::min<std::uint64_t>(word - last, kWords);
    for (std::uint64_t i = 0; i < skipped; ++i) bits_[(word - i) % kWords] = 0;
    end_ = counter + 1;
  }
  bits_[word % kWords] |= std::uint64_t{1} << (counter % 64);
}

// Expanded once, for AES-GCM: the key schedule costs as much as a small datagram.
struct ChannelKeys::Ciphers {
  Cipher cipher;
  Key32 send, receive;
  crypto_aead_aes256gcm_state aes_send, aes_receive;
};

ChannelKeys::ChannelKeys(const ChannelSecrets& secrets, std::uint64_t now_ms)
    : ciphers_(std::make_unique<Ciphers>()),
      own_index_(secrets.own_index),
      peer_index_(secrets.peer_index),
      born_ms_(now_ms) {
  ciphers_->cipher = secrets.cipher;
  ciphers_->send = secrets.send;
  ciphers_->receive = secrets.receive;
  if (secrets.cipher == Cipher::aes256_gcm) {
    crypto_aead_aes256gcm_beforenm(&ciphers_->aes_send, secrets.send.bytes.data());
    crypto_aead_aes256gcm_beforenm(&ciphers_->aes_receive, secrets.receive.bytes.data());
  }
}

ChannelKeys::~ChannelKeys() { sodium_memzero(ciphers_.get(), sizeof(Ciphers)); }

std::size_t ChannelKeys::seal(std::span<std::uint8_t> datagram, std::size_t plain_size) {
  assert(datagram.size() >= plain_size + kSealBytes);
  datagram[0] = static_cast<std::uint8_t>(DatagramType::data);
  put(&datagram[kIndexAt], peer_index_);
  put(&datagram[kCounterAt], next_++);
  const auto nonce = nonce_of(datagram.data());
  std::uint8_t* text = datagram.data() + kSealHeadBytes;
  if (ciphers_->cipher == Cipher::aes256_gcm)
    crypto_aead_aes256gcm_encrypt_afternm(text, nullptr, text, plain_size, datagram.data(), kSealHeadBytes,
                                          nullptr, nonce.data(), &ciphers_->aes_send);
  else
    crypto_aead_chacha20poly1305_ietf_encrypt(text, nullptr, text, plain_size, datagram.data(),
                                              kSealHeadBytes, nullptr, nonce.data(),
                                              ciphers_->send.bytes.data());
  return plain_size + kSealBytes;
}

std::optional<std::size_t> ChannelKeys::open(BytesView datagram, std::span<std::uint8_t> out) {
  if (datagram.size() < kSealBytes || out.size() < datagram.size() - kSealBytes) return std::nullopt;
  const std::uint64_t counter = counter_of(datagram);
  if (!window_.is_new(counter) || counter == UINT64_MAX) return std::nullopt;
  const auto* head = reinterpret_cast<const std::uint8_t*>(datagram.data());
  const auto nonce = nonce_of(head);
  const std::size_t sealed_size = datagram.size() - kSealHeadBytes;
  const int failed = ciphers_->cipher == Cipher::aes256_gcm
                         ? crypto_aead_aes256gcm_decrypt_afternm(
                               out.data(), nullptr, nullptr, head + kSealHeadBytes, sealed_size, head,
                               kSealHeadBytes, nonce.data(), &ciphers_->aes_receive)
                         : crypto_aead_chacha20poly1305_ietf_decrypt(
                               out.data(), nullptr, nullptr, head + kSealHeadBytes, sealed_size, head,
                               kSealHeadBytes, nonce.data(), ciphers_->receive.bytes.data());
  if (failed) return std::nullopt;
  window_.mark(counter);
  return sealed_size - kSealTagBytes;
}

void SecureChannel::install(const ChannelSecrets& secrets, bool initiator, std::uint64_t now_ms) {
  auto keys = std::make_unique<ChannelKeys>(secrets, now_ms);
  ++changes_;
  if (!initiator) {
    next_ = std::move(keys);
    return;
  }
  previous_ = std::move(current_);
  previous_until_ms_ = now_ms + limits_.previous_for_ms;
  current_ = std::move(keys);
  next_.reset();
}

std::size_t SecureChannel::seal(std::span<std::uint8_t> datagram, std::size_t plain_size) {
  assert(can_send());
  return current_->seal(datagram, plain_size);
}

std::optional<SecureChannel::Opened> SecureChannel::open(BytesView datagram, std::span<std::uint8_t> out,
                                                         std::uint64_t now_ms) {
  if (datagram.size() < kSealBytes) return std::nullopt;
  const std::uint32_t index = u32_at(datagram, kIndexAt);
  for (auto* keys : {&current_, &next_, &previous_}) {
    if (!*keys || (*keys)->own_index() != index) continue;
    const std::uint64_t end = (*keys)->received_end();
    const std::optional<std::size_t> size = (*keys)->open(datagram, out);
    if (!size) return std::nullopt;
    Opened opened{*size, keys != &previous_ && (*keys)->received_end() > end, keys == &next_};
    if (opened.confirmed) {
      previous_ = std::move(current_);
      previous_until_ms_ = now_ms + limits_.previous_for_ms;
      current_ = std::move(next_);
      ++changes_;
    }
    return opened;
  }
  return std::nullopt;
}

bool SecureChannel::wants_rekey(std::uint64_t now_ms) const {
  return current_ && (now_ms >= current_->born_ms() + limits_.rekey_after_ms ||
                      current_->sent() >= limits_.rekey_after_datagrams ||
                      current_->received_end() >= limits_.rekey_after_datagrams);
}

bool SecureChannel::expired(std::uint64_t now_ms) const {
  return current_ && (now_ms >= current_->born_ms() + limits_.expire_after_ms ||
                      current_->sent() >= limits_.expire_after_datagrams ||
                      current_->received_end() >= limits_.expire_after_datagrams);
}

void SecureChannel::tick(std::uint64_t now_ms) {
  if (!previous_ || now_ms < previous_until_ms_) return;
  previous_.reset();
  ++changes_;
}

std::vector<std::uint32_t> SecureChannel::indices() const {
  std::vector<std::uint32_t> out;
  for (const auto* keys : {&previous_, &current_, &next_})
    if (*keys) out.push_back((*keys)->own_index());
  return out;
}

}  // namespace syncline

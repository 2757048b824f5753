#include "protocol/handshake_cookie.h"

#include <sodium.h>

#include <cassert>

namespace syncline {
namespace {

constexpr std::uint64_t kSecretLifeMs = 120'000;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kReplyNonceAt = 8;
constexpr std::size_t kMac2At = wire::init_mac1_at + wire::mac_bytes;

const unsigned char* raw(BytesView v) { return reinterpret_cast<const unsigned char*>(v.data()); }
unsigned char* raw(Bytes& v) { return reinterpret_cast<unsigned char*>(v.data()); }

Key32 labelled_key(BytesView label, const Key32& key) {
  const Bytes input = Bytes(label).append(key.view());
  Key32 out;
  crypto_generichash(out.bytes.data(), out.bytes.size(), raw(input), input.size(), nullptr, 0);
  return out;
}

Key32 mac1_key(const Key32& responder) { return labelled_key("syncline mac1", responder); }
Key32 cookie_key(const Key32& responder) { return labelled_key("syncline cookie", responder); }

Mac mac(BytesView key, BytesView data) {
  Mac out;
  crypto_generichash(out.bytes.data(), out.bytes.size(), raw(data), data.size(), raw(key), key.size());
  return out;
}

bool same(const Mac& a, BytesView b) { return sodium_memcmp(a.bytes.data(), b.data(), Mac::size) == 0; }

}  // namespace

void append_macs(Bytes& init, const Key32& responder, const std::optional<Mac>& cookie) {
  init += mac(mac1_key(responder).view(), init).view();
  init += cookie ? mac(cookie->view(), init).view() : Mac{}.view();
}

Mac1Check::Mac1Check(const Key32& own_public_key) : key_(mac1_key(own_public_key)) {}

bool Mac1Check::operator()(BytesView init) const {
  return init.size() == wire::init_bytes && same(mac(key_.view(), init.substr(0, wire::init_mac1_at)),
                                                 init.substr(wire::init_mac1_at, Mac::size));
}

CookieJar::CookieJar(const Key32& own_public_key, FillRandom random)
    : seal_key_(cookie_key(own_public_key)), random_(std::move(random)) {
  random_(secret_.bytes.data(), secret_.bytes.size());
  previous_ = secret_;
}

CookieJar::~CookieJar() {
  sodium_memzero(secret_.bytes.data(), secret_.bytes.size());
  sodium_memzero(previous_.bytes.data(), previous_.bytes.size());
}

void CookieJar::refresh(std::uint64_t now_ms) {
  if (born_ms_ == 0) born_ms_ = now_ms;
  if (now_ms - born_ms_ < kSecretLifeMs) return;
  previous_ = secret_;
  random_(secret_.bytes.data(), secret_.bytes.size());
  born_ms_ = now_ms;
}

bool CookieJar::mac2_ok(BytesView init, BytesView source, std::uint64_t now_ms) {
  assert(init.size() == wire::init_bytes);
  refresh(now_ms);
  if (init.substr(kMac2At) == Mac{}.view()) return false;  // no cookie: the common case
  for (const Key32* secret : {&secret_, &previous_}) {
    const Mac cookie = mac(secret->view(), source);
    if (same(mac(cookie.view(), init.substr(0, kMac2At)), init.substr(kMac2At, Mac::size))) return true;
  }
  return false;
}

Bytes CookieJar::reply(BytesView init, BytesView source, std::uint64_t now_ms) {
  assert(init.size() == wire::init_bytes);
  refresh(now_ms);
  const Mac cookie = mac(secret_.view(), source);
  Bytes out(wire::cookie_bytes, '\0');
  out[wire::type_at] = static_cast<char>(DatagramType::cookie);
  out[wire::version_at] = static_cast<char>(kLinkVersion);
  out.replace(wire::index_at, 4, init.substr(wire::index_at, 4));
  random_(out.data() + kReplyNonceAt, kNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      raw(out) + kReplyNonceAt + kNonceBytes, nullptr, cookie.bytes.data(), Mac::size,
      raw(init) + wire::init_mac1_at, Mac::size, nullptr, raw(out) + kReplyNonceAt, seal_key_.bytes.data());
  return out;
}

std::optional<Mac> open_cookie(BytesView reply, const Key32& responder, BytesView mac1) {
  if (reply.size() != wire::cookie_bytes) return std::nullopt;
  Mac cookie;
  const unsigned char* nonce = raw(reply) + kReplyNonceAt;
  const int failed = crypto_aead_xchacha20poly1305_ietf_decrypt(
      cookie.bytes.data(), nullptr, nullptr, nonce + kNonceBytes, Mac::size + 16, raw(mac1), mac1.size(),
      nonce, cookie_key(responder).bytes.data());
  if (failed) return std::nullopt;
  return cookie;
}

}  // namespace syncline

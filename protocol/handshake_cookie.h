#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "protocol/handshake_wire.h"

// The cheap checks in front of the handshake, as in WireGuard (Donenfeld, NDSS 2017, section 5.4.7): mac1
// proves that the caller knows whom he calls, mac2 that he can receive at the address he calls from. Pure;
// times are monotonic milliseconds.
namespace syncline {

// Fills a buffer with unpredictable bytes.
using FillRandom = std::function<void(void* out, std::size_t size)>;

using Mac = FixedBytes<wire::mac_bytes, struct MacTag>;

// Appends mac1 and mac2 (zero without a cookie) to an init addressed to `responder`.
void append_macs(Bytes& init, const Key32& responder, const std::optional<Mac>& cookie);

// Whether an init of the right length was made by somebody who knows our public key.
class Mac1Check {
 public:
  explicit Mac1Check(const Key32& own_public_key);
  bool operator()(BytesView init) const;

 private:
  Key32 key_;
};

// The responder's side of cookies: makes and checks them without keeping anything about the caller. The
// secret behind them changes every two minutes; the one before still counts.
class CookieJar {
 public:
  CookieJar(const Key32& own_public_key, FillRandom random);
  ~CookieJar();
  // `source` is the caller's address and port in any stable form.
  bool mac2_ok(BytesView init, BytesView source, std::uint64_t now_ms);
  Bytes reply(BytesView init, BytesView source, std::uint64_t now_ms);

 private:
  void refresh(std::uint64_t now_ms);

  Key32 seal_key_;
  FillRandom random_;
  Key32 secret_, previous_;
  std::uint64_t born_ms_ = 0;
};

// The caller's side: the cookie inside a reply to the init that carried `mac1`. nullopt: forged, or not for
// that init.
std::optional<Mac> open_cookie(BytesView reply, const Key32& responder, BytesView mac1);

}  // namespace syncline

#pragma once
#include <cstdint>
#include <span>

#include "protocol/bytes.h"

namespace syncline {

// What ENet has instead of a socket. One per connection.
class EnetWire {
 public:
  virtual ~EnetWire() = default;
  // One datagram in pieces.
  virtual void enet_send(std::span<const BytesView> pieces) = 0;
  // The next datagram, already proven to be the peer's, into `out`; returns its size, 0 when there is none.
  virtual std::size_t enet_receive(std::span<std::uint8_t> out) = 0;
};

// ENet reaches the world through a few functions that the dynamic linker looks up in the executable first;
// enet_socket.cpp defines them. While a scope lives, the ENet calls of this thread send and receive through
// `wire` and see `now_ms` as the time. ENet must not be called outside of one. A scope within a scope takes
// over until it ends.
class EnetScope {
 public:
  EnetScope(EnetWire& wire, std::uint32_t now_ms);
  ~EnetScope();
  EnetScope(const EnetScope&) = delete;
  EnetScope& operator=(const EnetScope&) = delete;

 private:
  EnetWire* outer_wire_;
  std::uint32_t outer_ms_;
};

// True when libenet really calls our functions. It does not where it was linked with -Bsymbolic-functions;
// then nothing may be sent, because it would leave in clear.
bool enet_is_ours();

// The only address an ENet peer ever has here: the connection is the address.
inline constexpr std::uint32_t kEnetHost = 1;
inline constexpr std::uint16_t kEnetPort = 1;

}  // namespace syncline

#include "node/enet_link.h"

#include <enet/enet.h>

#include <algorithm>
#include <cassert>

namespace syncline {
namespace {

constexpr std::uint32_t kPingMs = 4000;  // on an idle link; each side, some 40 bytes
constexpr std::uint32_t kTimeoutMs = 10'000;  // without an acknowledgement; the transport is faster
// ENet would send again after RTT + 4 * variance, and both fall to 1-2 ms on a LAN: a peer that is scheduled
// 5 ms late then has its whole window sent twice. A floor under the variance keeps the time-out above RTT +
// 24 ms.
constexpr std::uint32_t kVarianceFloorMs = 6;

// ENet's clock: the low 32 bits of the steady clock's milliseconds; ENet compares with wrap-around.
std::uint32_t enet_ms(Clock::time_point t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
}

}  // namespace

struct EnetLink::Host {
  explicit Host(ENetHost* h) : host(h) {}
  ~Host() { enet_host_destroy(host); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ENetPeer& peer() const { return host->peers[0]; }
  ENetHost* host;
};

struct EnetLink::Handed {
  EnetLink* link;
  std::unique_ptr<Bytes> chunk;
  std::size_t lane, bytes;
  bool done = false;
};

EnetLink::EnetLink(EnetWire& wire) : wire_(wire) {}
EnetLink::~EnetLink() = default;

std::unique_ptr<EnetLink> EnetLink::create(const Options& options, EnetWire& wire) {
  assert(enet_is_ours());
  std::unique_ptr<EnetLink> link(new EnetLink(wire));
  ENetHost* host = enet_host_create(nullptr, 1, kLanes, 0, 0);
  if (!host) return nullptr;
  link->host_ = std::make_unique<Host>(host);
  const std::size_t mtu = std::min<std::size_t>(options.datagram_bytes, ENET_PROTOCOL_MAXIMUM_MTU);
  host->mtu = host->peers[0].mtu = static_cast<enet_uint32>(mtu);
  if (options.initiator) {
    const ENetAddress address{kEnetHost, kEnetPort};
    if (!enet_host_connect(host, &address, kLanes, 0)) return nullptr;
  }
  return link;
}

std::uint32_t EnetLink::enet_time(Clock::time_point now) const { return enet_ms(now - excused_); }

// Before every call: ENet itself changes these.
void EnetLink::assert_settings() {
  ENetPeer& peer = host_->peer();
  peer.windowSize = static_cast<enet_uint32>(window_bytes_);
  peer.roundTripTimeVariance = std::max<enet_uint32>(peer.roundTripTimeVariance, kVarianceFloorMs);
}

// ENet's counters start again every ten seconds.
void EnetLink::count_path() {
  const ENetPeer& peer = host_->peer();
  sent_ += peer.packetsSent - (peer.packetsSent < last_sent_ ? 0 : last_sent_);
  const std::uint64_t lost = peer.packetsLost - (peer.packetsLost < last_lost_ ? 0 : last_lost_);
  lost_ += lost;
  last_sent_ = peer.packetsSent;
  last_lost_ = peer.packetsLost;
  unsent_bytes_ = 0;
  if (lost > 0) limit_back_off();
  acked_bytes_ = std::max(acked_bytes_, handed_bytes_ - in_flight_bytes());
}

// ENet doubles a command's time-out with every loss of it, and looks at the others only when that of the
// oldest is over, so that a few unlucky datagrams hold up the link for seconds. How much is sent at all is
// the window's business: one doubling is enough. Measured (link_bench paths): at 40 ms and 1 % loss 720
// instead of 590 Mbit/s, at 500 Mbit/s 412 instead of 310, and a 10 Mbit/s line no longer stands still.
void EnetLink::limit_back_off() {
  ENetPeer& peer = host_->peer();
  const enet_uint32 most = 2 * (peer.roundTripTime + 4 * peer.roundTripTimeVariance);
  ENetList& sent = peer.sentReliableCommands;
  for (auto* at = enet_list_begin(&sent); at != enet_list_end(&sent); at = enet_list_next(at)) {
    auto& command = *reinterpret_cast<ENetOutgoingCommand*>(at);
    command.roundTripTimeout = std::min(command.roundTripTimeout, most);
  }
  if (enet_list_empty(&sent)) return;
  const auto& oldest = *reinterpret_cast<ENetOutgoingCommand*>(enet_list_begin(&sent));
  peer.nextTimeout = oldest.sentTime + oldest.roundTripTimeout;
}

void EnetLink::service(Clock::time_point now, const Events& events) {
  assert_settings();
  const EnetScope scope(wire_, enet_time(now));
  ENetEvent event;
  int more = enet_host_service(host_->host, &event, 0);
  while (more > 0 && dispatch(event, events)) more = enet_host_check_events(host_->host, &event);
  count_path();
}

// False: the link is over.
bool EnetLink::dispatch(const ENetEvent& event, const Events& events) {
  switch (event.type) {
    case ENET_EVENT_TYPE_CONNECT:
      // Jitter would otherwise shrink the window of reliable data down to one packet.
      enet_peer_throttle_configure(event.peer, ENET_PEER_PACKET_THROTTLE_INTERVAL,
                                   ENET_PEER_PACKET_THROTTLE_SCALE, 0);
      enet_peer_ping_interval(event.peer, kPingMs);
      enet_peer_timeout(event.peer, ENET_PEER_TIMEOUT_LIMIT, kTimeoutMs, kTimeoutMs);
      events.connected();
      return true;
    case ENET_EVENT_TYPE_DISCONNECT:
      events.closed(event.data);
      return false;
    case ENET_EVENT_TYPE_RECEIVE:
      if (event.channelID < kLanes)
        events.chunk(event.channelID,
                     {reinterpret_cast<const char*>(event.packet->data), event.packet->dataLength});
      enet_packet_destroy(event.packet);
      return true;
    case ENET_EVENT_TYPE_NONE:
      break;
  }
  return true;
}

void EnetLink::flush(Clock::time_point now) {
  assert_settings();
  const EnetScope scope(wire_, enet_time(now));
  enet_host_flush(host_->host);
  count_path();
}

Clock::time_point EnetLink::next_timer(Clock::time_point now) const {
  const ENetPeer& peer = host_->peer();
  const enet_uint32 at = enet_time(now);
  const bool connected = peer.state == ENET_PEER_STATE_CONNECTED;
  const auto in_ms = [&](enet_uint32 due) {
    const auto left = static_cast<std::int32_t>(due - at);
    return now + std::chrono::milliseconds(std::clamp(left, 1, 10'000));
  };
  if (!enet_list_empty(const_cast<ENetList*>(&peer.sentReliableCommands))) return in_ms(peer.nextTimeout);
  if (!enet_list_empty(const_cast<ENetList*>(&peer.outgoingCommands)) ||
      !enet_list_empty(const_cast<ENetList*>(&peer.acknowledgements)))
    return in_ms(at + 1);
  return connected ? in_ms(peer.lastReceiveTime + kPingMs) : in_ms(at + kPingMs);
}

void EnetLink::hand(std::size_t lane, std::unique_ptr<Bytes> chunk) {
  auto handed = std::make_unique<Handed>(Handed{this, std::move(chunk), lane, 0});
  handed->bytes = handed->chunk->size();
  ENetPacket* packet = enet_packet_create(handed->chunk->data(), handed->bytes,
                                          ENET_PACKET_FLAG_RELIABLE | ENET_PACKET_FLAG_NO_ALLOCATE);
  assert(packet);  // ENet aborts when memory ends
  packet->userData = handed.get();
  packet->freeCallback = [](ENetPacket* p) {
    auto& done = *static_cast<Handed*>(p->userData);
    done.link->chunk_acked(done);
  };
  unsent_bytes_ += handed->bytes;
  handed_bytes_ += handed->bytes;
  undelivered_[lane] += handed->bytes;
  handed_[lane].push_back(std::move(handed));
  if (enet_peer_send(&host_->peer(), static_cast<enet_uint8>(lane), packet) != 0) enet_packet_destroy(packet);
}

void EnetLink::chunk_acked(Handed& handed) {
  handed.done = true;
  handed.chunk.reset();
  auto& lane = handed_[handed.lane];
  const std::size_t at = handed.lane;
  while (!lane.empty() && lane.front()->done) {
    undelivered_[at] -= lane.front()->bytes;
    lane.pop_front();
  }
}

// ENet sends at once what its window allows, and ours is the narrower: nothing waits inside it.
std::size_t EnetLink::in_flight_bytes() const { return host_->peer().reliableDataInTransit + unsent_bytes_; }

EnetLink::Path EnetLink::path() const {
  const ENetPeer& peer = host_->peer();
  return {peer.roundTripTime, sent_, lost_, acked_bytes_};
}

void EnetLink::close(std::uint32_t code, Clock::time_point now) {
  const EnetScope scope(wire_, enet_time(now));
  enet_peer_disconnect(&host_->peer(), code);
  enet_host_flush(host_->host);
}

void EnetLink::close_now(std::uint32_t code, Clock::time_point now) {
  const EnetScope scope(wire_, enet_time(now));
  enet_peer_disconnect_now(&host_->peer(), code);
}

}  // namespace syncline

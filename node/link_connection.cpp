#include "node/link_connection.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "protocol/limits.h"

namespace syncline {
namespace {

// UDP payloads that fit an IPv6 packet through a WireGuard or VXLAN tunnel over Ethernet (MTU 1420); on
// loopback as much as ENet can make.
constexpr std::size_t kPathBytes = 1372;
constexpr std::size_t kLoopbackBytes = 4096 + kSealBytes;
constexpr std::size_t kFragmentHeadBytes = 28;  // of ENet, in a datagram that is one fragment
constexpr std::size_t kFragmentsPerChunk =
    16;  // whole ones, so that the datagrams of a batch are of one size

constexpr std::size_t kControl = static_cast<std::size_t>(Lane::control);
constexpr std::size_t kBulk = static_cast<std::size_t>(Lane::bulk);
constexpr std::chrono::milliseconds kPaceStep{1};

// What the faster lanes may put on top of a full window, so that they never wait for bulk data to be
// acknowledged.
constexpr std::array<std::size_t, kLanes> kReserve{512 * 1024, 256 * 1024, 0};
constexpr std::array<std::size_t, kLanes> kQueueBytes{
    limits::link_control_queue_bytes, limits::link_small_queue_bytes, limits::link_bulk_queue_bytes};

constexpr std::array<std::size_t, kLanes> kUndelivered{limits::link_undelivered_fast_bytes,
                                                       limits::link_undelivered_fast_bytes,
                                                       limits::link_undelivered_bulk_bytes};

std::uint64_t to_ms(Clock::time_point t) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count());
}

// What ENet may put into one datagram.
std::size_t content_bytes(const Endpoint& remote, std::size_t datagram_bytes) {
  if (datagram_bytes == 0) datagram_bytes = remote.is_loopback() ? kLoopbackBytes : kPathBytes;
  return datagram_bytes - kSealBytes;
}

const char* describe(std::uint32_t code) {
  switch (static_cast<LinkEnd>(code)) {
    case LinkEnd::none:
      return "the other side stopped answering";
    case LinkEnd::stopping:
      return "the other side is stopping";
    case LinkEnd::not_member:
      return "the other side does not list this node as a member";
    case LinkEnd::replaced:
      return "the other side has a newer link";
    case LinkEnd::finished:
      return "the other side is done";
    case LinkEnd::overflow:
      return "the other side's queue to this node overflowed";
    case LinkEnd::broken:
      return "the other side could not read what this node sent";
  }
  return "closed by the other side";
}

}  // namespace

std::unique_ptr<LinkConnection> LinkConnection::create(const Identity& identity, const HandshakeDone& done,
                                                       const Tuning& tuning, LinkOwner& owner,
                                                       Clock::time_point now) {
  const std::size_t bytes = content_bytes(identity.remote, tuning.datagram_bytes);
  std::unique_ptr<LinkConnection> self(new LinkConnection(identity, done, tuning.keys, owner, bytes, now));
  self->enet_ = EnetLink::create({identity.initiator, bytes}, *self);
  if (!self->enet_) return nullptr;
  return self;
}

LinkConnection::LinkConnection(const Identity& identity, const HandshakeDone& done,
                               const SecureChannel::Limits& limits, LinkOwner& owner,
                               std::size_t content_bytes, Clock::time_point now)
    : identity_(identity),
      owner_(owner),
      channel_(limits),
      session_(done.session),
      born_(now),
      now_(now),
      last_heard_(now),
      confirmed_(identity.initiator),
      lanes_{LaneSender((content_bytes - kFragmentHeadBytes) * kFragmentsPerChunk),
             LaneSender((content_bytes - kFragmentHeadBytes) * kFragmentsPerChunk),
             LaneSender((content_bytes - kFragmentHeadBytes) * kFragmentsPerChunk)} {
  channel_.install(done.secrets, identity.initiator, to_ms(now));
}

void LinkConnection::end(LinkEnd code, const std::string& reason, Clock::time_point now) {
  if (over()) return;
  reason_ = reason;
  if (code != LinkEnd::none && channel_.can_send()) enet_->close_now(static_cast<std::uint32_t>(code), now);
}

void LinkConnection::renew(const HandshakeDone& done, bool initiator, Clock::time_point now) {
  channel_.install(done.secrets, initiator, to_ms(now));
  if (initiator) keep_alive();
}

void LinkConnection::keep_alive() { enet_send({}); }

void LinkConnection::enet_send(std::span<const BytesView> pieces) {
  if (!channel_.can_send()) return;
  const std::span<std::uint8_t> room = owner_.socket().reserve();
  std::size_t size = 0;
  for (BytesView piece : pieces) {
    assert(kSealBytes + size + piece.size() <= room.size());
    if (!piece.empty()) std::memcpy(room.data() + kSealHeadBytes + size, piece.data(), piece.size());
    size += piece.size();
  }
  const std::size_t sealed = channel_.seal(room, size);
  owner_.socket().commit(identity_.remote, sealed);
  sent_bytes_ += sealed;
}

std::size_t LinkConnection::enet_receive(std::span<std::uint8_t> out) {
  while (const DatagramSocket::Received* datagram = owner_.next_for(*this)) {
    const auto opened = channel_.open(datagram->bytes, out, to_ms(now_));
    if (opened) heard(datagram->from, datagram->bytes.size(), *opened);
    owner_.socket().pop();
    if (opened && opened->size > 0) return opened->size;
  }
  return 0;
}

void LinkConnection::heard(const Endpoint& from, std::size_t bytes, const SecureChannel::Opened& opened) {
  confirmed_ = true;
  last_heard_ = now_;
  unanswered_since_ = Clock::time_point::max();
  received_bytes_ += bytes;
  if (opened.newest) identity_.remote = from;  // the peer may move: another address, another port of a NAT
}

void LinkConnection::service(Clock::time_point now) {
  now_ = now;
  touched_ = true;
  const EnetLink::Events events{
      .connected =
          [this] {
            up_ = true;
            owner_.link_connected(*this);
          },
      .closed = [this](std::uint32_t code) { peer_closed(code); },
      .chunk = [this](std::size_t lane, BytesView chunk) { take_chunk(lane, chunk); },
  };
  enet_->service(now, events);
  if (!over() && channel_.expired(to_ms(now))) end(LinkEnd::none, "the keys could not be renewed", now);
  channel_.tick(to_ms(now));
  set_due(now);
}

void LinkConnection::peer_closed(std::uint32_t code) {
  if (over()) return;
  if (closing_)
    reason_ = "done";
  else
    reason_ = describe(code), disowned_ = static_cast<LinkEnd>(code) == LinkEnd::not_member;
}

void LinkConnection::take_chunk(std::size_t lane, BytesView chunk) {
  if (over()) return;
  LaneReceiver& receiver = receivers_[lane];
  receiver.feed(chunk);
  while (const auto message = receiver.next()) {
    owner_.link_message(*this, static_cast<Lane>(lane), *message);
    if (over()) return;
  }
  if (receiver.broken()) end(LinkEnd::broken, "the other side sent a message longer than allowed", now_);
}

bool LinkConnection::push(Lane lane, BytesView message, Clock::time_point now) {
  assert(message.size() <= limits::message_bytes);
  const auto at = static_cast<std::size_t>(lane);
  if (over() || finishing_ || !up_) return false;
  if (lanes_[at].bytes() + message.size() > kQueueBytes[at]) {
    refused_[at] = true;
    if (lane == Lane::control) end(LinkEnd::overflow, "too many control messages were waiting", now);
    return false;
  }
  lanes_[at].push(message);
  touched_ = true;
  return true;
}

void LinkConnection::pump(Clock::time_point now) {
  now_ = now;
  if (over() || !up_ || (!touched_ && paced_until_ > now)) return;
  touched_ = false;
  const std::size_t window = window_.bytes();
  const bool limited =
      lanes_[kBulk].bytes() > 0 && (enet_->in_flight_bytes() >= window || window_.paced_until() > now);
  window_.update(enet_->path(), limited, now);
  enet_->set_window(window_.bytes() + 2 * kReserve[0]);  // never what holds data back: our own account is
  hand_over();
  enet_->flush(now);
  if (!enet_->idle()) unanswered_since_ = std::min(unanswered_since_, now);
  const bool idle = enet_->idle() && lanes_[0].bytes() + lanes_[1].bytes() + lanes_[2].bytes() == 0;
  if (finishing_ && !closing_ && idle) {
    closing_ = true;
    enet_->close(static_cast<std::uint32_t>(LinkEnd::finished), now);
  }
  set_due(now);
}

// The faster lane first.
void LinkConnection::hand_over() {
  paced_until_ = Clock::time_point::max();
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const std::size_t most = window_.bytes() + kReserve[lane];
    while (enet_->in_flight_bytes() < most && enet_->undelivered_bytes(lane) < kUndelivered[lane]) {
      if (lanes_[lane].bytes() == 0) break;
      Clock::time_point at = lane == kControl ? now_ : owner_.upload_rate().free_at(now_);
      if (lane == kBulk) at = std::max(at, window_.paced_until());
      if (at > now_) {
        paced_until_ = std::min(paced_until_, std::max(at, now_ + kPaceStep));
        break;
      }
      auto chunk = lanes_[lane].pop();
      if (lane != kControl) owner_.upload_rate().count_sent(chunk->size(), now_);
      if (lane == kBulk) window_.count_sent(chunk->size(), now_);
      enet_->hand(lane, std::move(chunk));
    }
  }
}

bool LinkConnection::tell_writable() {
  bool told = false;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    if (over()) break;
    if (!refused_[lane] || lanes_[lane].bytes() > kQueueBytes[lane] / 2) continue;
    refused_[lane] = false;
    owner_.link_writable(*this, static_cast<Lane>(lane));
    told = true;
  }
  return told;
}

// Only after something was done: a time that is computed anew from `now` at every look is never reached.
void LinkConnection::set_due(Clock::time_point now) { due_ = std::min(enet_->next_timer(now), paced_until_); }

}  // namespace syncline

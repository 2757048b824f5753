#include <sodium.h>

#include <algorithm>
#include <chrono>

#include "node/link_transport.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

// A call of ours that young may still be answered.
constexpr std::chrono::seconds kOwnCallFor{1};
// So often a peer's init is left to our own call, then it is answered: perhaps only the peer can reach us.
constexpr unsigned kPassOver = 3;

noise::DhKeys new_ephemeral() {
  Key32 secret;
  randombytes_buf(secret.bytes.data(), secret.bytes.size());
  return noise::dh_keys(secret);
}

const char* describe(Refusal why) {
  switch (why) {
    case Refusal::version:
      return "speaks another link version";
    case Refusal::cannot_read:
      return "belongs to another cluster";
    case Refusal::not_member:
      return "is not on the member list";
    case Refusal::token:
      return "has no valid token";
    case Refusal::stale:
      return "has a clock that went backwards, or somebody replays its calls";
  }
  return "was refused";
}

}  // namespace

void LinkTransport::answer(const DatagramSocket::Received& datagram) {
  if (datagram.bytes.size() != wire::init_bytes) return;
  const auto type = static_cast<DatagramType>(byte_at(datagram.bytes, wire::type_at));
  if ((type != DatagramType::init && type != DatagramType::join_init) || !mac1_ok_(datagram.bytes)) return;

  const auto ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count());
  const Bytes from = datagram.from.key();
  switch (gate_.admit(cookies_.mac2_ok(datagram.bytes, from, ms), datagram.from.rate_source(), ms)) {
    case HandshakeGate::Verdict::drop:
      return;
    case HandshakeGate::Verdict::ask_cookie:
      return reply(datagram.from, cookies_.reply(datagram.bytes, from, ms));
    case HandshakeGate::Verdict::answer:
      break;
  }
  auto opened = HandshakeResponder::open({own_, options_.cluster}, datagram.bytes);
  if (const Refusal* why = std::get_if<Refusal>(&opened)) return refuse(datagram, *why);
  auto& responder = std::get<HandshakeResponder>(opened);
  if (responder.kind() == HandshakeKind::member)
    answer_member(responder, datagram);
  else
    answer_newcomer(responder, datagram);
}

void LinkTransport::answer_member(HandshakeResponder& responder, const DatagramSocket::Received& datagram) {
  const auto node = node_of_key_.find(responder.caller());
  if (node == node_of_key_.end()) return refuse(datagram, Refusal::not_member);
  if (!responder.read_payload(options_.cluster_psk)) return;
  Peer& peer = peers_.at(node->second);
  if (responder.timestamp() <= peer.last_stamp) return refuse(datagram, Refusal::stale);
  peer.last_stamp = responder.timestamp();

  LinkConnection* link = live(peer.link);
  const bool renewal = link && link->confirmed() && responder.session() == link->session();
  if (!renewal && leave_to_our_call(peer)) {
    ++peer.passed_over;
    return;
  }
  auto accepted = responder.accept(new_index(), ciphers_, !renewal, new_ephemeral());
  if (!accepted) return;
  if (renewal) {
    link->renew(accepted->done, false, now_);
    sync_indices(*slot(peer.link));
  } else {
    forget_calls(peer.dialler);
    if (LinkConnection* unproven = live(peer.unproven)) unproven->end(LinkEnd::none, "called again", now_);
    const Id id = next_id_++;
    const LinkConnection::Identity who{
        id, LinkConnection::Role::member, false, node->second, responder.caller(), {}, datagram.from};
    if (!add_link(who, accepted->done)) return;
    peer.unproven = id;
  }
  reply(datagram.from, accepted->response);
}

// Both call at once: the call of the smaller key goes on, so the other's init is left unanswered for a while.
bool LinkTransport::leave_to_our_call(const Peer& peer) const {
  if (!(own_.public_key < peer.config.public_key) || peer.passed_over >= kPassOver) return false;
  const auto link = slots_.find(peer.link);
  if (link != slots_.end() && !link->second.link->over())
    return link->second.link->identity().initiator && !link->second.link->up() &&
           now_ - link->second.link->born() < kOwnCallFor;
  return std::any_of(peer.dialler.pending().begin(), peer.dialler.pending().end(), [&](std::uint32_t index) {
    const auto call = calls_.find(index);
    return call != calls_.end() && now_ - call->second.sent < kOwnCallFor;
  });
}

void LinkTransport::answer_newcomer(HandshakeResponder& responder, const DatagramSocket::Received& datagram) {
  const std::optional<Key32> secret = handler_.token_secret(responder.token_id());
  if (!secret || !responder.read_payload(*secret)) return refuse(datagram, Refusal::token);
  if (newcomers() >= limits::join_links) return;
  auto accepted = responder.accept(new_index(), ciphers_, true, new_ephemeral());
  if (!accepted) return;
  const LinkConnection::Identity who{next_id_++,         LinkConnection::Role::join_in, false,        {},
                                     responder.caller(), responder.token_id(),          datagram.from};
  if (!add_link(who, accepted->done)) return;
  reply(datagram.from, accepted->response);
}

std::size_t LinkTransport::newcomers() const {
  return static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const auto& entry) {
    return entry.second.link->identity().role == LinkConnection::Role::join_in;
  }));
}

void LinkTransport::refuse(const DatagramSocket::Received& datagram, Refusal why) {
  reply(datagram.from, refusal_reply(datagram.bytes, why));
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  if (refusals_told_.take(static_cast<std::uint64_t>(ms)))
    handler_.caller_refused(to_string(datagram.from), describe(why));
}

void LinkTransport::reply(const Endpoint& to, BytesView datagram) {
  const std::span<std::uint8_t> room = socket_->reserve();
  std::copy(datagram.begin(), datagram.end(), room.begin());
  socket_->commit(to, datagram.size());
}

}  // namespace syncline

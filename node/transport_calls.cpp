#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sodium.h>

#include <algorithm>
#include <chrono>

#include "node/link_transport.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr std::chrono::seconds kRenewAgain{2};
constexpr std::size_t kRoundsBeforeComplaint = 3;

std::uint64_t wall_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

noise::DhKeys new_ephemeral() {
  Key32 secret;
  randombytes_buf(secret.bytes.data(), secret.bytes.size());
  return noise::dh_keys(secret);
}

std::string no_answer(const std::vector<std::string>& addresses) {
  return fmt::format("no answer from {}", fmt::join(addresses, ", "));
}

}  // namespace

std::uint32_t LinkTransport::new_index() {
  std::uint32_t index = 0;
  do {
    index = randombytes_random();
  } while (index == 0 || by_index_.contains(index) || calls_.contains(index));
  return index;
}

void LinkTransport::call_all() {
  std::vector<NodeId> alone;
  for (auto& [node, peer] : peers_)
    if (!live(peer.link) && !live(peer.unproven)) alone.push_back(node);
  for (const NodeId& node : alone)  // a report may change the list
    if (const auto found = peers_.find(node); found != peers_.end()) call_peer(node, found->second);

  std::vector<Id> joins;
  for (auto& [id, joining] : joining_) joins.push_back(id);
  for (Id id : joins)
    if (const auto found = joining_.find(id); found != joining_.end()) call_inviter(id, found->second);
  for (auto& [id, reason] : std::exchange(joins_failed_, {})) handler_.join_closed(id, reason);
}

void LinkTransport::call_peer(const NodeId& node, Peer& peer) {
  std::string problem;
  if (const auto to = peer.dialler.due(now_, resolver_, *socket_)) {
    HandshakeInitiator::Options options;
    options.kind = HandshakeKind::member;
    options.responder = peer.config.public_key;
    options.cluster = options_.cluster;
    options.psk = options_.cluster_psk;
    const Status sent = send_init(Call::For::link, node, 0, options, *to, peer.dialler);
    if (!sent) problem = sent.error().message;
  }
  if (problem.empty()) problem = peer.dialler.problem();
  if (problem.empty() && peer.dialler.rounds() > kRoundsBeforeComplaint && peer.reported.empty())
    problem = no_answer(peer.dialler.addresses());
  if (!problem.empty()) report_dial(node, problem);  // last: the handler may take the peer off the list
}

void LinkTransport::call_inviter(Id id, Joining& joining) {
  if (now_ >= joining.deadline) {
    const std::string& problem = joining.problem.empty() ? joining.dialler.problem() : joining.problem;
    return close_join(id, problem.empty() ? no_answer(joining.dialler.addresses()) : problem);
  }
  const auto to = joining.dialler.due(now_, resolver_, *socket_);
  if (!to) return;
  HandshakeInitiator::Options options;
  options.kind = HandshakeKind::join;
  options.responder = joining.target.inviter_public_key;
  options.psk = joining.target.token_secret;
  options.token_id = joining.target.token_id;
  const Status sent = send_init(Call::For::join, {}, id, options, *to, joining.dialler);
  if (!sent) close_join(id, sent.error().message);
}

// The side that called asks for new keys; datagrams go on with the old ones until it has them.
void LinkTransport::renew_keys() {
  for (auto& [id, slot] : slots_) {
    LinkConnection& link = *slot.link;
    const LinkConnection::Identity& who = link.identity();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
    if (link.over() || !link.up() || !who.initiator || who.role != LinkConnection::Role::member ||
        now_ < slot.renew_at || !link.channel().wants_rekey(static_cast<std::uint64_t>(ms)))
      continue;
    slot.renew_at = now_ + kRenewAgain;
    HandshakeInitiator::Options options;
    options.kind = HandshakeKind::member;
    options.responder = who.peer_key;
    options.cluster = options_.cluster;
    options.psk = options_.cluster_psk;
    options.session = link.session();
    if (const auto peer = peers_.find(who.node); peer != peers_.end())
      (void)send_init(Call::For::renewal, who.node, id, options, link.remote(), peer->second.dialler);
  }
}

Status LinkTransport::send_init(Call::For what, const NodeId& node, Id id,
                                HandshakeInitiator::Options options, const Endpoint& to,
                                LinkDialler& dialler) {
  options.own = own_;
  options.index = new_index();
  options.timestamp = last_stamp_ = std::max(last_stamp_ + 1, wall_ns());
  options.ciphers = ciphers_;
  options.ephemeral = new_ephemeral();
  auto handshake = HandshakeInitiator::start(options, dialler.cookie(now_));
  sodium_memzero(&options.psk, sizeof options.psk);
  if (!handshake) return tl::unexpected(handshake.error());
  reply(to, handshake->message());
  calls_.emplace(options.index, Call{what, node, id, now_, std::move(*handshake)});
  const auto oldest = dialler.add_pending(options.index);
  if (oldest) calls_.erase(*oldest);
  return {};
}

void LinkTransport::take_answer(const DatagramSocket::Received& datagram) {
  const auto found = calls_.find(*receiver_index(datagram.bytes));
  if (found == calls_.end()) return;
  auto outcome = found->second.handshake.receive(datagram.bytes);
  if (auto* done = std::get_if<HandshakeDone>(&outcome)) {
    const Call call = std::move(found->second);
    calls_.erase(found);
    call_done(call, *done, datagram.from);
  } else if (auto* refused = std::get_if<HandshakeInitiator::Refused>(&outcome)) {
    call_refused(found->second, refused->reason);
  } else if (auto* cookie = std::get_if<Mac>(&outcome)) {
    keep_cookie(found->second, *cookie);
  }
}

void LinkTransport::call_done(const Call& call, const HandshakeDone& done, const Endpoint& from) {
  using Role = LinkConnection::Role;
  if (call.what == Call::For::join) {
    const auto found = joining_.find(call.id);
    if (found == joining_.end()) return;
    const JoinTarget target = found->second.target;
    forget_calls(found->second.dialler);
    joining_.erase(found);
    add_link({call.id, Role::join_out, true, {}, target.inviter_public_key, target.token_id, from}, done);
    return;
  }
  const auto found = peers_.find(call.node);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  LinkConnection* link = live(peer.link);
  if (call.what == Call::For::renewal && !done.fresh) {
    if (link && link->identity().id == call.id) {
      link->renew(done, true, now_);
      sync_indices(*slot(call.id));
    }
    return;
  }
  if (link && call.what == Call::For::link) return;  // another link came first
  if (link) link->end(LinkEnd::none, "the other side has lost the link", now_);
  if (LinkConnection* unproven = live(peer.unproven))
    unproven->end(LinkEnd::none, "our own call came first", now_);
  forget_calls(peer.dialler);
  const Id id = next_id_++;
  if (add_link({id, Role::member, true, call.node, peer.config.public_key, {}, from}, done)) peer.link = id;
}

// A refusal is not authentic, so a member is called again all the same; a newcomer's call is over.
void LinkTransport::call_refused(const Call& call, const std::string& reason) {
  if (call.what == Call::For::join) return close_join(call.id, reason);
  report_dial(call.node, reason);
}

void LinkTransport::keep_cookie(const Call& call, const Mac& cookie) {
  if (call.what == Call::For::join) {
    if (const auto found = joining_.find(call.id); found != joining_.end())
      found->second.dialler.keep_cookie(cookie, now_);
  } else if (const auto found = peers_.find(call.node); found != peers_.end()) {
    found->second.dialler.keep_cookie(cookie, now_);
  }
}

void LinkTransport::forget_calls(LinkDialler& dialler) {
  for (std::uint32_t index : dialler.pending()) calls_.erase(index);
  dialler.forget_pending();
}

void LinkTransport::report_dial(NodeId node, const std::string& reason) {
  const auto found = peers_.find(node);
  if (found == peers_.end() || found->second.reported == reason) return;
  found->second.reported = reason;
  handler_.dial_failed(node, reason);
}

// Told at the end of service().
void LinkTransport::close_join(Id id, const std::string& reason) {
  const auto found = joining_.find(id);
  if (found == joining_.end()) return;
  forget_calls(found->second.dialler);
  joins_failed_.emplace_back(id, reason);
  joining_.erase(found);
}

}  // namespace syncline

#include <algorithm>
#include <cassert>

#include "node/link_transport.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kBudget = 2048;  // datagrams of one service(): some milliseconds
constexpr seconds kSilence{9};         // without one authentic datagram the peer is gone: two pings and more
constexpr seconds kUnanswered{4};      // the same while it owes acknowledgements: readers may be sent to it, and `wait` waits for it
constexpr seconds kStall{1};           // later than asked for: it was we who did not run
constexpr seconds kAfterStall{3};
constexpr seconds kUnproven{2};        // for the caller's first datagram after our answer
constexpr seconds kConnecting{5};      // from the handshake to a link that is up
constexpr std::chrono::minutes kJoinFor{2};
constexpr milliseconds kReconnect{50};

}  // namespace

Clock::time_point LinkTransport::service(Clock::time_point now) {
  set_time(now);
  budget_ = kBudget;
  socket_->woken();
  receive();
  run_timers();
  renew_keys();
  call_all();
  pump_all(true);
  sweep();
  return promised_ = next_time(socket_->flush());
}

// A process that was stopped, swapped out or held up by its disk has no word of its peers' silence: what they said may be waiting in the
// socket. That time is taken out of the links' clocks, before they have seen it: they must never run backwards. After a long stall the
// peers are likely to have given up, and have only a moment to show that they have not.
void LinkTransport::set_time(Clock::time_point now) {
  now_ = now;
  const auto stall = now_ - promised_;
  if (promised_ != Clock::time_point{} && stall >= kStall) {
    const auto heard_at_most = stall < kSilence ? now_ : now_ - kSilence + kAfterStall;
    for (auto& [id, slot] : slots_) slot.link->excuse(stall, heard_at_most);
  }
  promised_ = std::max(promised_, now_);
}

void LinkTransport::receive() {
  while (budget_ > 0) {
    const DatagramSocket::Received* datagram = socket_->peek();
    if (!datagram) break;
    const auto index = receiver_index(datagram->bytes);
    const bool data = index && byte_at(datagram->bytes, 0) == static_cast<std::uint8_t>(DatagramType::data);
    const bool whole = data && datagram->bytes.size() >= kSealBytes;
    const auto found = whole ? by_index_.find(*index) : by_index_.end();
    if (found != by_index_.end() && live(found->second)) {
      serve(found->second);
      continue;
    }
    --budget_;
    if (index && !data)
      take_answer(*datagram);
    else if (!index)
      answer(*datagram);
    socket_->pop();
  }
}

const DatagramSocket::Received* LinkTransport::next_for(const LinkConnection& connection) {
  if (budget_ == 0) return nullptr;
  const DatagramSocket::Received* datagram = socket_->peek();
  if (!datagram || datagram->bytes.size() < kSealBytes ||
      byte_at(datagram->bytes, 0) != static_cast<std::uint8_t>(DatagramType::data))
    return nullptr;
  const auto found = by_index_.find(u32_at(datagram->bytes, 1));
  if (found == by_index_.end() || found->second != connection.identity().id) return nullptr;
  --budget_;
  return datagram;
}

// Lets one connection take what is for it, and draws the consequences.
void LinkTransport::serve(Id id) {
  LinkConnection& link = *slots_.at(id).link;
  const bool proven = link.confirmed();
  const std::size_t before = budget_;
  link.service(now_);
  if (budget_ == before && next_for(link))
    socket_->pop();  // ENet did not ask: rather lose one than ask for ever
  if (!proven && link.confirmed() && !link.over()) on_proven(link);
  if (Slot* s = slot(id)) sync_indices(*s);
  if (link.over()) sweep();
}

// The caller has shown that it is alive: its link replaces the one there was. A peer that calls after it has answered our own
// call is another process by then and knows nothing of that link; calls at the same time were settled by leave_to_our_call().
void LinkTransport::on_proven(LinkConnection& link) {
  if (link.identity().role != LinkConnection::Role::member) return;
  const auto found = peers_.find(link.identity().node);
  if (found == peers_.end()) return link.end(LinkEnd::finished, "no longer a member", now_);
  if (found->second.config.gone) return link.end(LinkEnd::not_member, "no longer a member", now_);
  Peer& peer = found->second;
  if (peer.unproven == link.identity().id) peer.unproven = 0;
  LinkConnection* other = live(peer.link);
  if (other) other->end(LinkEnd::replaced, "the other side started a new link", now_);
  peer.link = link.identity().id;
  forget_calls(peer.dialler);
  sweep();  // link_down of the old one comes before link_up of this
}

void LinkTransport::run_timers() {
  std::vector<Id> due;
  for (auto& [id, slot] : slots_) {
    check_age(*slot.link);
    if (!slot.link->over() && slot.link->due() <= now_) due.push_back(id);
  }
  for (Id id : due)
    if (live(id)) serve(id);
}

void LinkTransport::check_age(LinkConnection& link) {
  using Role = LinkConnection::Role;
  const auto age = now_ - link.born();
  if (!link.confirmed() && age >= kUnproven) return link.end(LinkEnd::none, "the caller did not go on", now_);
  if (!link.up() && age >= kConnecting) return link.end(LinkEnd::none, "no answer", now_);
  if (now_ - link.last_heard() >= kSilence)
    return link.end(LinkEnd::none, "no answer for 9 seconds", now_);
  if (link.up() && link.unanswered_since() <= now_ - kUnanswered)
    return link.end(LinkEnd::none, "no acknowledgement for 4 seconds", now_);
  if (link.identity().role != Role::member && age >= kJoinFor)
    link.end(LinkEnd::finished, "took too long", now_);
}

void LinkTransport::pump_all(bool tell) {
  if (rate_.limited())
    pump_in_turns();
  else
    for (auto& [id, slot] : slots_) slot.link->pump(now_);
  if (!tell) return;
  std::vector<Id> ids;
  for (auto& [id, slot] : slots_) ids.push_back(id);
  for (Id id : ids)
    if (LinkConnection* link = live(id); link && link->tell_writable()) link->pump(now_);
}

// Another link first each time: what the rate lets out would else all be that of the first.
void LinkTransport::pump_in_turns() {
  std::vector<LinkConnection*> links;
  for (auto& [id, slot] : slots_) links.push_back(slot.link.get());
  if (links.empty()) return;
  std::rotate(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(++turn_ % links.size()), links.end());
  for (LinkConnection* link : links) link->pump(now_);
}

// Takes out the connections that are over, then tells. The handler may call anything, so nothing is held
// meanwhile.
void LinkTransport::sweep() {
  std::vector<std::unique_ptr<LinkConnection>> ended;
  for (auto it = slots_.begin(); it != slots_.end();) {
    if (!it->second.link->over()) {
      ++it;
      continue;
    }
    for (std::uint32_t index : it->second.indices) by_index_.erase(index);
    ended.push_back(std::move(it->second.link));
    it = slots_.erase(it);
  }
  for (auto& link : ended) report_end(*link);
}

void LinkTransport::report_end(LinkConnection& link) {
  const LinkConnection::Identity& who = link.identity();
  if (who.role != LinkConnection::Role::member) {
    const bool known = link.up() || who.role == LinkConnection::Role::join_out;
    if (known) handler_.join_closed(who.id, link.reason());
    return;
  }
  const auto found = peers_.find(who.node);
  if (found != peers_.end()) {
    Peer& peer = found->second;
    peer.past.sent_bytes += link.sent_bytes();
    peer.past.received_bytes += link.received_bytes();
    if (peer.unproven == who.id) peer.unproven = 0;
    if (peer.link == who.id) peer.link = 0;
    if (link.up()) peer.dialler.restart(now_, kReconnect);
  }
  if (link.disowned()) handler_.disowned(who.node);
  if (link.up()) handler_.link_down(who.node, link.reason());
}

Clock::time_point LinkTransport::next_time(bool flushed) {
  if (budget_ == 0 && socket_->peek()) return now_;
  Clock::time_point next = now_ + seconds(10);
  if (!flushed || resolver_.busy()) next = now_ + milliseconds(flushed ? 20 : 1);
  for (auto& [id, slot] : slots_) {
    const LinkConnection& link = *slot.link;
    next = std::min({next, link.due(), link.last_heard() + kSilence});
    if (link.up() && link.unanswered_since() != Clock::time_point::max()) next = std::min(next, link.unanswered_since() + kUnanswered);
    if (!link.confirmed()) next = std::min(next, link.born() + kUnproven);
    if (!link.up()) next = std::min(next, link.born() + kConnecting);
  }
  for (auto& [node, peer] : peers_)
    if (!live(peer.link) && !live(peer.unproven)) next = std::min(next, peer.dialler.next());
  for (auto& [id, joining] : joining_) next = std::min({next, joining.dialler.next(), joining.deadline});
  if (!joins_failed_.empty()) next = now_;
  return std::max(next, now_);
}

LinkTransport::Slot* LinkTransport::slot(Id id) {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &found->second;
}

LinkConnection* LinkTransport::live(Id id) {
  const Slot* found = slot(id);
  return found && !found->link->over() ? found->link.get() : nullptr;
}

// The link that is up to this node, or nullptr.
LinkConnection* LinkTransport::link_to(const NodeId& node) const {
  const auto peer = peers_.find(node);
  if (peer == peers_.end()) return nullptr;
  const auto found = slots_.find(peer->second.link);
  if (found == slots_.end() || found->second.link->over() || !found->second.link->up()) return nullptr;
  return found->second.link.get();
}

LinkConnection* LinkTransport::add_link(const LinkConnection::Identity& identity, const HandshakeDone& done) {
  auto link = LinkConnection::create(identity, done, {tuning_.keys, tuning_.datagram_bytes}, *this, now_);
  if (!link) return nullptr;
  Slot& slot = slots_[identity.id];
  slot.link = std::move(link);
  sync_indices(slot);
  return slot.link.get();
}

void LinkTransport::sync_indices(Slot& slot) {
  if (slot.changes == slot.link->channel().changes()) return;
  slot.changes = slot.link->channel().changes();
  for (std::uint32_t index : slot.indices) by_index_.erase(index);
  slot.indices = slot.link->channel().indices();
  for (std::uint32_t index : slot.indices) by_index_[index] = slot.link->identity().id;
}

void LinkTransport::link_connected(LinkConnection& link) {
  const LinkConnection::Identity& who = link.identity();
  if (who.role != LinkConnection::Role::member)
    return handler_.join_opened(who.id, who.peer_key, who.token_id, to_string(link.remote()));
  const auto found = peers_.find(who.node);
  if (found == peers_.end() || found->second.link != who.id) return;
  found->second.passed_over = 0;
  found->second.reported.clear();
  call_again(who.node);
  handler_.link_up(who.node);
}

// What had cut this node off from one member had likely cut it off from the others, too: they are not left to their back-off.
void LinkTransport::call_again(const NodeId& but) {
  for (auto& [node, peer] : peers_) {
    if (node != but && peer.dialler.rounds() > 0 && !live(peer.link) && !live(peer.unproven)) peer.dialler.restart(now_, {});
  }
}

void LinkTransport::link_message(LinkConnection& link, Lane lane, BytesView message) {
  const LinkConnection::Identity& who = link.identity();
  if (who.role == LinkConnection::Role::member)
    handler_.received(who.node, lane, message);
  else
    handler_.join_received(who.id, message);
}

void LinkTransport::link_writable(LinkConnection& link, Lane lane) {
  if (link.identity().role == LinkConnection::Role::member) handler_.writable(link.identity().node, lane);
}

}  // namespace syncline

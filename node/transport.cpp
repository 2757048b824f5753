#include "node/transport.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "node/link_transport.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

void fill_random(void* out, std::size_t size) { randombytes_buf(out, size); }

}  // namespace

Result<std::unique_ptr<Transport>> Transport::create(const Options& options, TransportHandler& handler) {
  return LinkTransport::create(options, {}, handler);
}

Result<std::unique_ptr<Transport>> LinkTransport::create(const Options& options, const Tuning& tuning,
                                                         TransportHandler& handler) {
  if (sodium_init() < 0) return fail(Error::Code::unsupported, "libsodium cannot be initialised");
  if (!enet_is_ours())
    return fail(Error::Code::unsupported,
                "this libenet was linked with -Bsymbolic-functions: its datagrams cannot be encrypted; "
                "install another");
  const Result<HostPort> listen = parse_host_port(options.listen);
  if (!listen) return tl::unexpected(listen.error());
  auto socket = DatagramSocket::bind(*listen, tuning.socket);
  if (!socket) return tl::unexpected(socket.error());
  return std::unique_ptr<Transport>(new LinkTransport(options, tuning, std::move(*socket), handler));
}

LinkTransport::LinkTransport(const Options& options, const Tuning& tuning,
                             std::unique_ptr<DatagramSocket> socket, TransportHandler& handler)
    : options_(options),
      tuning_(tuning),
      ciphers_(tuning.ciphers ? tuning.ciphers : available_ciphers()),
      own_{options.keys.secret, options.keys.public_key},
      handler_(handler),
      socket_(std::move(socket)),
      mac1_ok_(options.keys.public_key),
      cookies_(options.keys.public_key, fill_random) {}

LinkTransport::~LinkTransport() {
  const auto now = moment();
  for (auto& [id, slot] : slots_) slot.link->end(LinkEnd::stopping, "stopping", now);
  socket_->flush();
  sodium_memzero(&options_.cluster_psk, Key32::size);
  sodium_memzero(&options_.keys.secret, Key32::size);
}

static std::vector<std::string> called_at(const LinkPeer& peer) {
  return peer.gone ? std::vector<std::string>{} : peer.addresses;
}

void LinkTransport::set_peers(const std::vector<LinkPeer>& peers) {
  const auto now = moment();
  std::unordered_map<NodeId, const LinkPeer*> wanted;
  for (const LinkPeer& peer : peers)
    if (peer.public_key != own_.public_key) wanted[peer.node] = &peer;
  for (auto at = peers_.begin(); at != peers_.end();) {
    Peer& peer = at->second;
    const auto found = wanted.find(at->first);
    const bool stays = found != wanted.end() && found->second->public_key == peer.config.public_key;
    if (stays && (peer.config.gone || !found->second->gone)) {
      ++at;
      continue;
    }
    // Only to one that is gone it is said, for it believes it: who leaves takes all the others off its list.
    const LinkEnd code = found != wanted.end() && found->second->gone ? LinkEnd::not_member : LinkEnd::finished;
    for (Id id : {peer.link, peer.unproven})
      if (LinkConnection* link = live(id)) link->end(code, "no longer a member", now);
    forget_calls(peer.dialler);
    node_of_key_.erase(peer.config.public_key);
    at = peers_.erase(at);
  }
  for (const auto& [node, peer] : wanted) {
    const auto found = peers_.find(node);
    if (found != peers_.end()) {
      found->second.config = *peer;
      found->second.dialler.set_addresses(called_at(*peer));
      continue;
    }
    peers_.emplace(node, Peer{*peer, LinkDialler(called_at(*peer)), 0, 0, 0, 0, {}, {}});
    node_of_key_[peer->public_key] = node;
  }
  socket_->wake_at(now);
}

bool LinkTransport::send(const NodeId& peer, Lane lane, BytesView message) {
  LinkConnection* link = link_to(peer);
  if (!link) return false;
  const bool taken = link->push(lane, message, moment());
  if (link->over()) socket_->wake_at(moment());  // service() tells
  return taken;
}

void LinkTransport::set_upload_rate(std::uint64_t bytes_per_second) {
  rate_.set(bytes_per_second, moment());
  socket_->wake_at(moment());  // what waits for the old rate
}

std::size_t LinkTransport::queued_bytes(const NodeId& peer, Lane lane) const {
  const LinkConnection* link = link_to(peer);
  return link ? link->queued_bytes(lane) : 0;
}

LinkStats LinkTransport::stats(const NodeId& peer) const {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return {};
  LinkStats out = found->second.past;
  if (const LinkConnection* link = link_to(peer)) {
    out.sent_bytes += link->sent_bytes();
    out.received_bytes += link->received_bytes();
    out.rtt_us = link->rtt_us();
    out.address = to_string(link->remote());
  }
  return out;
}

JoinLinkId LinkTransport::join(const JoinTarget& target) {
  constexpr std::chrono::seconds kPatience{10};
  const Id id = next_id_++;
  const auto now = moment();
  joining_.emplace(id, Joining{target, LinkDialler(target.addresses), now + kPatience, {}});
  socket_->wake_at(now);
  return id;
}

bool LinkTransport::join_send(JoinLinkId link, BytesView message) {
  LinkConnection* found = live(link);
  return found && found->identity().role != LinkConnection::Role::member &&
         found->push(Lane::control, message, moment());
}

void LinkTransport::join_close(JoinLinkId link) {
  if (joining_.contains(link)) return close_join(link, "closed");
  LinkConnection* found = live(link);
  if (found && found->identity().role != LinkConnection::Role::member) found->finish();
  socket_->wake_at(moment());
}

void LinkTransport::flush() {
  set_time(moment());
  pump_all(false);
  socket_->wake_at(promised_ = next_time(socket_->flush()));
}

}  // namespace syncline

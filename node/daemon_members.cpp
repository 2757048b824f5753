#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "node/daemon.h"

namespace syncline {

// The cluster's own folder must say where this node is now; a newcomer's first run also brings what its
// inviter told it.
void Daemon::publish_self() {
  const std::string listen_port = transport_->local_address();
  Config at = home_.config;
  const auto colon = listen_port.rfind(':');
  if (colon != std::string::npos)
    at.listen = at.listen.substr(0, at.listen.rfind(':')) + listen_port.substr(colon);
  for (const Member& known : home_.members) {
    if (known.node != home_.identity.node) continue;
    // An index that was made anew does not know it.
    if (known.state != MemberState::joined && !replica_->values("gone").contains(departure_path(known.node)))
      put_departure(known.node, known.state, known.node);
    Member self = known;
    const auto saved = replica_->values("members");
    if (const auto it = saved.find(member_path(known.node)); it != saved.end()) {
      if (const auto decoded = decode_member(it->second)) self = *decoded;
    }
    // A wildcard address was replaced by the inviter with one that works: keep it unless the configuration
    // says something definite.
    const std::vector<std::string> own = own_addresses(at);
    const bool wildcard =
        at.advertise.empty() && (at.listen.rfind("0.0.0.0", 0) == 0 || at.listen.rfind("[::]", 0) == 0);
    if (!wildcard || self.addresses.empty()) self.addresses = own;
    self.name = home_.config.name;
    self.http = http_->local_address();
    if (!check(self)) self.http.clear();  // many long addresses left no room
    sign(self, home_.cluster.cluster, home_.identity.signing);
    replica_->put_value(member_path(self.node), encode_member(self), now());
  }
  tell(Tick{});
}

// Members by the cluster's own records; before those have come, by what `join` left in the home.
void Daemon::update_members() {
  members_changed_ = false;
  std::map<NodeId, Member> all;
  for (const Member& m : home_.members) all[m.node] = m;
  for (const auto& [path, value] : replica_->values("members")) {
    const auto m = decode_member(value);
    if (m && member_path(m->node) == path && syncline::verify(*m, home_.cluster.cluster))
      all[m->node] = *m;
    else
      spdlog::warn("a member record that does not verify was ignored: {}", path);
  }
  for (const auto& [path, value] : replica_->values("gone")) {
    const auto gone = decode_departure(value);
    if (!gone || departure_path(gone->node) != path) spdlog::warn("a departure that is malformed was ignored: {}", path);
    else if (const auto m = all.find(gone->node); m != all.end()) m->second.state = gone->state;
  }
  members_.clear();
  std::vector<LinkPeer> peers;
  std::vector<Member> saved;
  for (const auto& [node, m] : all) {
    if (node == home_.identity.node) {
      members_.insert(members_.begin(), m);
      saved.push_back(m);
      continue;
    }
    members_.push_back(m);
    const bool hangs_up = m.state == MemberState::left && link_up_.contains(node);  // itself, once it has heard that it was understood
    if (m.state == MemberState::joined) saved.push_back(m);
    peers.push_back({node, m.link_key, m.addresses, m.state != MemberState::joined && !hangs_up});
  }
  if (!keeps_links()) peers.clear();
  transport_->set_peers(peers);
  // Beside the index, so that a node whose index had to be made anew still knows whom to trust and call.
  if (std::string text = members_text(saved); text != members_saved_) {
    if (const Status s = write_private(home_.path + "/members", text); !s) spdlog::warn("{}", s.error().message);
    else members_saved_ = std::move(text);
  }
}

const Member* Daemon::member(const NodeId& node) const {
  const auto it =
      std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.node == node; });
  return it == members_.end() ? nullptr : &*it;
}

std::string Daemon::name_of(const NodeId& node) const {
  const Member* m = member(node);
  return m ? m->name : to_hex(node).substr(0, 12);
}

std::string Daemon::writer_name(const ActorId& actor) const {
  const NodeId node = replica_->node_of(actor);
  return node.is_zero() ? to_hex(actor) : name_of(node);
}

void Daemon::dial_failed(const NodeId& peer, const std::string& reason) { spdlog::warn("no link to {}: {}", name_of(peer), reason); }

void Daemon::caller_refused(const std::string& address, const std::string& reason) {
  spdlog::info("a caller at {} was sent away: it {}", address, reason);
}

// ---- newcomers
// --------------------------------------------------------------------------------------------------------------

std::optional<Key32> Daemon::token_secret(const std::array<std::uint8_t, 8>& token_id) {
  return invites_->secret(token_id, WallTime{now().wall_ms});
}

void Daemon::join_opened(JoinLinkId link, const Key32& newcomer, const std::array<std::uint8_t, 8>& token_id,
                         const std::string& address) {
  join_links_[link] = {newcomer, token_id, address};
}

void Daemon::join_received(JoinLinkId link, BytesView message) {
  const auto it = join_links_.find(link);
  if (it == join_links_.end()) return;
  const AdmitContext context{home_.cluster, home_.identity.node, members_, *invites_,
                             WallTime{now().wall_ms}};
  const Admission admission =
      admit(message, it->second.key, it->second.token_id, it->second.address, context);
  if (admission.admitted) {
    replica_->put_value(member_path(admission.admitted->node), encode_member(*admission.admitted), now());
    tell(Tick{});
    spdlog::info("{} joined from {}", admission.admitted->name, it->second.address);
  } else {
    spdlog::warn("a join from {} was refused: {}", it->second.address, admission.reply.refusal);
  }
  process();  // the member's record is written before the newcomer is told
  transport_->join_send(link, encode_join_reply(admission.reply));
  transport_->join_close(link);
}

void Daemon::join_closed(JoinLinkId link, const std::string&) { join_links_.erase(link); }

}  // namespace syncline

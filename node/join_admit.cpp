#include <fmt/format.h>

#include <algorithm>

#include "node/join.h"
#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

// "::ffff:192.0.2.7" is how a socket for both families names an IPv4 peer; the others may have sockets for
// IPv4 only.
std::string plain_host(const std::string& host) {
  constexpr std::string_view mapped = "::ffff:";
  return host.starts_with(mapped) && host.find('.') != std::string::npos ? host.substr(mapped.size()) : host;
}

// What the others are to call: a newcomer that listens on every interface cannot know by which of them it is
// seen.
std::vector<std::string> reachable(const std::vector<std::string>& claimed, const std::string& seen_at) {
  const auto seen = parse_address(seen_at);
  std::vector<std::string> out;
  for (const auto& text : claimed) {
    auto address = parse_address(text);
    if (!address) continue;
    if (address->is_wildcard()) {
      if (!seen) continue;
      address->host = plain_host(seen->host);
    }
    if (std::ranges::find(out, address->text()) == out.end()) out.push_back(address->text());
  }
  return out;
}

// Empty: nothing speaks against it.
std::string objection(const JoinRequest& request, const Key32& link_key, const AdmitContext& c) {
  const Member& m = request.member;
  if (request.version != kProtocolVersion)
    return fmt::format(
        "this cluster speaks protocol version {}, the newcomer {}: use the same version of syncline",
        kProtocolVersion, request.version);
  if (m.link_key != link_key || m.state != MemberState::joined || !verify(m, c.cluster.cluster))
    return "the newcomer's keys do not fit together";
  for (const Member& other : c.members) {
    if (other.node == m.node || other.link_key == m.link_key)
      return fmt::format("a member with these keys is known already: {}", other.name);
    if (other.state == MemberState::joined && other.name == m.name)
      return fmt::format("a member named {} is known already: choose another name with --name", m.name);
  }
  if (c.members.size() >= limits::members) return "the cluster is full";
  return {};
}

Admission refused(std::string reason) {
  Admission out;
  out.reply.refusal = std::move(reason);
  return out;
}

}  // namespace

Admission admit(BytesView bytes, const Key32& link_key, const TokenId& token_id, const std::string& address,
                const AdmitContext& context) {
  const auto request = decode_join_request(bytes);
  if (!request) return refused(request.error().message);
  if (std::string reason = objection(*request, link_key, context); !reason.empty())
    return refused(std::move(reason));

  Member newcomer = request->member;
  newcomer.admitted_by = context.self;
  newcomer.addresses = reachable(newcomer.addresses, address);
  if (const Status good = check(newcomer); !good) return refused(good.error().message);
  if (const Status used = context.invites.consume(token_id, context.now); !used)
    return refused(used.error().message);

  Admission out;
  out.reply.cluster = context.cluster.cluster;
  out.reply.hash_key = context.cluster.hash_key;
  out.reply.psk = context.cluster.psk;
  out.reply.folders = context.cluster.folders;
  out.reply.you = newcomer;
  for (const Member& m : context.members)
    if (m.state == MemberState::joined && out.reply.members.size() < limits::join_members)
      out.reply.members.push_back(m);
  out.admitted = std::move(newcomer);
  return out;
}

Result<InviteReply> make_invitation(const InviteRequest& request, const ClusterId& cluster,
                                    const Key32& own_link_key, const std::vector<std::string>& addresses,
                                    Invites& invites, WallTime now) {
  const auto invite = invites.create(request.uses, request.ttl_ms, now);
  if (!invite) return tl::unexpected(invite.error());
  Token token{cluster, own_link_key, invite->id, invite->secret, invite->expires, addresses};
  return InviteReply{token_text(token), invite->expires, invite->uses};
}

}  // namespace syncline

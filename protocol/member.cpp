#include "protocol/member.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cassert>

#include "protocol/address.h"
#include "protocol/codec.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

constexpr std::uint8_t kFormat = 1;  // first byte of every value here
constexpr std::uint8_t kFormatHttp =
    2;  // of a member that tells its HTTP address; others stay readable for old nodes

const unsigned char* raw(BytesView v) { return reinterpret_cast<const unsigned char*>(v.data()); }

// What is signed: a label that no other signature of ours has, the cluster, the thing. All of fixed length
// but the label, and no label is the start of another, so that no two of them are ever the same bytes.
Bytes statement(BytesView label, const ClusterId& cluster, BytesView thing) {
  return Bytes(label) + Bytes(cluster.view()) + Bytes(thing);
}
Bytes statement(const Member& m, const ClusterId& cluster) {
  return statement("syncline member", cluster, m.link_key.view());
}
Bytes statement(const Actor& a, const ClusterId& cluster) {
  return statement("syncline actor", cluster, a.actor.view());
}

template <class T>
void sign_it(T& v, const ClusterId& cluster, const SigningKey& key) {
  const Bytes text = statement(v, cluster);
  crypto_sign_detached(v.signature.bytes.data(), nullptr, raw(text), text.size(), key.bytes.data());
}
template <class T>
bool verify_it(const T& v, const ClusterId& cluster) {
  const Bytes text = statement(v, cluster);
  return crypto_sign_verify_detached(v.signature.bytes.data(), raw(text), text.size(), v.node.bytes.data()) ==
         0;
}

void write(Writer& w, const Member& m) {
  w.u8(m.http.empty() ? kFormat : kFormatHttp), w.id(m.node), w.id(m.link_key), w.id(m.signature);
  w.bytes(m.name), w.varint(m.addresses.size());
  for (const auto& a : m.addresses) w.bytes(a);
  w.id(m.admitted_by), w.u8(static_cast<std::uint8_t>(m.state));
  if (!m.http.empty()) w.bytes(m.http);
}

Member read_member(Reader& r) {
  Member m;
  const std::uint8_t format = r.u8();
  if (format != kFormat && format != kFormatHttp) r.fail();
  m.node = r.id<NodeId>(), m.link_key = r.id<Key32>(), m.signature = r.id<Signature64>();
  m.name = r.bytes(limits::node_name_bytes);
  for (std::size_t n = r.count(limits::addresses); n > 0 && r.ok(); --n)
    m.addresses.emplace_back(r.bytes(limits::address_bytes));
  m.admitted_by = r.id<NodeId>();
  const std::uint8_t state = r.u8();
  if (state > static_cast<std::uint8_t>(MemberState::evicted)) r.fail();
  m.state = static_cast<MemberState>(state);
  if (format == kFormatHttp) m.http = r.bytes(limits::address_bytes);
  if (format == kFormatHttp && m.http.empty()) r.fail();  // one value, one form
  return m;
}

Bytes encode(const Member& m) {
  Writer w;
  write(w, m);
  return w.take();
}

Status malformed(std::string_view what) {
  return fail(Error::Code::invalid, fmt::format("malformed {}", what));
}

}  // namespace

std::string member_path(const NodeId& node) { return "members/" + to_hex(node); }
std::string actor_path(const ActorId& actor) { return "actors/" + to_hex(actor); }
std::string departure_path(const NodeId& node) { return "gone/" + to_hex(node); }

std::string folder_path(FolderId folder) { return fmt::format("folders/{:08x}", folder); }

FolderId folder_id_of(std::string_view name) {
  std::array<std::uint8_t, 16> digest{};
  static_assert(sizeof digest >= crypto_generichash_BYTES_MIN);
  const std::string text = fmt::format("syncline folder {}", name);
  crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), nullptr, 0);
  FolderId id = 0;
  for (std::size_t i = 0; i < sizeof id; ++i) id = id << 8 | digest[i];
  return id | 0x8000'0000;
}

bool valid_folder_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::name_bytes && is_utf8(name) && printable(name) == name &&
         name.find('/') == std::string_view::npos && name != "." && name != "..";
}

bool valid_node_name(std::string_view name) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= limits::node_name_bytes && alnum(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return alnum(c) || c == '.' || c == '-' || c == '_'; });
}

void sign(Member& member, const ClusterId& cluster, const SigningKey& key) { sign_it(member, cluster, key); }
void sign(Actor& actor, const ClusterId& cluster, const SigningKey& key) { sign_it(actor, cluster, key); }
bool verify(const Member& member, const ClusterId& cluster) { return verify_it(member, cluster); }
bool verify(const Actor& actor, const ClusterId& cluster) { return verify_it(actor, cluster); }

Status check(const Member& member) {
  if (!valid_node_name(member.name)) return malformed("member: bad name");
  if (member.addresses.size() > limits::addresses) return malformed("member: too many addresses");
  for (const auto& a : member.addresses)
    if (const auto address = parse_address(a); !address || address->port == 0)
      return malformed("member: bad address");
  if (const auto http = parse_address(member.http); !member.http.empty() && (!http || http->port == 0))
    return malformed("member: bad HTTP address");
  if (member.node.is_zero() || member.link_key.is_zero()) return malformed("member: no key");
  if (encode(member).size() > limits::value_bytes) return malformed("member: addresses too long");
  return {};
}

Bytes encode_member(const Member& member) {
  assert(check(member));
  return encode(member);
}

Result<Member> decode_member(BytesView bytes) {
  Reader r(bytes);
  Member m = read_member(r);
  if (!r.done()) return tl::unexpected(malformed("member").error());
  if (const Status good = check(m); !good) return tl::unexpected(good.error());
  return m;
}

Bytes encode_actor(const Actor& actor) {
  Writer w;
  w.u8(kFormat), w.id(actor.actor), w.id(actor.node), w.id(actor.signature);
  return w.take();
}

Result<Actor> decode_actor(BytesView bytes) {
  Reader r(bytes);
  if (r.u8() != kFormat) r.fail();
  Actor a;
  a.actor = r.id<ActorId>(), a.node = r.id<NodeId>(), a.signature = r.id<Signature64>();
  if (!r.done() || a.actor.is_zero()) return tl::unexpected(malformed("actor").error());
  return a;
}

Bytes encode_departure(const Departure& departure) {
  assert(departure.state != MemberState::joined);
  Writer w;
  w.u8(kFormat), w.id(departure.node), w.u8(static_cast<std::uint8_t>(departure.state)), w.id(departure.by);
  return w.take();
}

Result<Departure> decode_departure(BytesView bytes) {
  Reader r(bytes);
  if (r.u8() != kFormat) r.fail();
  Departure d;
  d.node = r.id<NodeId>();
  const std::uint8_t state = r.u8();
  if (state != static_cast<std::uint8_t>(MemberState::left) && state != static_cast<std::uint8_t>(MemberState::evicted)) r.fail();
  d.state = static_cast<MemberState>(state), d.by = r.id<NodeId>();
  if (!r.done() || d.node.is_zero()) return tl::unexpected(malformed("departure").error());
  return d;
}

Bytes encode_folder(const ClusterFolder& folder) {
  Writer w;
  w.u8(kFormat), w.u32(folder.id), w.bytes(folder.name);
  return w.take();
}

Result<ClusterFolder> decode_folder(BytesView bytes) {
  Reader r(bytes);
  if (r.u8() != kFormat) r.fail();
  ClusterFolder folder;
  folder.id = r.u32(), folder.name = r.bytes(limits::name_bytes);
  if (!r.done() || !valid_folder_name(folder.name) || folder.id != folder_id_of(folder.name))
    return tl::unexpected(malformed("folder").error());
  return folder;
}

Bytes encode_join_request(const JoinRequest& request) {
  Writer w;
  w.u32(request.version), write(w, request.member);
  return w.take();
}

Result<JoinRequest> decode_join_request(BytesView bytes) {
  Reader r(bytes);
  JoinRequest request;
  request.version = r.u32();
  if (r.ok() && request.version != kProtocolVersion) return request;
  request.member = read_member(r);
  if (!r.done()) return tl::unexpected(malformed("join request").error());
  if (const Status good = check(request.member); !good) return tl::unexpected(good.error());
  return request;
}

Bytes encode_join_reply(const JoinReply& reply) {
  Writer w;
  w.u8(kFormat), w.bytes(reply.refusal.substr(0, limits::error_text_bytes));
  if (!reply.refusal.empty()) return w.take();
  w.id(reply.cluster), w.id(reply.hash_key), w.id(reply.psk), write(w, reply.you);
  assert(reply.folders.size() <= limits::folders && reply.members.size() <= limits::join_members);
  w.varint(reply.folders.size());
  for (const auto& f : reply.folders) w.u32(f.id), w.bytes(f.name);
  w.varint(reply.members.size());
  for (const auto& m : reply.members) write(w, m);
  return w.take();
}

Result<JoinReply> decode_join_reply(BytesView bytes) {
  Reader r(bytes);
  JoinReply reply;
  if (r.u8() != kFormat) r.fail();
  reply.refusal = r.bytes(limits::error_text_bytes);
  if (r.done() && !reply.refusal.empty()) return reply;
  reply.cluster = r.id<ClusterId>(), reply.hash_key = r.id<Key32>(), reply.psk = r.id<Key32>();
  reply.you = read_member(r);
  for (std::size_t n = r.count(limits::folders); n > 0 && r.ok(); --n) {
    const FolderId id = r.u32();
    reply.folders.push_back({id, std::string(r.bytes(limits::name_bytes))});
  }
  for (std::size_t n = r.count(limits::join_members); n > 0 && r.ok(); --n)
    reply.members.push_back(read_member(r));
  if (!r.done()) return tl::unexpected(malformed("answer to the join request").error());
  for (const Member& m : reply.members)
    if (const Status good = check(m); !good) return tl::unexpected(good.error());
  if (const Status good = check(reply.you); !good) return tl::unexpected(good.error());
  return reply;
}

}  // namespace syncline

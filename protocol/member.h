#pragma once
#include <array>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "protocol/ids.h"

// Who belongs to a cluster. Members and actors are records of Kind::value in the cluster's own folder
// (kClusterFolder), so that they spread like any other change; the payload is the encoded form. PROTOCOL.md,
// "Membership".
namespace syncline {

using Signature64 = FixedBytes<64, struct SignatureTag>;  // Ed25519
using SigningKey =
    FixedBytes<64, struct SigningKeyTag>;  // Ed25519 secret key in libsodium's form: seed, public key

enum class MemberState : std::uint8_t { joined = 0, left = 1, evicted = 2 };

struct Member {
  NodeId node;                         // Ed25519 public key: the identity
  Key32 link_key;                      // X25519 public key of its links
  Signature64 signature;               // by `node` over ("syncline member", cluster id, link_key)
  std::string name;                    // valid_node_name()
  std::vector<std::string> addresses;  // HOST:PORT, at most limits::addresses; may be empty (it calls us)
  NodeId admitted_by;                  // zero for the founder
  MemberState state = MemberState::joined;
  std::string http;  // HOST:PORT that its HTTP server is bound to, also 0.0.0.0; empty: not told
  bool operator==(const Member&) const = default;
};

// What ends a membership: the value "gone/<hex>" of kClusterFolder, written by any member and never deleted. It outranks the member's own
// record, which that member may have written anew before it heard.
struct Departure {
  NodeId node;
  MemberState state = MemberState::evicted;  // never joined
  NodeId by;                                 // who wrote it
  bool operator==(const Departure&) const = default;
};

// A folder of the cluster beyond the one that it was founded with: the value "folders/<id, 8 hex digits>" of kClusterFolder.
struct ClusterFolder {
  FolderId id = 0;
  std::string name;  // valid_folder_name()
  bool operator==(const ClusterFolder&) const = default;
};

// Certifies that the writer of versions `actor` is an incarnation of `node`.
struct Actor {
  ActorId actor;
  NodeId node;
  Signature64 signature;  // by `node` over ("syncline actor", cluster id, actor)
  bool operator==(const Actor&) const = default;
};

// "members/<hex>" and "actors/<hex>" in kClusterFolder.
std::string member_path(const NodeId& node);
std::string actor_path(const ActorId& actor);
std::string departure_path(const NodeId& node);  // "gone/<hex>"
std::string folder_path(FolderId folder);        // "folders/<hex>"

// Follows from the name, so that members that found a folder of one name at the same time found one folder. Never 0 or kFirstFolder.
FolderId folder_id_of(std::string_view name);
// UTF-8 without control characters, one path component.
bool valid_folder_name(std::string_view name);

// 1 to limits::node_name_bytes letters, digits, '.', '-' or '_', the first a letter or digit.
bool valid_node_name(std::string_view name);

void sign(Member& member, const ClusterId& cluster, const SigningKey& key);
void sign(Actor& actor, const ClusterId& cluster, const SigningKey& key);
// The signature is good for this cluster. Costs about 0.1 ms: once per record, not per use.
bool verify(const Member& member, const ClusterId& cluster);
bool verify(const Actor& actor, const ClusterId& cluster);

// At most limits::value_bytes: `check` says so before anything is built upon a member. Decoding fails with
// Error::invalid on a bad name, address, length or state; it does not verify the signature.
Status check(const Member& member);
Bytes encode_member(const Member& member);
Bytes encode_actor(const Actor& actor);
Bytes encode_departure(const Departure& departure);
Bytes encode_folder(const ClusterFolder& folder);
Result<Member> decode_member(BytesView bytes);
Result<Actor> decode_actor(BytesView bytes);
Result<Departure> decode_departure(BytesView bytes);
Result<ClusterFolder> decode_folder(BytesView bytes);

// The two messages of `cluster join`, over a link whose key is the token's secret.
struct JoinRequest {
  std::uint32_t version = 0;  // kProtocolVersion of the newcomer; always the first field, in every version
  Member member;              // signed by the newcomer itself; a wildcard address is replaced by the inviter
  bool operator==(const JoinRequest&) const = default;
};
struct JoinFolder {
  FolderId id = 1;
  std::string name;
  bool operator==(const JoinFolder&) const = default;
};
struct JoinReply {
  std::string refusal;  // not empty: refused, for this reason, and the rest is empty
  ClusterId cluster;
  Key32 hash_key;                   // of content_hash.h; secret
  Key32 psk;                        // of the links between members; secret
  Member you;                       // as admitted, with the addresses that the others will use
  std::vector<JoinFolder> folders;  // at most limits::folders
  std::vector<Member> members;  // whom to call first, the inviter among them; at most limits::join_members
  bool operator==(const JoinReply&) const = default;
};
Bytes encode_join_request(const JoinRequest& request);
Bytes encode_join_reply(const JoinReply& reply);
// A request of another version decodes to its version and an empty member, so that the refusal can name it.
Result<JoinRequest> decode_join_request(BytesView bytes);
Result<JoinReply> decode_join_reply(BytesView bytes);

}  // namespace syncline

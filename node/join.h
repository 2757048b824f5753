#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "node/home_setup.h"
#include "node/invites.h"
#include "node/transport.h"
#include "protocol/control.h"
#include "protocol/member.h"

namespace syncline {

// The newcomer's side of `cluster join`.

using TransportFactory =
    std::function<Result<std::unique_ptr<Transport>>(const Transport::Options&, TransportHandler&)>;

struct JoinTimes {
  std::chrono::milliseconds total{10'000};  // until the answer is here
};

// Asks the inviter that the token names, and writes the home (HomeSetup: all or nothing). Blocks; makes a
// transport of its own. Errors are one line: the token malformed, refused (unknown, used, expired, other
// version; by the inviter's word), or nobody answered.
Result<Home> join_cluster(const std::string& token, const SetupOptions& options,
                          const TransportFactory& transport, const JoinTimes& times = {});

// The inviter's side.

struct AdmitContext {
  const ClusterSecrets& cluster;
  const NodeId& self;
  std::span<const Member> members;  // all known: joined, left and evicted, this node first
  Invites& invites;
  WallTime now;
};
struct Admission {
  JoinReply reply;                 // to be sent in either case
  std::optional<Member> admitted;  // to be written as a member record before the reply leaves
};
// Decides about a request that came over a join link. `link_key`, `token_id` and `address` are what
// Transport::join_opened told: the request must be about that very key. A wildcard address of the newcomer is
// replaced by the host of `address`. Consumes one use of the token if and only if it admits.
Admission admit(BytesView request, const Key32& link_key, const TokenId& token_id, const std::string& address,
                const AdmitContext& context);

// The text of a new token. addresses: own_addresses() of home.h.
Result<InviteReply> make_invitation(const InviteRequest& request, const ClusterId& cluster,
                                    const Key32& own_link_key, const std::vector<std::string>& addresses,
                                    Invites& invites, WallTime now);

}  // namespace syncline

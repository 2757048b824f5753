#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "protocol/ids.h"

namespace syncline {

using Clock = std::chrono::steady_clock;

// Queues of one link that do not wait for each other: an upload overtakes a bulk transfer.
enum class Lane : std::uint8_t { control = 0, small = 1, bulk = 2 };
inline constexpr std::size_t kLanes = 3;

// The X25519 key pair of this node's links (never the Ed25519 identity itself).
struct LinkKeys {
  Key32 secret;
  Key32 public_key;
};

// A member this node may talk to.
struct LinkPeer {
  NodeId node;
  Key32 public_key;                    // X25519, certified by the member list
  std::vector<std::string> addresses;  // "HOST:PORT" or "[V6]:PORT", tried in turn; may be empty (then it must call us)
  bool gone = false;  // no member any more: it is not called, and when it calls it gets no link, but proof that it is gone (disowned())
};

// One use of `cluster join`: what the newcomer's side of the link needs, from the token.
struct JoinTarget {
  Key32 inviter_public_key;            // X25519
  std::array<std::uint8_t, 8> token_id{};
  Key32 token_secret;                  // the PSK of Noise IKpsk1
  std::vector<std::string> addresses;
};

struct LinkStats {
  std::uint64_t sent_bytes = 0, received_bytes = 0;  // whole UDP payloads, this process's lifetime
  std::uint32_t rtt_us = 0;
  std::string address;                               // where the peer's datagrams come from
};

// A link to a newcomer (not yet a member) or, on the newcomer's side, to its inviter. Valid until its `closed`.
using JoinLinkId = std::uint64_t;

// What the transport tells its owner. Called from inside Transport::service and nowhere else, on the same thread.
class TransportHandler {
 public:
  virtual ~TransportHandler() = default;
  virtual void link_up(const NodeId& peer) = 0;
  virtual void link_down(const NodeId& peer, const std::string& reason) = 0;
  // The member has ended a link, which proved that it is who it is, because it does not list this node as a member any more.
  virtual void disowned(const NodeId& /*peer*/) {}
  // A call to a member led nowhere, and why (one line); it is called again all the same. Said once per reason.
  virtual void dial_failed(const NodeId& /*peer*/, const std::string& /*reason*/) {}
  // Somebody who knows this node's key called and was sent away (not a member, wrong token, ...). At most one a second.
  virtual void caller_refused(const std::string& /*address*/, const std::string& /*reason*/) {}
  virtual void received(const NodeId& peer, Lane lane, BytesView message) = 0;
  // The lane's queue fell below half of its bound after a send() had been refused.
  virtual void writable(const NodeId& peer, Lane lane) = 0;
  // A newcomer asks with this token: its secret if the token is known, unexpired and unused, else nullopt.
  virtual std::optional<Key32> token_secret(const std::array<std::uint8_t, 8>& token_id) = 0;
  virtual void join_opened(JoinLinkId link, const Key32& newcomer_public_key,
                           const std::array<std::uint8_t, 8>& token_id, const std::string& address) = 0;
  virtual void join_received(JoinLinkId link, BytesView message) = 0;
  virtual void join_closed(JoinLinkId link, const std::string& reason) = 0;
};

// Encrypted, authenticated, ordered message links to the members, over one UDP port: ENet above a secure datagram layer
// (PROTOCOL.md, "Links"). Messages of one lane arrive whole, once and in order while a link is up; what was in flight when it
// goes down is lost. Not thread-safe: one thread owns it.
class Transport {
 public:
  struct Options {
    std::string listen;      // "HOST:PORT"; port 0 = any
    ClusterId cluster;       // both ends must agree on it
    Key32 cluster_psk;       // PSK of Noise IKpsk2 between members
    LinkKeys keys;
  };
  // Error: address malformed or in use (one line naming it).
  static Result<std::unique_ptr<Transport>> create(const Options& options, TransportHandler& handler);
  virtual ~Transport() = default;

  virtual std::string local_address() const = 0;                  // HOST:PORT really bound
  // Replaces the list: new ones are dialled (again and again, with back-off and jitter), links of removed ones closed.
  virtual void set_peers(const std::vector<LinkPeer>& peers) = 0;
  // Queues one message (at most limits::message_bytes). False when there is no link or the lane's bound is reached: the message
  // was not taken. The control lane is never refused while the link is up, short of a bound that closes the link.
  virtual bool send(const NodeId& peer, Lane lane, BytesView message) = 0;
  // What the small and the bulk lanes of all links together may send, bytes a second; 0: no limit. Control is never held back.
  virtual void set_upload_rate(std::uint64_t bytes_per_second) = 0;
  // Accepted by send() and not yet handed to the network.
  virtual std::size_t queued_bytes(const NodeId& peer, Lane lane) const = 0;
  virtual LinkStats stats(const NodeId& peer) const = 0;

  virtual JoinLinkId join(const JoinTarget& target) = 0;          // newcomer's side; the outcome comes to the handler
  virtual bool join_send(JoinLinkId link, BytesView message) = 0;
  virtual void join_close(JoinLinkId link) = 0;                   // after everything queued has gone

  virtual int fd() const = 0;                                     // readable: call service()
  // Receives, retransmits, dials, sends; calls the handler. Returns when it must next be called even without a datagram.
  virtual Clock::time_point service(Clock::time_point now) = 0;
  // Sends what is queued without receiving: call after a burst of send(). Should service() now be due earlier than it
  // said, fd() becomes readable then.
  virtual void flush() = 0;
};

}  // namespace syncline

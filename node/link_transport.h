#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/link_connection.h"
#include "node/link_dialler.h"
#include "node/transport.h"
#include "protocol/handshake_gate.h"

namespace syncline {

// Transport over one UDP socket. Who calls whom, which of two links between the same two nodes lives, and
// when a link is given up; the links themselves are LinkConnection.
class LinkTransport final : public Transport, private LinkOwner {
 public:
  // Beyond Transport::Options, for tests.
  struct Tuning {
    SecureChannel::Limits keys;
    DatagramSocket::Options socket;
    std::uint8_t ciphers = 0;  // 0: all that this CPU has
    std::size_t datagram_bytes =
        0;  // the longest to be sent; 0: what the path to the peer is thought to carry
  };
  static Result<std::unique_ptr<Transport>> create(const Options& options, const Tuning& tuning,
                                                   TransportHandler& handler);
  ~LinkTransport() override;

  std::string local_address() const override { return to_string(socket_->local()); }
  void set_peers(const std::vector<LinkPeer>& peers) override;
  bool send(const NodeId& peer, Lane lane, BytesView message) override;
  void set_upload_rate(std::uint64_t bytes_per_second) override;
  std::size_t queued_bytes(const NodeId& peer, Lane lane) const override;
  LinkStats stats(const NodeId& peer) const override;
  JoinLinkId join(const JoinTarget& target) override;
  bool join_send(JoinLinkId link, BytesView message) override;
  void join_close(JoinLinkId link) override;
  int fd() const override { return socket_->fd(); }
  Clock::time_point service(Clock::time_point now) override;
  void flush() override;

 private:
  using Id = std::uint64_t;  // of a connection; a join link's is its JoinLinkId

  struct Peer {
    LinkPeer config;
    LinkDialler dialler;
    Id link = 0;                   // the one that counts; 0: none
    Id unproven = 0;               // answered, and not heard of since
    std::uint64_t last_stamp = 0;  // of its inits
    unsigned passed_over = 0;      // its inits that were left to our own call
    std::string reported;          // to dial_failed
    LinkStats past;                // of links that are gone
  };
  struct Joining {  // on the newcomer's side, until there is a connection
    JoinTarget target;
    LinkDialler dialler;
    Clock::time_point deadline;
    std::string problem;
  };
  struct Slot {
    std::unique_ptr<LinkConnection> link;
    std::vector<std::uint32_t> indices;  // of it in by_index_
    std::uint64_t changes = 0;
    Clock::time_point renew_at{};
  };
  struct Call {
    enum class For : std::uint8_t { link, renewal, join } what;
    NodeId node;  // link, renewal
    Id id = 0;    // renewal: of the connection; join: its id
    Clock::time_point sent;
    HandshakeInitiator handshake;
  };

  LinkTransport(const Options& options, const Tuning& tuning, std::unique_ptr<DatagramSocket> socket,
                TransportHandler& handler);

  // LinkOwner
  DatagramSocket& socket() override { return *socket_; }
  LinkRate& upload_rate() override { return rate_; }
  const DatagramSocket::Received* next_for(const LinkConnection& connection) override;
  void link_connected(LinkConnection& connection) override;
  void link_message(LinkConnection& connection, Lane lane, BytesView message) override;
  void link_writable(LinkConnection& connection, Lane lane) override;

  // transport_service.cpp: the loop, and the life of connections
  void set_time(Clock::time_point now);
  void receive();
  void serve(Id id);
  void run_timers();
  void check_age(LinkConnection& link);
  void pump_all(bool tell);
  void pump_in_turns();
  void sweep();
  void report_end(LinkConnection& link);
  Clock::time_point next_time(bool flushed);
  Slot* slot(Id id);
  LinkConnection* live(Id id);  // nullptr: no such connection, or it is over
  LinkConnection* link_to(const NodeId& node) const;
  LinkConnection* add_link(const LinkConnection::Identity& identity, const HandshakeDone& done);
  void sync_indices(Slot& slot);
  void on_proven(LinkConnection& link);

  // transport_calls.cpp: our own inits
  void call_all();
  void call_again(const NodeId& but);
  void call_peer(const NodeId& node, Peer& peer);
  void call_inviter(Id id, Joining& joining);
  void renew_keys();
  Status send_init(Call::For what, const NodeId& node, Id id, HandshakeInitiator::Options options,
                   const Endpoint& to, LinkDialler& dialler);
  void take_answer(const DatagramSocket::Received& datagram);
  void call_done(const Call& call, const HandshakeDone& done, const Endpoint& from);
  void call_refused(const Call& call, const std::string& reason);
  void keep_cookie(const Call& call, const Mac& cookie);
  void forget_calls(LinkDialler& dialler);
  void report_dial(NodeId node, const std::string& reason);
  void close_join(Id id, const std::string& reason);
  std::uint32_t new_index();

  // transport_answers.cpp: the inits of others
  void answer(const DatagramSocket::Received& datagram);
  void answer_member(HandshakeResponder& responder, const DatagramSocket::Received& datagram);
  void answer_newcomer(HandshakeResponder& responder, const DatagramSocket::Received& datagram);
  bool leave_to_our_call(const Peer& peer) const;
  void refuse(const DatagramSocket::Received& datagram, Refusal why);
  void reply(const Endpoint& to, BytesView datagram);
  std::size_t newcomers() const;

  Options options_;
  const Tuning tuning_;
  const std::uint8_t ciphers_;
  noise::DhKeys own_;
  TransportHandler& handler_;
  std::unique_ptr<DatagramSocket> socket_;
  Resolver resolver_;
  Mac1Check mac1_ok_;
  CookieJar cookies_;
  HandshakeGate gate_;
  TokenBucket refusals_told_{1, 1};
  LinkRate rate_;
  std::size_t turn_ = 0;  // of the link that is served first where a rate is shared

  std::unordered_map<NodeId, Peer> peers_;
  std::unordered_map<Key32, NodeId> node_of_key_;
  std::map<Id, Joining> joining_;
  std::vector<std::pair<Id, std::string>> joins_failed_;  // to be told in service()
  std::unordered_map<Id, Slot> slots_;
  std::unordered_map<std::uint32_t, Id> by_index_;  // receiver index of data datagrams
  std::unordered_map<std::uint32_t, Call> calls_;   // receiver index of answers
  Id next_id_ = 1;
  std::uint64_t last_stamp_ = 0;
  std::size_t budget_ = 0;  // datagrams that this service() may still look at
  Clock::time_point moment() const {
    return std::max(now_, Clock::now());
  }  // never before what service() was told
  Clock::time_point now_{};
  Clock::time_point promised_{};  // when service() asked to be called again at the latest, or was called
};

}  // namespace syncline

#pragma once
#include <array>
#include <memory>
#include <string>

#include "node/datagram_socket.h"
#include "node/enet_link.h"
#include "node/link_lane.h"
#include "node/link_rate.h"
#include "node/link_window.h"
#include "protocol/handshake.h"

namespace syncline {

class LinkConnection;

// What a connection sees of the transport. Every call comes from inside the connection's own service() or
// pump().
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  virtual DatagramSocket& socket() = 0;
  virtual LinkRate& upload_rate() = 0;  // of all connections together
  // The datagram at the head of the socket, if it carries an index of this connection and there is budget
  // left.
  virtual const DatagramSocket::Received* next_for(const LinkConnection& connection) = 0;
  virtual void link_connected(LinkConnection& connection) = 0;
  virtual void link_message(LinkConnection& connection, Lane lane, BytesView message) = 0;
  virtual void link_writable(LinkConnection& connection, Lane lane) = 0;
};

// Why a link ends, as told to the other side.
enum class LinkEnd : std::uint32_t {
  none = 0,
  stopping = 1,
  not_member = 2,
  replaced = 3,
  finished = 4,
  overflow = 5,
  broken = 6
};

// One link from the end of its handshake until it is closed: sealed datagrams below ENet, lanes above it.
// Owned by the transport; it never closes itself but says that it is over.
class LinkConnection final : private EnetWire {
 public:
  enum class Role : std::uint8_t { member, join_out, join_in };
  struct Identity {
    std::uint64_t id = 0;
    Role role = Role::member;
    bool initiator = false;
    NodeId node;  // member only
    Key32 peer_key;
    TokenId token_id{};  // joins only
    Endpoint remote;
  };
  struct Tuning {
    SecureChannel::Limits keys;
    std::size_t datagram_bytes = 0;  // the longest to be sent; 0: what the path is thought to carry
  };
  // nullptr: out of memory.
  static std::unique_ptr<LinkConnection> create(const Identity& identity, const HandshakeDone& done,
                                                const Tuning& tuning, LinkOwner& owner,
                                                Clock::time_point now);

  const Identity& identity() const { return identity_; }
  const Endpoint& remote() const { return identity_.remote; }
  std::uint64_t session() const { return session_; }
  Clock::time_point born() const { return born_; }
  Clock::time_point last_heard() const { return last_heard_; }
  // Since when something waits for an acknowledgement and nothing at all has been heard; time_point::max(): not so.
  Clock::time_point unanswered_since() const { return unanswered_since_; }
  bool confirmed() const {
    return confirmed_;
  }  // the peer has shown that it has the keys, not only an old init
  bool up() const { return up_; }
  SecureChannel& channel() { return channel_; }
  std::uint64_t sent_bytes() const { return sent_bytes_; }
  std::uint64_t received_bytes() const { return received_bytes_; }
  std::uint32_t rtt_us() const { return enet_->path().rtt_ms * 1000; }

  // Over: nothing may be called any more but the destructor and end().
  bool over() const { return !reason_.empty(); }
  const std::string& reason() const { return reason_; }
  bool disowned() const { return disowned_; }  // the other side ended it because it does not list this node
  // Ends it, telling the peer `code` unless it is LinkEnd::none.
  void end(LinkEnd code, const std::string& reason, Clock::time_point now);
  // Ends it when all that was queued has arrived.
  void finish() { finishing_ = touched_ = true; }

  void renew(const HandshakeDone& done, bool initiator, Clock::time_point now);  // new keys
  void keep_alive();                                                             // an empty datagram

  bool push(Lane lane, BytesView message, Clock::time_point now);
  std::size_t queued_bytes(Lane lane) const { return lanes_[static_cast<std::size_t>(lane)].bytes(); }

  void service(Clock::time_point now);
  // This process did not run: see EnetLink. What counts as the last word of the peer moves along, up to `heard_at_most`.
  void excuse(Clock::duration stall, Clock::time_point heard_at_most) {
    enet_->excuse(stall);
    last_heard_ = std::max(last_heard_, std::min(last_heard_ + stall, heard_at_most));
    if (unanswered_since_ != Clock::time_point::max()) unanswered_since_ = std::max(unanswered_since_ + stall, last_heard_);
  }
  // Hands over what the window allows and sends it.
  void pump(Clock::time_point now);
  // Calls link_writable for lanes that have room again; true when it did, so that pump() may have more to do.
  bool tell_writable();
  // When service() must be called even if no datagram comes.
  Clock::time_point due() const { return due_; }

 private:
  LinkConnection(const Identity& identity, const HandshakeDone& done, const SecureChannel::Limits& limits,
                 LinkOwner& owner, std::size_t content_bytes, Clock::time_point now);
  void enet_send(std::span<const BytesView> pieces) override;
  std::size_t enet_receive(std::span<std::uint8_t> out) override;
  void heard(const Endpoint& from, std::size_t bytes, const SecureChannel::Opened& opened);
  void take_chunk(std::size_t lane, BytesView chunk);
  void peer_closed(std::uint32_t code);
  void hand_over();
  void set_due(Clock::time_point now);

  Identity identity_;
  LinkOwner& owner_;
  SecureChannel channel_;
  std::uint64_t session_;
  const Clock::time_point born_;
  Clock::time_point now_, last_heard_, unanswered_since_ = Clock::time_point::max();
  Clock::time_point due_{};                                   // at once
  Clock::time_point paced_until_ = Clock::time_point::max();  // what waits in the lanes waits for this only
  bool confirmed_, up_ = false, finishing_ = false, closing_ = false;
  bool touched_ = true;  // since the last pump()
  bool disowned_ = false;
  std::string reason_;
  std::array<LaneSender, kLanes> lanes_;
  std::array<LaneReceiver, kLanes> receivers_;
  std::array<bool, kLanes> refused_{};
  LinkWindow window_;
  std::uint64_t sent_bytes_ = 0, received_bytes_ = 0;
  std::unique_ptr<EnetLink> enet_;
};

}  // namespace syncline

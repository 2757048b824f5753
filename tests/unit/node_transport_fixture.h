#pragma once
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "node/link_transport.h"
#include "protocol/limits.h"

namespace syncline {
// What the tests of the transport share: nodes that record what they are told, a network with faults, a clock
// that can skip.
namespace transport_test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline LinkKeys link_keys(std::uint8_t seed) {
  Key32 secret;
  secret.bytes.fill(seed);
  return {secret, noise::dh_keys(secret).public_key};
}

inline NodeId node_id(std::uint8_t seed) {
  NodeId id;
  id.bytes.fill(seed);
  return id;
}

inline Key32 filled_key(std::uint8_t fill) {
  Key32 key;
  key.bytes.fill(fill);
  return key;
}

inline constexpr std::array<std::uint8_t, 8> kToken{1, 2, 3, 4, 5, 6, 7, 8};

// A node of the test: a transport, and all that it was told.
class Node final : public TransportHandler {
 public:
  explicit Node(std::uint8_t seed) : seed_(seed) {
    options.listen = "127.0.0.1:0";
    options.cluster.bytes.fill(1);
    options.cluster_psk = filled_key(2);
    options.keys = link_keys(seed);
  }
  void start() {
    auto made = LinkTransport::create(options, tuning, *this);
    ASSERT_TRUE(made) << made.error().message;
    transport = std::move(*made);
    options.listen = address();
  }
  NodeId id() const { return node_id(seed_); }
  std::string address() const { return transport->local_address(); }
  LinkPeer as_peer(std::vector<std::string> addresses) const {
    return {id(), options.keys.public_key, std::move(addresses)};
  }

  void link_up(const NodeId& peer) override { ++ups[peer], linked[peer] = true; }
  void link_down(const NodeId& peer, const std::string& reason) override {
    EXPECT_TRUE(linked[peer]);
    ++downs[peer], linked[peer] = false, down_reason = reason;
  }
  void disowned(const NodeId& peer) override { ++disowned_by[peer]; }
  void dial_failed(const NodeId&, const std::string& reason) override { dial_reason = reason; }
  void caller_refused(const std::string&, const std::string& reason) override { refused_reason = reason; }
  void received(const NodeId& peer, Lane lane, BytesView message) override {
    received_bytes[static_cast<std::size_t>(lane)] += message.size();
    if (on_message) return on_message(lane, message);
    inbox[{peer, lane}].emplace_back(message);
  }
  void writable(const NodeId&, Lane lane) override { ++writables[static_cast<std::size_t>(lane)]; }
  std::optional<Key32> token_secret(const std::array<std::uint8_t, 8>& token) override {
    return token == kToken ? std::optional(filled_key(77)) : std::nullopt;
  }
  void join_opened(JoinLinkId link, const Key32& newcomer, const std::array<std::uint8_t, 8>& token,
                   const std::string&) override {
    join_link = link, join_key = newcomer, join_token = token;
    ++joins_opened;
  }
  void join_received(JoinLinkId, BytesView message) override { join_inbox.emplace_back(message); }
  void join_closed(JoinLinkId link, const std::string& reason) override {
    EXPECT_TRUE(!join_link || *join_link == link);
    join_reason = reason;
  }

  Transport::Options options;
  LinkTransport::Tuning tuning;
  std::unique_ptr<Transport> transport;
  std::map<NodeId, int> ups, downs, disowned_by;
  std::map<NodeId, bool> linked;
  std::map<std::pair<NodeId, Lane>, std::vector<Bytes>> inbox;
  std::function<void(Lane, BytesView)> on_message;
  std::array<std::size_t, kLanes> received_bytes{};
  std::array<int, kLanes> writables{};
  std::string down_reason, dial_reason, refused_reason;
  std::optional<JoinLinkId> join_link;
  Key32 join_key;
  std::array<std::uint8_t, 8> join_token{};
  int joins_opened = 0;
  std::vector<Bytes> join_inbox;
  std::string join_reason;

 private:
  std::uint8_t seed_;
};

// A bare UDP socket on 127.0.0.1.
class Udp {
 public:
  Udp() : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const int size = 4 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  }
  ~Udp() { close(fd_); }
  Udp(const Udp&) = delete;
  int fd() const { return fd_; }
  std::uint16_t port() const {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size);
    return ntohs(own.sin_port);
  }
  void send(std::uint16_t port, BytesView bytes) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  std::optional<std::pair<std::uint16_t, Bytes>> receive() const {
    std::array<char, 65536> buffer;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const auto got =
        recvfrom(fd_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return std::nullopt;
    return std::pair(ntohs(from.sin_port), Bytes(buffer.data(), static_cast<std::size_t>(got)));
  }

 private:
  int fd_;
};

inline std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

// The network between a caller and one node, with faults drawn from a seed.
class Relay {
 public:
  struct Faults {
    double drop = 0, duplicate = 0, hold = 0;  // share of datagrams; held ones come after later ones
  };
  explicit Relay(std::uint16_t target, unsigned seed = 1) : target_(target), random_(seed) {}
  std::string address() const { return "127.0.0.1:" + std::to_string(front_->port()); }
  std::vector<int> fds() const { return {front_->fd(), back_->fd()}; }

  void step() {
    while (auto got = front_->receive()) {
      caller_ = got->first;
      pass(std::move(got->second), true);
    }
    while (auto got = back_->receive()) pass(std::move(got->second), false);
  }
  void move() {  // the caller appears under another port, as behind a NAT that restarted
    back_ = std::make_unique<Udp>();
  }

  Faults faults;
  bool cut = false;
  std::size_t bytes = 0;
  std::map<std::uint8_t, std::size_t> types;  // datagrams passed on, by first byte
  std::vector<Bytes> recorded;
  bool record = false;

 private:
  void pass(Bytes datagram, bool forward) {
    const double draw = std::uniform_real_distribution<>(0, 1)(random_);
    if (cut || draw < faults.drop) return;
    if (record && forward) recorded.push_back(datagram);
    if (draw < faults.drop + faults.duplicate) deliver(datagram, forward);
    if (draw > 1 - faults.hold) {
      held_.emplace_back(std::move(datagram), forward);
      return;
    }
    deliver(datagram, forward);
    while (!held_.empty() && (held_.size() > 20 || draw > 0.5)) {
      deliver(held_.front().first, held_.front().second);
      held_.pop_front();
    }
  }
  void deliver(const Bytes& datagram, bool forward) {
    ++types[static_cast<std::uint8_t>(datagram[0])];
    bytes += datagram.size();
    forward ? back_->send(target_, datagram) : front_->send(caller_, datagram);
  }

  std::uint16_t target_, caller_ = 0;
  std::unique_ptr<Udp> front_ = std::make_unique<Udp>(), back_ = std::make_unique<Udp>();
  std::mt19937 random_;
  std::deque<std::pair<Bytes, bool>> held_;
};

// Different bytes for each seed; fast also under the sanitizers, because it is libsodium's work.
inline Bytes pattern(std::size_t size, unsigned seed) {
  Bytes out(size, '\0');
  std::array<unsigned char, randombytes_SEEDBYTES> key{};
  std::memcpy(key.data(), &seed, sizeof seed);
  randombytes_buf_deterministic(out.data(), size, key.data());
  return out;
}

inline constexpr std::size_t kSizes[] = {0,     1,      64,     1300,   1371,    4068,   5000,
                                         65535, 65'536, 65'540, 262144, 1000000, 1048576};

class TransportTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_GE(sodium_init(), 0); }

  Clock::time_point now() const { return Clock::now() + skipped_; }

  // One round: waits for a datagram or the next timer, then serves everybody.
  void step(long wait_ms = 20) {
    std::vector<pollfd> fds;
    for (Node* node : nodes_)
      if (node->transport) fds.push_back({node->transport->fd(), POLLIN, 0});
    if (relay_)
      for (int fd : relay_->fds()) fds.push_back({fd, POLLIN, 0});
    const auto wait = std::chrono::duration_cast<milliseconds>(next_ - now()).count();
    poll(fds.data(), fds.size(), static_cast<int>(std::clamp<long>(wait, 0, wait_ms)));
    if (relay_) relay_->step();
    next_ = now() + seconds(1);
    for (Node* node : nodes_)
      if (node->transport) next_ = std::min(next_, node->transport->service(now()));
  }
  ::testing::AssertionResult until(const std::function<bool()>& done, seconds patience = seconds(20)) {
    const auto end = Clock::now() + patience;
    while (!done()) {
      if (Clock::now() > end) return ::testing::AssertionFailure() << "still not so after a long time";
      step();
    }
    return ::testing::AssertionSuccess();
  }
  // Lets time pass for everybody, in small steps, without waiting for it.
  void skip(milliseconds time) {
    for (milliseconds gone{0}; gone < time; gone += milliseconds(50)) {
      skipped_ += milliseconds(50);
      next_ = now();
      for (int i = 0; i < 3; ++i) step(0);
    }
  }

  void start(std::initializer_list<Node*> nodes) {
    for (Node* node : nodes) {
      ASSERT_NO_FATAL_FAILURE(node->start());
      nodes_.push_back(node);
    }
  }
  // a calls b, b only answers; through the relay if there is one.
  void connect(Node& a, Node& b) {
    a.transport->set_peers({b.as_peer({relay_ ? relay_->address() : b.address()})});
    b.transport->set_peers({a.as_peer({})});
    ASSERT_TRUE(until([&] { return a.linked[b.id()] && b.linked[a.id()]; })) << a.dial_reason;
  }
  void link(Node& a, Node& b) {
    start({&a, &b});
    connect(a, b);
  }
  void link_through_relay(Node& a, Node& b) {
    start({&a, &b});
    relay_ = std::make_unique<Relay>(port_of(b.address()));
    connect(a, b);
  }

  // Sends messages of many sizes in every lane, both ways, and expects them whole and in order.
  void exchange(Node& a, Node& b, int rounds, std::size_t largest = limits::message_bytes) {
    std::map<std::pair<Node*, Lane>, std::deque<Bytes>> to_send;
    std::map<std::pair<NodeId, Lane>, std::vector<Bytes>> expected_a, expected_b;
    unsigned seed = 1;
    for (Lane lane : {Lane::control, Lane::small, Lane::bulk}) {
      for (int round = 0; round < rounds; ++round) {
        for (std::size_t size : kSizes) {
          if (size > largest) continue;
          expected_b[{a.id(), lane}].push_back(pattern(size, ++seed));
          to_send[{&a, lane}].push_back(expected_b[{a.id(), lane}].back());
          expected_a[{b.id(), lane}].push_back(pattern(size, ++seed));
          to_send[{&b, lane}].push_back(expected_a[{b.id(), lane}].back());
        }
      }
    }
    ASSERT_TRUE(until(
        [&] {
          for (auto& [from, messages] : to_send) {
            Node& other = from.first == &a ? b : a;
            while (!messages.empty() &&
                   from.first->transport->queued_bytes(other.id(), from.second) < 2'000'000 &&
                   from.first->transport->send(other.id(), from.second, messages.front()))
              messages.pop_front();
          }
          return a.inbox == expected_a && b.inbox == expected_b;
        },
        seconds(60)))
        << a.down_reason << b.down_reason;
  }

  Node a_{1}, b_{2};
  std::vector<Node*> nodes_;
  std::unique_ptr<Relay> relay_;
  Clock::duration skipped_{0};
  Clock::time_point next_{};
};

}  // namespace transport_test
}  // namespace syncline

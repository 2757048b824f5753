// What the links do, in figures, on this machine: throughput and cost of bulk messages between two threads
// over loopback, the latency of a control message, and bulk through a network that is slow, long or lossy.
// Prints; asserts nothing.
//   link_bench [throughput|latency|paths]...   (all of them without an argument)
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <random>
#include <set>
#include <thread>

#include "node/link_transport.h"

namespace syncline {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double thread_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto s = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return s(usage.ru_utime) + s(usage.ru_stime);
}

LinkKeys link_keys(std::uint8_t seed) {
  Key32 secret;
  secret.bytes.fill(seed);
  return {secret, noise::dh_keys(secret).public_key};
}

NodeId node_id(std::uint8_t seed) {
  NodeId id;
  id.bytes.fill(seed);
  return id;
}

class Node final : public TransportHandler {
 public:
  explicit Node(std::uint8_t seed, LinkTransport::Tuning tuning = {}) {
    Transport::Options options;
    options.listen = "127.0.0.1:0";
    options.keys = link_keys(seed);
    transport = std::move(LinkTransport::create(options, tuning, *this).value());
  }
  void link_up(const NodeId&) override { linked = true; }
  void link_down(const NodeId&, const std::string& reason) override {
    linked = false;
    fmt::print("link down: {}\n", reason);
  }
  void received(const NodeId&, Lane lane, BytesView message) override {
    bytes += message.size();
    if (on_message) on_message(lane, message);
  }
  void writable(const NodeId&, Lane) override {}
  std::optional<Key32> token_secret(const std::array<std::uint8_t, 8>&) override { return std::nullopt; }
  void join_opened(JoinLinkId, const Key32&, const std::array<std::uint8_t, 8>&,
                   const std::string&) override {}
  void join_received(JoinLinkId, BytesView) override {}
  void join_closed(JoinLinkId, const std::string&) override {}

  // Serves until `done`; `work` runs before each round.
  void run(
      const std::function<bool()>& done, const std::function<void()>& work = [] {}) {
    while (!done()) {
      work();
      const auto next = transport->service(Clock::now());
      const auto us = std::chrono::duration_cast<microseconds>(next - Clock::now()).count();
      if (us <= 0) continue;
      pollfd fd{transport->fd(), POLLIN, 0};
      const timespec wait{0, std::min<long>(us, 50'000) * 1000};
      ppoll(&fd, 1, &wait, nullptr);
    }
  }

  std::unique_ptr<Transport> transport;
  bool linked = false;
  std::uint64_t bytes = 0;
  std::function<void(Lane, BytesView)> on_message;
};

void introduce(Node& a, Node& b, const std::string& address) {
  a.transport->set_peers({{node_id(2), link_keys(2).public_key, {address}}});
  b.transport->set_peers({{node_id(1), link_keys(1).public_key, {}}});
}

struct Flow {
  double seconds = 0, sender_cpu = 0, receiver_cpu = 0;
  std::uint64_t bytes = 0;
};

// Bulk messages of 256 KiB from one thread to another, for `total` bytes or `limit`.
Flow bulk(Node& a, Node& b, const std::string& address, std::uint64_t total, std::chrono::seconds limit) {
  const Bytes message(256 * 1024, 'x');
  std::atomic<bool> stop = false;
  Flow flow;
  introduce(a, b, address);
  std::thread receiver([&] {
    const double cpu = thread_cpu_seconds();
    b.run([&] { return stop || b.bytes >= total; });
    stop = true;
    flow.receiver_cpu = thread_cpu_seconds() - cpu;
    b.run([&, until = Clock::now() + milliseconds(50)] { return Clock::now() > until; });
  });
  a.run([&] { return a.linked; });
  const auto begin = Clock::now();
  const double cpu = thread_cpu_seconds();
  a.run([&] { return stop || Clock::now() - begin > limit; },
        [&] {
          while (a.transport->send(node_id(2), Lane::bulk, message)) {
          }
        });
  flow.seconds = seconds_since(begin);
  flow.sender_cpu = thread_cpu_seconds() - cpu;
  stop = true;
  receiver.join();
  flow.bytes = b.bytes;
  return flow;
}

void throughput(const char* name, const LinkTransport::Tuning& tuning, std::uint64_t total) {
  Node a(1, tuning), b(2, tuning);
  const Flow flow = bulk(a, b, b.transport->local_address(), total, std::chrono::seconds(60));
  const double mib = static_cast<double>(flow.bytes) / (1 << 20);
  const auto sent = static_cast<double>(a.transport->stats(node_id(2)).sent_bytes);
  fmt::print(
      "{:<28} {:7.0f} MiB/s   CPU s/GiB: sender {:.2f}, receiver {:.2f}   {:.3f} bytes sent for each\n", name,
      mib / flow.seconds, flow.sender_cpu * 1024 / mib, flow.receiver_cpu * 1024 / mib,
      sent / static_cast<double>(flow.bytes));
}

void latency() {
  Node a(1), b(2);
  introduce(a, b, b.transport->local_address());
  std::atomic<bool> stop = false;
  std::thread echo([&] {
    b.on_message = [&](Lane lane, BytesView message) { b.transport->send(node_id(1), lane, message); };
    b.run([&] { return stop.load(); });
  });
  constexpr std::size_t kCount = 5000;
  std::vector<double> one_way_us;
  Clock::time_point sent;
  const Bytes message(64, 'x');
  const auto send = [&] {
    sent = Clock::now();
    a.transport->send(node_id(2), Lane::control, message);
  };
  a.on_message = [&](Lane, BytesView) {
    one_way_us.push_back(seconds_since(sent) * 1e6 / 2);
    send();
  };
  a.run([&] { return a.linked; });
  send();
  a.run([&] { return one_way_us.size() >= kCount; });
  stop = true;
  echo.join();
  std::sort(one_way_us.begin(), one_way_us.end());
  fmt::print("64-byte control message       one way p50 {:.0f} us, p99 {:.0f} us\n", one_way_us[kCount / 2],
             one_way_us[kCount * 99 / 100]);
}

// A bottleneck between two nodes: a rate with a queue in front of it, a delay, random loss.
class Path {
 public:
  struct Shape {
    const char* name;
    double mbit = 0;  // 0: no limit
    std::size_t queue_bytes = 0;
    milliseconds one_way{0};
    double loss = 0;
  };
  Path(const Shape& shape, std::uint16_t target) : shape_(shape), target_(loopback(target)) {
    for (int& fd : fds_) fd = open_socket();
  }
  ~Path() {
    for (int fd : fds_) close(fd);
  }
  std::string address() const {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    getsockname(fds_[0], reinterpret_cast<sockaddr*>(&own), &size);
    return "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
  }
  // Passes on what is due; returns when something will be.
  Clock::time_point step(Clock::time_point now) {
    for (std::size_t side : {0u, 1u}) take(side, now);
    for (std::size_t side : {0u, 1u}) give(side, now);
    auto next = now + milliseconds(10);
    for (auto& parcels : parcels_)
      if (!parcels.empty()) next = std::min(next, parcels.front().due);
    return next;
  }

 private:
  struct Parcel {
    Clock::time_point due;
    Bytes bytes;
  };
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    out.sin_port = htons(port);
    return out;
  }
  static int open_socket() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    const int size = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    const sockaddr_in any = loopback(0);
    bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any);
    return fd;
  }
  void take(std::size_t side, Clock::time_point now) {
    std::array<char, 65536> buffer;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    for (;;) {
      const auto got =
          recvfrom(fds_[side], buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (got < 0) return;
      if (side == 0) caller_ = from;
      if (std::uniform_real_distribution<>(0, 1)(random_) < shape_.loss) continue;
      const auto bytes = static_cast<std::size_t>(got);
      auto due = now;
      if (shape_.mbit > 0) {
        const auto busy = std::max(now, free_at_[side]);
        const double queued = std::chrono::duration<double>(busy - now).count() * shape_.mbit * 1e6 / 8;
        if (queued > static_cast<double>(shape_.queue_bytes)) continue;
        due = free_at_[side] = busy + std::chrono::nanoseconds(
                                          static_cast<long>(static_cast<double>(bytes) * 8e3 / shape_.mbit));
      }
      parcels_[side].push_back({due + shape_.one_way, Bytes(buffer.data(), bytes)});
    }
  }
  void give(std::size_t side, Clock::time_point now) {
    auto& parcels = parcels_[side];
    const sockaddr_in& to = side == 0 ? target_ : caller_;
    while (!parcels.empty() && parcels.front().due <= now) {
      sendto(fds_[1 - side], parcels.front().bytes.data(), parcels.front().bytes.size(), 0,
             reinterpret_cast<const sockaddr*>(&to), sizeof to);
      parcels.pop_front();
    }
  }

  const Shape shape_;
  const sockaddr_in target_;
  sockaddr_in caller_{};
  std::array<int, 2> fds_;
  std::array<Clock::time_point, 2> free_at_{};
  std::array<std::deque<Parcel>, 2> parcels_;
  std::mt19937 random_{1};
};

// In a time of its own, so that a busy machine does not change the figures.
void path(const Path::Shape& shape) {
  LinkTransport::Tuning ethernet;
  ethernet.datagram_bytes = 1372;
  Node a(1, ethernet), b(2, ethernet);
  const std::string address = b.transport->local_address();
  Path path(shape, static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  introduce(a, b, path.address());
  const Bytes message(256 * 1024, 'x');
  auto now = Clock::now() + std::chrono::hours(1);
  const auto advance = [&](milliseconds time) {
    const auto end = now + time;
    while (now < end) {
      while (a.linked && a.transport->send(node_id(2), Lane::bulk, message)) {
      }
      auto next = path.step(now);
      for (Node* node : {&a, &b}) next = std::min(next, node->transport->service(now));
      next = std::min(next, path.step(now));
      now = std::max(next, now + microseconds(50));
    }
  };
  advance(milliseconds(8000));
  const std::uint64_t received = b.bytes, sent = a.transport->stats(node_id(2)).sent_bytes;
  fmt::print("{:<46} {:6.1f} Mbit/s of payload, {:.2f} bytes sent for each\n", shape.name,
             static_cast<double>(received) * 8e-6 / 8,
             static_cast<double>(sent) / static_cast<double>(received + 1));
}

int run(const std::set<std::string>& what) {
  if (sodium_init() < 0) return 1;
  const auto wanted = [&](const char* name) { return what.empty() || what.contains(name); };
  if (wanted("throughput")) {
    LinkTransport::Tuning ethernet, chacha, plain;
    ethernet.datagram_bytes = plain.datagram_bytes = 1372;
    chacha.ciphers = static_cast<std::uint8_t>(Cipher::chacha20_poly1305);
    plain.socket.batches = false;
    throughput("1 GiB, loopback datagrams", {}, 1ULL << 30);
    throughput("1 GiB, Ethernet datagrams", ethernet, 1ULL << 30);
    throughput("256 MiB, ChaCha20-Poly1305", chacha, 1ULL << 28);
    throughput("256 MiB, without batches", plain, 1ULL << 28);
  }
  if (wanted("latency")) latency();
  if (wanted("paths")) {
    path({"40 ms RTT", 0, 0, milliseconds(20), 0});
    path({"40 ms RTT, 1 % loss", 0, 0, milliseconds(20), 0.01});
    path({"100 Mbit/s, 40 ms RTT, 256 KiB queue", 100, 256 * 1024, milliseconds(20), 0});
    path({"100 Mbit/s, 40 ms RTT, 64 KiB queue", 100, 64 * 1024, milliseconds(20), 0});
    path({"100 Mbit/s, 2 ms RTT, 128 KiB queue", 100, 128 * 1024, milliseconds(1), 0});
    path({"500 Mbit/s, 40 ms RTT, 1 MiB queue, 1 % loss", 500, 1 << 20, milliseconds(20), 0.01});
    path({"10 Mbit/s, 20 ms RTT, 64 KiB queue", 10, 64 * 1024, milliseconds(10), 0});
  }
  return 0;
}

}  // namespace
}  // namespace syncline

int main(int argc, char** argv) { return syncline::run(std::set<std::string>(argv + 1, argv + argc)); }

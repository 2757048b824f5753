// A long line between two network namespaces: each gets a TUN device eth0 (MTU 1500), and this process
// carries the packets from one to the other at a rate, after a delay, losing some. netem without the kernel's
// netem.
//   wan_line MBIT RTT_MS LOSS_PERCENT QUEUE_MS NETNS NETNS
// Prints "ready" when both devices exist; ends with its standard input.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

struct Line {
  double ns_per_byte = 0;
  nanoseconds one_way{0}, queue{0};  // `queue`: how much waiting the buffer before the bottleneck holds
  double loss = 0;
};

constexpr std::size_t kPacketBytes = 1600;  // MTU 1500 and some
constexpr int kBurst = 32;                  // packets taken from one side before the other gets its turn

struct Packet {
  Clock::time_point due;
  std::uint16_t size = 0;
  std::array<char, kPacketBytes> bytes;
};

// One direction: packets on their way, oldest first, in a ring that never grows.
class Direction {
 public:
  Direction(const Line& line, int from, int to, unsigned seed)
      : line_(line), from_(from), to_(to), random_(seed), ring_(ring_size(line)) {}

  void take(Clock::time_point now) {
    for (int i = 0; i < kBurst; ++i) {
      Packet& slot = ring_[(first_ + count_) % ring_.size()];
      const ssize_t got = read(from_, slot.bytes.data(), slot.bytes.size());
      if (got <= 0) return;
      slot.size = static_cast<std::uint16_t>(got);
      if (enter_line(slot, now) && count_ + 1 < ring_.size()) ++count_;
    }
  }
  void give(Clock::time_point now) {
    while (count_ > 0 && ring_[first_].due <= now) {
      const Packet& packet = ring_[first_];
      if (write(to_, packet.bytes.data(), packet.size) < 0 && errno == EINVAL) std::perror("wan_line: write");
      first_ = (first_ + 1) % ring_.size(), --count_;
    }
  }
  bool idle() const { return count_ == 0; }
  Clock::time_point next() const { return ring_[first_].due; }
  int source() const { return from_; }

 private:
  static std::size_t ring_size(
      const Line& line) {  // the whole line and its queue, full of packets of 100 bytes at least
    const auto ns = static_cast<double>((line.one_way + line.queue).count());
    return static_cast<std::size_t>(std::clamp(ns / line.ns_per_byte / 100, 1024.0, 65536.0));
  }
  bool enter_line(Packet& packet, Clock::time_point now) {
    const auto begin = std::max(now, free_at_);
    if (begin - now > line_.queue) return false;  // the buffer is full
    free_at_ = begin + nanoseconds(static_cast<long>(packet.size * line_.ns_per_byte));
    packet.due = free_at_ + line_.one_way;
    return random_chance_(random_) >= line_.loss;  // lost ones have used the line, too
  }

  const Line line_;
  const int from_, to_;
  std::mt19937 random_;
  std::uniform_real_distribution<> random_chance_{0, 1};
  std::vector<Packet> ring_;
  std::size_t first_ = 0, count_ = 0;
  Clock::time_point free_at_;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int open_tun(const char* namespace_path) {
  const int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int other = open(namespace_path, O_RDONLY | O_CLOEXEC);
  if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) != 0) die("wan_line: the network namespace");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("wan_line: /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strcpy(request.ifr_name, "eth0");
  if (ioctl(fd, TUNSETIFF, &request) != 0) die("wan_line: TUNSETIFF");
  if (setns(own, CLONE_NEWNET) != 0) die("wan_line: setns");
  close(own), close(other);
  return fd;
}

void carry(Direction& there, Direction& back) {
  for (;;) {
    auto now = Clock::now();
    for (Direction* d : {&there, &back}) d->take(now), d->give(now);
    std::array<pollfd, 3> fds{
        {{there.source(), POLLIN, 0}, {back.source(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    timespec wait{};
    bool bounded = false;
    for (Direction* d : {&there, &back}) {
      if (d->idle()) continue;
      const auto ns = std::max<long>(0, (d->next() - Clock::now()).count());
      if (!bounded || ns < wait.tv_nsec) wait.tv_nsec = std::min<long>(ns, 999'999'999);
      bounded = true;
    }
    if (ppoll(fds.data(), fds.size(), bounded ? &wait : nullptr, nullptr) < 0 && errno != EINTR)
      die("wan_line: ppoll");
    if (fds[2].revents != 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: wan_line MBIT RTT_MS LOSS_PERCENT QUEUE_MS NETNS NETNS\n");
    return 2;
  }
  Line line;
  line.ns_per_byte = 8e3 / std::atof(argv[1]);
  line.one_way = nanoseconds(static_cast<long>(std::atof(argv[2]) * 1e6 / 2));
  line.loss = std::atof(argv[3]) / 100;
  line.queue = nanoseconds(static_cast<long>(std::atof(argv[4]) * 1e6));
  if (!(line.ns_per_byte > 0 && line.ns_per_byte < 1e6) || line.one_way.count() < 0 ||
      line.queue.count() <= 0) {
    std::fprintf(stderr, "wan_line: a rate, a delay or a queue is out of range\n");
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1000);
  prctl(PR_SET_PDEATHSIG, 9);
  const int first = open_tun(argv[5]), second = open_tun(argv[6]);
  Direction there(line, first, second, 1), back(line, second, first, 2);
  std::puts("ready");
  std::fflush(stdout);
  carry(there, back);
}

#include "node/datagram_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <utility>
#include <vector>

#include "node/datagram_sockaddr_posix.h"

namespace syncline {
namespace {

constexpr int kBufferBytes = 8 * 1024 * 1024;    // of the kernel, each way: two windows; it may grant less
constexpr std::size_t kBatchBytes = 256 * 1024;  // waiting for flush()
constexpr std::size_t kRuns = 64;                // system-call messages waiting for flush()
constexpr std::size_t kRunBytes = 65'000;        // one UDP_SEGMENT message is at most one UDP payload
constexpr std::size_t kRunSegments = 64;         // UDP_MAX_SEGMENTS of the kernels before 6.9
constexpr std::size_t kReceiveMessages = 16;     // of one recvmmsg
constexpr std::size_t kReceiveBytes = 65'536;    // one of them, after UDP_GRO

// Datagrams of one size to one address (the last may be shorter), next to each other: one UDP_SEGMENT
// message.
struct Run {
  Endpoint to;
  std::size_t begin = 0, bytes = 0, segment = 0, count = 0;
  bool closed = false;
};

struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

bool set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

void set_buffers(int fd) {
#ifdef SO_RCVBUFFORCE
  if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, kBufferBytes)) set(fd, SOL_SOCKET, SO_RCVBUF, kBufferBytes);
  if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, kBufferBytes)) set(fd, SOL_SOCKET, SO_SNDBUF, kBufferBytes);
#else
  set(fd, SOL_SOCKET, SO_RCVBUF, kBufferBytes);
  set(fd, SOL_SOCKET, SO_SNDBUF, kBufferBytes);
#endif
}

// A descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixSocket final : public DatagramSocket {
 public:
  PosixSocket(Fd fd, Fd epoll, Fd timer, int family, const Options& options);

  int fd() const override { return epoll_.get(); }
  Endpoint local() const override;
  bool can_reach(const Endpoint& to) const override { return family_ == AF_INET6 || to.is_v4(); }
  std::span<std::uint8_t> reserve() override;
  void commit(const Endpoint& to, std::size_t size) override;
  bool flush() override;
  const Received* peek() override;
  void pop() override { received_.bytes = {}; }
  void wake_at(std::chrono::steady_clock::time_point time) override;
  void woken() override;

 private:
  struct Incoming {
    sockaddr_storage from;
    Control control;
    std::size_t bytes = 0, segment = 0, at = 0;
  };

  enum class Sent { yes, full, split };
  std::size_t send_runs(std::size_t from, Sent& outcome);
  Sent failed_run(const Run& run, int error);
  bool send_split(Run& run);
  void drop_sent(std::size_t runs);
  bool refill();
  bool next_segment();

  const Fd socket_, epoll_, timer_;
  const int fd_, family_;
  const Options options_;
  bool segments_ = false;  // UDP_SEGMENT works

  std::vector<std::uint8_t> out_;
  std::size_t out_end_ = 0;
  std::vector<Run> runs_;

  std::vector<char> in_;
  std::array<Incoming, kReceiveMessages> incoming_{};
  std::size_t incoming_at_ = 0, incoming_end_ = 0;
  Received received_;
  std::optional<std::chrono::steady_clock::time_point> wake_at_;
};

PosixSocket::PosixSocket(Fd socket, Fd epoll, Fd timer, int family, const Options& options)
    : socket_(std::move(socket)),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      fd_(socket_.get()),
      family_(family),
      options_(options),
      out_(kBatchBytes),
      in_(kReceiveMessages * kReceiveBytes) {
  const int fd = fd_;
  set_buffers(fd);
  if (options.batches) {
#ifdef UDP_SEGMENT
    int probe = 0;
    socklen_t size = sizeof probe;
    segments_ = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &probe, &size) == 0;
#endif
#ifdef UDP_GRO
    set(fd, SOL_UDP, UDP_GRO, 1);
#endif
  }
#ifdef IP_MTU_DISCOVER
  // No "do not fragment": a path narrower than our datagrams makes fragments, not a black hole.
  set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (family == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
#endif
}

void PosixSocket::wake_at(std::chrono::steady_clock::time_point time) {
  if (wake_at_ && *wake_at_ <= time) return;
  wake_at_ = time;
  // The steady clock is CLOCK_MONOTONIC; zero would mean never.
  const auto ns = std::max<std::int64_t>(
      1, std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
  itimerspec spec{};
  spec.it_value = {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void PosixSocket::woken() {
  std::uint64_t times = 0;
  if (wake_at_ && *wake_at_ <= std::chrono::steady_clock::now() &&
      read(timer_.get(), &times, sizeof times) == static_cast<ssize_t>(sizeof times))
    wake_at_.reset();
}

Endpoint PosixSocket::local() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  return from_sockaddr(reinterpret_cast<const sockaddr&>(address)).value_or(Endpoint{});
}

std::span<std::uint8_t> PosixSocket::reserve() {
  if (out_.size() - out_end_ < kDatagramBytes || runs_.size() == kRuns) flush();
  if (out_.size() - out_end_ < kDatagramBytes || runs_.size() == kRuns) drop_sent(runs_.size());
  return {out_.data() + out_end_, kDatagramBytes};
}

void PosixSocket::commit(const Endpoint& to, std::size_t size) {
  assert(size > 0 && size <= kDatagramBytes);
  Run* last = runs_.empty() ? nullptr : &runs_.back();
  const bool fits = last && segments_ && !last->closed && last->to == to && size <= last->segment &&
                    last->count < kRunSegments && last->bytes + size <= kRunBytes;
  if (fits) {
    last->bytes += size;
    ++last->count;
    last->closed = size < last->segment;
  } else {
    runs_.push_back({to, out_end_, size, size, 1, false});
  }
  out_end_ += size;
}

bool PosixSocket::flush() {
  std::size_t done = 0;
  while (done < runs_.size()) {
    Sent outcome = Sent::yes;
    done += send_runs(done, outcome);
    if (outcome == Sent::split && !send_split(runs_[done])) outcome = Sent::full;
    if (outcome == Sent::full) break;
    if (outcome == Sent::split) ++done;
  }
  drop_sent(done);
  return runs_.empty();
}

// Sends from runs_[from] on; returns how many are dealt with, and why it stopped at the next one.
std::size_t PosixSocket::send_runs(std::size_t from, Sent& outcome) {
  std::array<mmsghdr, kRuns> messages{};
  std::array<iovec, kRuns> parts;
  std::array<sockaddr_storage, kRuns> addresses;
  std::array<Control, kRuns> controls{};
  unsigned count = 0;
  for (std::size_t i = from; i < runs_.size(); ++i, ++count) {
    const Run& run = runs_[i];
    msghdr& header = messages[count].msg_hdr;
    parts[count] = {out_.data() + run.begin, run.bytes};
    header.msg_iov = &parts[count];
    header.msg_iovlen = 1;
    header.msg_name = &addresses[count];
    header.msg_namelen = to_sockaddr(run.to, family_, addresses[count]);
#ifdef UDP_SEGMENT
    if (run.count > 1) {
      header.msg_control = controls[count].bytes.data();
      header.msg_controllen = controls[count].bytes.size();
      cmsghdr* control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
      const auto segment = static_cast<std::uint16_t>(run.segment);
      std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
      header.msg_controllen = CMSG_SPACE(sizeof(std::uint16_t));
    }
#endif
  }
  int sent = 0;
  do {
    sent = sendmmsg(fd_, messages.data(), options_.batches ? count : 1, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) return static_cast<std::size_t>(sent);
  outcome = failed_run(runs_[from], errno);
  return outcome == Sent::yes ? 1 : 0;
}

// What to make of the first run, which the kernel did not take. Sent::yes: lost like any datagram (no route,
// no permission).
PosixSocket::Sent PosixSocket::failed_run(const Run& run, int error) {
  if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) return Sent::full;
  if (run.count == 1) return Sent::yes;
  // EMSGSIZE, EINVAL: segments longer than the MTU of this route. Else the device cannot checksum: never try
  // again.
  if (error != EMSGSIZE && error != EINVAL) segments_ = false;
  return Sent::split;
}

bool PosixSocket::send_split(Run& run) {
  sockaddr_storage to;
  const socklen_t to_size = to_sockaddr(run.to, family_, to);
  while (run.count > 0) {
    const std::size_t size = std::min(run.segment, run.bytes);
    const auto sent =
        sendto(fd_, out_.data() + run.begin, size, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), to_size);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return false;
    run.begin += size;
    run.bytes -= size;
    --run.count;
  }
  return true;
}

void PosixSocket::drop_sent(std::size_t runs) {
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(runs));
  if (runs_.empty()) out_end_ = 0;
}

const DatagramSocket::Received* PosixSocket::peek() {
  if (received_.bytes.data() != nullptr) return &received_;
  while (!next_segment())
    if (!refill()) return nullptr;
  return &received_;
}

bool PosixSocket::next_segment() {
  while (incoming_at_ < incoming_end_) {
    Incoming& message = incoming_[incoming_at_];
    const char* begin = in_.data() + incoming_at_ * kReceiveBytes + message.at;
    const auto from = from_sockaddr(reinterpret_cast<const sockaddr&>(message.from));
    const std::size_t size = std::min(message.segment, message.bytes - message.at);
    message.at += size;
    if (message.at >= message.bytes) ++incoming_at_;
    if (size == 0 || !from) continue;
    received_ = {BytesView(begin, size), *from};
    return true;
  }
  return false;
}

bool PosixSocket::refill() {
  std::array<mmsghdr, kReceiveMessages> messages{};
  std::array<iovec, kReceiveMessages> parts;
  for (std::size_t i = 0; i < kReceiveMessages; ++i) {
    parts[i] = {in_.data() + i * kReceiveBytes, kReceiveBytes};
    msghdr& header = messages[i].msg_hdr;
    header.msg_iov = &parts[i];
    header.msg_iovlen = 1;
    header.msg_name = &incoming_[i].from;
    header.msg_namelen = sizeof incoming_[i].from;
    header.msg_control = incoming_[i].control.bytes.data();
    header.msg_controllen = incoming_[i].control.bytes.size();
  }
  int got = 0;
  do {
    got = recvmmsg(fd_, messages.data(), options_.batches ? kReceiveMessages : 1, MSG_DONTWAIT, nullptr);
  } while (got < 0 && errno == EINTR);
  incoming_at_ = incoming_end_ = 0;
  if (got <= 0) return false;
  incoming_end_ = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < incoming_end_; ++i) {
    msghdr& header = messages[i].msg_hdr;
    Incoming& message = incoming_[i];
    message.bytes = message.segment = (header.msg_flags & MSG_TRUNC) ? 0 : messages[i].msg_len;
    message.at = 0;
#ifdef UDP_GRO
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
      int segment = 0;
      if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
      std::memcpy(&segment, CMSG_DATA(c), sizeof segment);
      if (segment > 0) message.segment = static_cast<std::size_t>(segment);
    }
#endif
  }
  return true;
}

bool watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

Result<Fd> open_socket(const Endpoint& at, int family, const HostPort& listen) {
  const auto failed = [&](int error) {
    return fail(error == EADDRINUSE ? Error::Code::exists : Error::Code::io,
                fmt::format("cannot listen on {}:{}: {}", listen.host.empty() ? "*" : listen.host,
                            listen.port, error == EADDRINUSE ? "the port is in use" : std::strerror(error)));
  };
  Fd fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return failed(errno);
  if (family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, at.is_any() ? 0 : 1);
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(at, family, address);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return failed(errno);
  return fd;
}

Result<std::unique_ptr<DatagramSocket>> finish(Fd fd, int family, const DatagramSocket::Options& options) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (epoll.get() < 0 || timer.get() < 0 || !watch(epoll.get(), fd.get()) || !watch(epoll.get(), timer.get()))
    return fail(Error::Code::io, fmt::format("cannot watch a socket: {}", std::strerror(errno)));
  return std::make_unique<PosixSocket>(std::move(fd), std::move(epoll), std::move(timer), family, options);
}

}  // namespace

Result<std::unique_ptr<DatagramSocket>> DatagramSocket::bind(const HostPort& listen, const Options& options) {
  Endpoint at;
  if (const auto number = numeric_endpoint(listen)) {
    at = *number;
  } else {
    const auto resolved = resolve(listen);
    if (!resolved) return tl::unexpected(resolved.error());
    at = resolved->front();
  }
  int family = at.is_v4() ? AF_INET : AF_INET6;
  Result<Fd> fd = open_socket(at, family, listen);
  if (!fd && listen.host.empty() && fd.error().code != Error::Code::exists) {
    // No IPv6 on this host: every address means every IPv4 address.
    at.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
    family = AF_INET;
    auto again = open_socket(at, family, listen);
    if (!again) return tl::unexpected(again.error());
    return finish(std::move(*again), family, options);
  }
  if (!fd) return tl::unexpected(fd.error());
  return finish(std::move(*fd), family, options);
}

}  // namespace syncline

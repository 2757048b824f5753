#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "cli/system.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

using Clock = std::chrono::steady_clock;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

  // False: the time is over.
  bool ready(short events, Clock::time_point until) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
      pollfd wanted{fd_, events, 0};
      const int n = ::poll(&wanted, 1, static_cast<int>(std::clamp<decltype(left)>(left, 0, 60'000)));
      if (n > 0) return true;
      if (n == 0 && left <= 60'000) return false;
      if (n < 0 && errno != EINTR) return true;  // the next call on the socket tells what is wrong
    }
  }

 private:
  int fd_;
};

tl::unexpected<Error> not_running(const std::string& home, const std::string& path) {
  return fail(Error::Code::refused,
              fmt::format("node is not running (no answer at {}); start it with: syncline run --home {}",
                          path, home));
}
tl::unexpected<Error> hung_up(const std::string& path) {
  return fail(Error::Code::io, fmt::format("the node hung up ({})", path));
}
tl::unexpected<Error> too_slow() { return fail(Error::Code::timed_out, "the node does not answer in time"); }

}  // namespace

Result<std::string> ask_node(const std::string& home, std::string line, std::uint64_t timeout_ms) {
  const std::string path = home + "/control.sock";
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Error::Code::refused, fmt::format("{}: too long for a socket: use a shorter --home", path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

  const Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return fail(Error::Code::io, fmt::format("no socket: {}", std::strerror(errno)));
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EACCES || errno == EPERM)
      return fail(Error::Code::refused,
                  fmt::format("{}: {}: run as the node's user, or root", path, std::strerror(errno)));
    return not_running(home, path);
  }
  ::fcntl(socket.fd(), F_SETFL, O_NONBLOCK);

  line += '\n';
  for (std::string_view rest = line; !rest.empty();) {
    if (!socket.ready(POLLOUT, until)) return too_slow();
    const ssize_t n = ::send(socket.fd(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return hung_up(path);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  std::string answer;
  std::array<char, 64 * 1024> piece;
  for (;;) {
    if (!socket.ready(POLLIN, until)) return too_slow();
    const ssize_t n = ::recv(socket.fd(), piece.data(), piece.size(), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return hung_up(path);
    const std::string_view got(piece.data(), static_cast<std::size_t>(n));
    const std::size_t end = got.find('\n');
    answer += got.substr(0, end);
    if (end != std::string_view::npos) return answer;
    if (answer.size() > limits::control_reply_bytes)
      return fail(Error::Code::full, "the node's answer is too long");
  }
}

}  // namespace syncline

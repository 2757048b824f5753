#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "node/home_file.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> failed(const std::string& path, std::string_view what, int error) {
  const auto code = error == ENOENT                                       ? Error::Code::not_found
                    : error == ENOSPC                                     ? Error::Code::full
                    : error == EACCES || error == EROFS || error == EPERM ? Error::Code::refused
                                                                          : Error::Code::io;
  return fail(code, fmt::format("{}: {}: {}", path, what, std::strerror(error)));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// 0, or errno.
int write_all(int fd, BytesView content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

int sync_directory(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.get() >= 0 && ::fsync(fd.get()) == 0 ? 0 : errno;
}

std::string pid_in(int fd) {
  std::array<char, 16> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size() - 1, 0);
  const std::string_view digits(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  return std::string(digits.substr(0, digits.find('\n')));
}

}  // namespace

Status write_private(const std::string& path, BytesView content) {
  const std::string fresh = path + ".tmp";  // a home has one process at a time
  ::unlink(fresh.c_str());
  {
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd.get() < 0) return failed(path, "cannot be written", errno);
    int error = write_all(fd.get(), content);
    if (error == 0 && ::fsync(fd.get()) != 0) error = errno;
    if (error != 0) return ::unlink(fresh.c_str()), failed(path, "cannot be written", error);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    const int error = errno;
    return ::unlink(fresh.c_str()), failed(path, "cannot be written", error);
  }
  if (const int error = sync_directory(fs::path(path).parent_path()); error != 0)
    return failed(path, "cannot be made durable", error);
  return {};
}

Result<Bytes> read_private(const std::string& path, std::size_t limit) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return failed(path, "cannot be read", errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed(path, "cannot be read", errno);
  if (!S_ISREG(info.st_mode)) return fail(Error::Code::invalid, path + ": is no file");
  if ((info.st_mode & 077) != 0)
    return fail(Error::Code::refused,
                fmt::format("{}: others may read or write it (mode {:04o}); chmod 600 it", path,
                            info.st_mode & 07777));
  Bytes content;
  std::array<char, 16 * 1024> piece;
  for (;;) {
    const ssize_t n = ::read(fd.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(path, "cannot be read", errno);
    if (n == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(n));
    if (content.size() > limit)
      return fail(Error::Code::full, fmt::format("{}: longer than {} bytes", path, limit));
  }
}

Status make_private_directory(const std::string& path, std::vector<std::string>& made) {
  std::error_code error;
  const fs::path above = fs::path(path).parent_path();
  if (!above.empty() && above != path && !fs::exists(above, error)) {
    if (const Status done = make_private_directory(above, made); !done) return done;
    ::chmod(above.c_str(), 0755);
  }
  if (::mkdir(path.c_str(), 0700) == 0) return made.push_back(path), Status{};
  if (errno != EEXIST) return failed(path, "cannot be made", errno);

  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failed(path, "cannot be looked at", errno);
  if (!S_ISDIR(info.st_mode)) return fail(Error::Code::refused, path + ": is no directory");
  if ((info.st_mode & 077) == 0) return {};
  // Never tighten a directory that is somebody's for another purpose: `--home /etc` must not lock up a
  // machine.
  if (!fs::is_empty(path, error) || error)
    return fail(Error::Code::refused,
                path + ": is not empty and others may enter it; name a new directory, or chmod 700 this one");
  if (::chmod(path.c_str(), 0700) != 0) return failed(path, "cannot be made private", errno);
  return {};
}

Status check_writable_directory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return fail(Error::Code::refused, fmt::format("{}: {}", path, std::strerror(errno)));
  if (!S_ISDIR(info.st_mode)) return fail(Error::Code::refused, path + ": is no directory");
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0)
    return fail(Error::Code::refused, fmt::format("{}: not writable: {}", path, std::strerror(errno)));
  return {};
}

Result<HomeLock> HomeLock::take(const std::string& home) {
  const std::string path = home + "/lock";
  for (;;) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (fd.get() < 0) return failed(path, "cannot be opened", errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return failed(path, "cannot be locked", errno);
      const std::string pid = pid_in(fd.get());
      return fail(Error::Code::busy, fmt::format("another synclined (pid {}) runs with this home, {}",
                                                 pid.empty() ? "unknown" : pid, home));
    }
    // A set-up that failed removes its lock file: what was locked must still be what the name leads to.
    struct stat locked {
    }, named{};
    if (::fstat(fd.get(), &locked) != 0) return failed(path, "cannot be looked at", errno);
    if (::stat(path.c_str(), &named) != 0 || named.st_ino != locked.st_ino) continue;
    if (::ftruncate(fd.get(), 0) != 0 || write_all(fd.get(), fmt::format("{}\n", ::getpid())) != 0)
      return failed(path, "cannot be written", errno);
    return HomeLock(fd.release());
  }
}

void HomeLock::release() {
  if (handle_ >= 0) ::close(static_cast<int>(std::exchange(handle_, -1)));
}
HomeLock::HomeLock(HomeLock&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
HomeLock& HomeLock::operator=(HomeLock&& other) noexcept {
  if (this != &other) release(), handle_ = std::exchange(other.handle_, -1);
  return *this;
}
HomeLock::~HomeLock() { release(); }

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

bool running_as_root() { return ::geteuid() == 0; }

std::vector<std::string> interface_addresses(bool ipv4, bool ipv6) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(first, &::freeifaddrs);
  std::vector<std::string> found;
  for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (at->ifa_addr->sa_family == AF_INET && ipv4) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
      if ((ntohl(v4->sin_addr.s_addr) >> 16) == 0xa9fe) continue;  // 169.254/16, link-local
      ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    } else if (at->ifa_addr->sa_family == AF_INET6 && ipv6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr);
      if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) continue;
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    } else {
      continue;
    }
    if (std::ranges::find(found, text.data()) == found.end()) found.emplace_back(text.data());
  }
  return found;
}

}  // namespace syncline

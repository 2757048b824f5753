#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "storage/kv_file.h"

namespace syncline {
namespace {

tl::unexpected<Error> system_error(const char* what, const std::string& path) {
  const int number = errno;
  const auto code = is_no_space(number) ? Error::Code::full : Error::Code::io;
  return fail(code, fmt::format("{} {}: {}", what, path, std::strerror(number)));
}

void close_fd(int fd) {
  if (fd >= 0) ::close(fd);
}

}  // namespace

bool is_no_space(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("cannot open", path);
  DirectoryLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return system_error("cannot lock", path);
  return fail(Error::Code::refused, fmt::format("{} is in use by another process", directory));
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
DirectoryLock::~DirectoryLock() { close_fd(fd_); }

Result<LogFile> LogFile::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("cannot create", path);
  return LogFile(fd);
}

LogFile::LogFile(LogFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
LogFile& LogFile::operator=(LogFile&& other) noexcept {
  if (this != &other) {
    close_fd(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}
LogFile::~LogFile() { close_fd(fd_); }

Status LogFile::write_at(std::uint64_t offset, BytesView data) {
  while (!data.empty()) {
    const ::ssize_t n = ::pwrite(fd_, data.data(), data.size(), static_cast<::off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write", "the index's log");
    offset += static_cast<std::uint64_t>(n);
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<ReadFile> ReadFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return fail(Error::Code::not_found, path + " does not exist");
  if (fd < 0) return system_error("cannot open", path);
  return ReadFile(fd);
}

ReadFile::ReadFile(ReadFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
ReadFile::~ReadFile() { close_fd(fd_); }

Result<std::size_t> ReadFile::read_at(std::uint64_t offset, char* into, std::size_t size) const {
  std::size_t done = 0;
  while (done < size) {
    const ::ssize_t n = ::pread(fd_, into + done, size - done, static_cast<::off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read", "the index");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<std::uint64_t> ReadFile::size() const {
  struct ::stat info {};
  if (::fstat(fd_, &info) != 0) return system_error("cannot look at", "the index");
  return static_cast<std::uint64_t>(info.st_size);
}

Status make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return system_error("cannot create", path);
  struct ::stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_error("cannot look at", path);
  if (!S_ISDIR(info.st_mode)) return fail(Error::Code::io, path + " is not a directory");
  return {};
}

Status sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("cannot open", path);
  const int rc = ::fsync(fd);
  const int number = errno;
  ::close(fd);
  errno = number;
  if (rc != 0 && number != EINVAL)
    return system_error("cannot sync", path);  // EINVAL: this file system has no such thing
  return {};
}

Bytes system_boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  Bytes id;
  std::getline(in, id);
  return id;
}

}  // namespace syncline

#include "storage/file_posix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace syncline::posix {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

int Fd::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

namespace {

struct Meaning {
  int error;
  Error::Code code;
  const char* advice;
};

// ENOTDIR and ELOOP mean that a component is no directory (symlinks are never followed), so the path does not
// exist.
constexpr Meaning kMeanings[] = {
    {ENOENT, Error::Code::not_found, ""},
    {ENOTDIR, Error::Code::not_found, ""},
    {ELOOP, Error::Code::not_found, ""},
    {EEXIST, Error::Code::exists, ""},
    {ENOTEMPTY, Error::Code::exists, ""},
    {EISDIR, Error::Code::exists, ""},
    {EBUSY, Error::Code::busy, ": in use, or a file system is mounted there"},
    {EAGAIN, Error::Code::busy, ""},
    {ETXTBSY, Error::Code::busy, ": it is a running program"},
    {ENOSPC, Error::Code::full, ": free some space or some inodes"},
    {EDQUOT, Error::Code::full, ": raise the quota of this user"},
    {ENAMETOOLONG, Error::Code::unsupported, ": this file system wants shorter names"},
    {EINVAL, Error::Code::unsupported, ""},
    {EILSEQ, Error::Code::unsupported, ": this file system refuses such names"},
    {EOPNOTSUPP, Error::Code::unsupported, ""},
    {ENOSYS, Error::Code::unsupported, ""},
    {EXDEV, Error::Code::unsupported, ": another file system is mounted inside the folder"},
    {EFBIG, Error::Code::unsupported, ": too large for this file system"},
    {EMLINK, Error::Code::unsupported, ": too many links to one file"},
    {EACCES, Error::Code::io, ": let the node's user read and write it"},
    {EPERM, Error::Code::io, ": not the node's own, or marked immutable (lsattr tells)"},
    {EROFS, Error::Code::io, ": mount it read-write"},
    {EIO, Error::Code::io, ": the disk has an error (dmesg tells)"},
    {EMFILE, Error::Code::io, ": raise the limit of open files (LimitNOFILE)"},
    {ENFILE, Error::Code::io, ": raise fs.file-max"},
};

}  // namespace

tl::unexpected<Error> os_error(int error, std::string_view verb, std::string_view path) {
  for (const Meaning& meaning : kMeanings) {
    if (meaning.error != error) continue;
    return fail(meaning.code,
                fmt::format("cannot {} '{}': {}{}", verb, path, std::strerror(error), meaning.advice));
  }
  return fail(Error::Code::io, fmt::format("cannot {} '{}': {}", verb, path, std::strerror(error)));
}

FileStat to_file_stat(const struct stat& raw) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  FileStat out;
  if (S_ISREG(raw.st_mode)) out.type = FileType::file;
  if (S_ISDIR(raw.st_mode)) out.type = FileType::directory;
  if (S_ISLNK(raw.st_mode)) out.type = FileType::symlink;
  out.print.inode = raw.st_ino;
  out.print.size = static_cast<std::uint64_t>(raw.st_size);
  out.print.mtime_ns = raw.st_mtim.tv_sec * second_ns + raw.st_mtim.tv_nsec;
  out.print.ctime_ns = raw.st_ctim.tv_sec * second_ns + raw.st_ctim.tv_nsec;
  out.mode = raw.st_mode & 07777;
  out.uid = raw.st_uid;
  out.gid = raw.st_gid;
  out.links = static_cast<std::uint32_t>(raw.st_nlink);
  return out;
}

timespec to_timespec(std::int64_t ns) {
  constexpr std::int64_t second_ns = 1'000'000'000;
  std::int64_t rest = ns % second_ns;  // before 1970 it must still be positive
  if (rest < 0) rest += second_ns;
  return {static_cast<time_t>((ns - rest) / second_ns), static_cast<long>(rest)};
}

namespace {

constexpr const char* kMarkName = "user.syncline";
constexpr std::size_t kMarkBytesMax = 256;

class PosixFile : public File {
 public:
  PosixFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got =
          ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return os_error(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status write_at(std::uint64_t offset, BytesView data) override {
    while (!data.empty()) {
      const ssize_t put = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return os_error(errno, "write", path_);
      data.remove_prefix(static_cast<std::size_t>(put));
      offset += static_cast<std::uint64_t>(put);
    }
    return {};
  }

  Status truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return os_error(errno, "truncate", path_);
    return {};
  }

  Result<FileStat> stat() override {
    struct stat raw;
    if (::fstat(fd_.get(), &raw) != 0) return os_error(errno, "look at", path_);
    return to_file_stat(raw);
  }

  std::optional<bool> open_for_writing() override {
    const std::optional<bool> open = guard();
    if (open == false) unguard();
    return open;
  }

  // A read lease is refused with EAGAIN while anybody has the file open for writing (mapped writers
  // included). It wants the owner of the file or CAP_LEASE (EACCES), and a file system of this machine (NFS:
  // EINVAL).
  std::optional<bool> guard() override {
    if (::fcntl(fd_.get(), F_SETLEASE, F_RDLCK) == 0) return false;
    if (errno == EAGAIN) return true;
    return std::nullopt;
  }

  // While a break is pending the kernel reports the type that the lease is to be reduced to (fcntl(2),
  // F_GETLEASE).
  bool guard_broken() override { return ::fcntl(fd_.get(), F_GETLEASE) != F_RDLCK; }
  void unguard() override { ::fcntl(fd_.get(), F_SETLEASE, F_UNLCK); }

  Status set_attributes(std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns) override {
    if (mode && ::fchmod(fd_.get(), static_cast<mode_t>(*mode)) != 0) {
      return os_error(errno, "set the mode of", path_);
    }
    if (mtime_ns) {
      const timespec times[2] = {{0, UTIME_OMIT}, to_timespec(*mtime_ns)};
      if (::futimens(fd_.get(), times) != 0) return os_error(errno, "set the time of", path_);
    }
    return {};
  }

  Status set_owner(std::uint32_t uid, std::uint32_t gid) override {
    if (::fchown(fd_.get(), uid, gid) != 0) return os_error(errno, "set the owner of", path_);
    return {};
  }

  Status sync() override {
    if (::fsync(fd_.get()) != 0) return os_error(errno, "sync", path_);
    return {};
  }

  Status set_mark(BytesView mark) override {
    if (::fsetxattr(fd_.get(), kMarkName, mark.data(), mark.size(), 0) != 0) return os_error(errno, "mark", path_);
    return {};
  }

  std::optional<Bytes> mark() override {
    Bytes bytes(kMarkBytesMax, '\0');
    const ssize_t size = ::fgetxattr(fd_.get(), kMarkName, bytes.data(), bytes.size());
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size));
    return bytes;
  }

 private:
  Fd fd_;
  std::string path_;
};

Status copy_by_hand(int from, int to, off_t offset, std::string_view path) {
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t got = ::pread(from, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error(errno, "read", path);
    if (got == 0) return {};
    for (ssize_t done = 0; done < got;) {
      const ssize_t put =
          ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(got - done), offset + done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return os_error(errno, "copy", path);
      done += put;
    }
    offset += got;
  }
}

}  // namespace

std::unique_ptr<File> make_file(Fd fd, std::string path) {
  return std::make_unique<PosixFile>(std::move(fd), std::move(path));
}

Status copy_content(int from, int to, std::string_view path) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  off_t copied = 0;
  while (true) {
    constexpr std::size_t piece_bytes = 64 << 20;
    const ssize_t put = ::copy_file_range(from, nullptr, to, nullptr, piece_bytes, 0);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)) return os_error(errno, "copy", path);
    if (put < 0) return copy_by_hand(from, to, copied, path);
    // Some kernels answer 0 where they cannot (procfs, FUSE): at the real end reading by hand finds nothing
    // either.
    if (put == 0) return copy_by_hand(from, to, copied, path);
    copied += put;
  }
}

}  // namespace syncline::posix

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <map>
#include <mutex>

#include "protocol/limits.h"
#include "protocol/record.h"
#include "storage/file_posix.h"
#include "storage/file_system.h"

namespace syncline {
namespace {

using posix::Fd;
using posix::os_error;

// A directory, open, and a name in it: what the *at() system calls want. Directories of the tree are opened
// afresh for every operation, because an application may rename them at any time and a descriptor would
// follow; those below .syncline/ are ours.
struct Place {
  std::shared_ptr<Fd> directory;
  std::string name;
  int fd() const { return directory->get(); }
  const char* c_name() const { return name.c_str(); }
};

class PosixFileSystem : public FileSystem {
 public:
  PosixFileSystem(Fd root, std::string path, bool use_openat2)
      : root_(std::make_shared<Fd>(std::move(root))),
        root_path_(std::move(path)),
        has_openat2_(use_openat2) {}

  Result<FileStat> stat(std::string_view path) override;
  Result<std::vector<DirectoryItem>> list(std::string_view directory) override;
  std::vector<Result<FileStat>> stat_many(std::string_view directory,
                                          std::span<const DirectoryItem> items) override;
  Result<std::string> read_link(std::string_view path) override;
  Result<std::unique_ptr<File>> open(std::string_view path) override;
  Result<std::unique_ptr<File>> open_write(std::string_view path) override;
  Status make_directory(std::string_view path, std::uint32_t mode) override;
  void spread(std::string_view directory) override;
  Status make_symlink(std::string_view path, std::string_view target) override;
  Status rename_new(std::string_view from, std::string_view to) override;
  Status exchange(std::string_view a, std::string_view b) override;
  Status replace(std::string_view from, std::string_view to) override;
  Status link(std::string_view from, std::string_view to) override;
  Status remove_file(std::string_view path) override;
  Status remove_directory(std::string_view path) override;
  Status set_attributes(std::string_view path, std::optional<std::uint32_t> mode,
                        std::optional<std::int64_t> mtime_ns) override;
  Status set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) override;
  Status clone(std::string_view from, std::string_view to) override;
  Status sync_all() override;
  Result<std::uint64_t> free_bytes() override;
  Status check_root() override;
  std::int64_t now_ns() override;
  bool can_set_owner() const override { return privileged_; }

 private:
  Result<Place> place(std::string_view path);
  Result<std::shared_ptr<Fd>> own_directory(std::string_view path);
  void forget_own_directories();
  // Opens relative to the root without following a symlink in any component. -1 and errno on failure.
  int open_beneath(std::string_view path, int flags);
  int open_step_by_step(std::string_view path, int flags);
  Status rename(std::string_view from, std::string_view to, unsigned flags, std::string_view verb);
  Status rename_new_by_link(const Place& from, const Place& to, std::string_view path);

  const std::shared_ptr<Fd> root_;
  const std::string root_path_;
  const bool privileged_ = ::geteuid() == 0;
  std::atomic<bool> has_openat2_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Fd>, std::less<>> own_directories_;  // .syncline and its few children
};

bool is_own(std::string_view path) {
  return path.starts_with(kOwnDirectory) &&
         (path.size() == kOwnDirectory.size() || path[kOwnDirectory.size()] == '/');
}

int PosixFileSystem::open_beneath(std::string_view path, int flags) {
  flags |= O_CLOEXEC | O_NOFOLLOW;
  if ((flags & O_PATH) == 0)
    flags |= O_NONBLOCK;  // a FIFO must not hold us up; openat2() refuses it with O_PATH
  if (path.empty()) path = ".";
  if (has_openat2_.load(std::memory_order_relaxed)) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    const std::string name(path);
    long fd = -1;
    do {
      fd = ::syscall(SYS_openat2, root_->get(), name.c_str(), &how, sizeof how);
    } while (fd < 0 && errno == EINTR);
    // ENOSYS before Linux 5.6; old container runtimes answer EPERM to system calls that they do not know.
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
    if (errno == ENOSYS) has_openat2_.store(false, std::memory_order_relaxed);
  }
  return open_step_by_step(path, flags);
}

int PosixFileSystem::open_step_by_step(std::string_view path, int flags) {
  Fd at;
  int directory = root_->get();
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    if (slash == std::string_view::npos) return ::openat(directory, name.c_str(), flags);
    Fd next(::openat(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.valid()) return -1;
    at = std::move(next);
    directory = at.get();
    path.remove_prefix(slash + 1);
  }
}

Result<std::shared_ptr<Fd>> PosixFileSystem::own_directory(std::string_view path) {
  const std::lock_guard lock(mutex_);
  const auto found = own_directories_.find(path);
  if (found != own_directories_.end()) return found->second;
  Fd fd(open_beneath(path, O_PATH | O_DIRECTORY));
  if (!fd.valid()) return os_error(errno, "open", path);
  return own_directories_.emplace(path, std::make_shared<Fd>(std::move(fd))).first->second;
}

void PosixFileSystem::forget_own_directories() {
  const std::lock_guard lock(mutex_);
  own_directories_.clear();
}

Result<Place> PosixFileSystem::place(std::string_view path) {
  const std::string_view parent = parent_path(path);
  Place out;
  out.name = parent.empty() ? path : path.substr(parent.size() + 1);
  if (parent.empty()) {
    if (out.name.empty()) out.name = ".";
    out.directory = root_;
    return out;
  }
  if (is_own(parent)) {
    auto own = own_directory(parent);
    if (!own) return tl::unexpected(own.error());
    out.directory = *std::move(own);
    return out;
  }
  Fd fd(open_beneath(parent, O_PATH | O_DIRECTORY));
  if (!fd.valid()) return os_error(errno, "open the directory of", path);
  out.directory = std::make_shared<Fd>(std::move(fd));
  return out;
}

Result<FileStat> PosixFileSystem::stat(std::string_view path) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  struct stat raw;
  if (::fstatat(at->fd(), at->c_name(), &raw, AT_SYMLINK_NOFOLLOW) != 0)
    return os_error(errno, "look at", path);
  return posix::to_file_stat(raw);
}

FileType type_of(int directory, const dirent& item) {
  switch (item.d_type) {
    case DT_REG:
      return FileType::file;
    case DT_DIR:
      return FileType::directory;
    case DT_LNK:
      return FileType::symlink;
    case DT_UNKNOWN:
      break;  // XFS without ftype, some FUSE
    default:
      return FileType::other;
  }
  struct stat raw;
  if (::fstatat(directory, item.d_name, &raw, AT_SYMLINK_NOFOLLOW) != 0) return FileType::other;
  return posix::to_file_stat(raw).type;
}

Result<std::vector<DirectoryItem>> PosixFileSystem::list(std::string_view directory) {
  Fd fd(open_beneath(directory, O_RDONLY | O_DIRECTORY));
  if (!fd.valid()) return os_error(errno, "list", directory);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (!stream) return os_error(errno, "list", directory);
  fd.release();  // the stream's now
  std::vector<DirectoryItem> items;
  while (true) {
    errno = 0;
    const dirent* item = ::readdir(stream.get());
    if (item == nullptr && errno != 0) return os_error(errno, "list", directory);
    if (item == nullptr) return items;
    const std::string_view name = item->d_name;
    if (name != "." && name != "..")
      items.push_back({std::string(name), type_of(::dirfd(stream.get()), *item)});
  }
}

std::vector<Result<FileStat>> PosixFileSystem::stat_many(std::string_view directory,
                                                         std::span<const DirectoryItem> items) {
  const Fd fd(open_beneath(directory, O_PATH | O_DIRECTORY));
  if (!fd.valid())
    return std::vector<Result<FileStat>>(items.size(), os_error(errno, "look into", directory));
  std::vector<Result<FileStat>> out;
  out.reserve(items.size());
  for (const DirectoryItem& item : items) {
    struct stat raw;
    if (::fstatat(fd.get(), item.name.c_str(), &raw, AT_SYMLINK_NOFOLLOW) == 0) out.emplace_back(posix::to_file_stat(raw));
    else out.emplace_back(os_error(errno, "look at", item.name));
  }
  return out;
}

Result<std::string> PosixFileSystem::read_link(std::string_view path) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  std::string target(limits::symlink_target_bytes + 1, '\0');
  const ssize_t size = ::readlinkat(at->fd(), at->c_name(), target.data(), target.size());
  if (size < 0) return os_error(errno, "read the link", path);
  target.resize(static_cast<std::size_t>(size));
  return target;
}

Result<std::unique_ptr<File>> PosixFileSystem::open(std::string_view path) {
  if (is_own(parent_path(path))) {  // the directory is open already
    auto at = place(path);
    if (!at) return tl::unexpected(at.error());
    Fd fd(::openat(at->fd(), at->c_name(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) return os_error(errno, "open", path);
    return posix::make_file(std::move(fd), std::string(path));
  }
  Fd fd(open_beneath(path, O_RDONLY));
  if (!fd.valid()) return os_error(errno, "open", path);
  return posix::make_file(std::move(fd), std::string(path));
}

Result<std::unique_ptr<File>> PosixFileSystem::open_write(std::string_view path) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  Fd fd(::openat(at->fd(), at->c_name(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd.valid()) return os_error(errno, "write", path);
  return posix::make_file(std::move(fd), std::string(path));
}

Status PosixFileSystem::make_directory(std::string_view path, std::uint32_t mode) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (::mkdirat(at->fd(), at->c_name(), static_cast<mode_t>(mode)) != 0) {
    return os_error(errno, "make the directory", path);
  }
  return {};
}

// ext4 looks for a free inode from the beginning of its directory's group, past all that were deleted within the last minutes, one by
// one: where thousands were, a new file costs half a millisecond. Groups of their own keep that apart. Measured, 5,000 files made after as
// many were deleted: 47 to 204 us a file instead of 470 to 565.
void PosixFileSystem::spread(std::string_view directory) {
  const Fd fd(open_beneath(directory, O_RDONLY | O_DIRECTORY));
  int flags = 0;
  if (!fd.valid() || ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0 || (flags & FS_TOPDIR_FL) != 0) return;
  flags |= FS_TOPDIR_FL;
  (void)::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

Status PosixFileSystem::make_symlink(std::string_view path, std::string_view target) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (::symlinkat(std::string(target).c_str(), at->fd(), at->c_name()) != 0)
    return os_error(errno, "make the link", path);
  return {};
}

Status PosixFileSystem::rename(std::string_view from, std::string_view to, unsigned flags,
                               std::string_view verb) {
  auto source = place(from);
  if (!source) return tl::unexpected(source.error());
  auto target = place(to);
  if (!target) return tl::unexpected(target.error());
  if (::syscall(SYS_renameat2, source->fd(), source->c_name(), target->fd(), target->c_name(), flags) == 0)
    return {};
  const int error = errno;
  if (flags == RENAME_NOREPLACE && (error == EINVAL || error == ENOSYS))
    return rename_new_by_link(*source, *target, to);
  return os_error(error, verb, is_own(to) ? from : to);
}

// For file systems without RENAME_NOREPLACE (NFS, some FUSE).
Status PosixFileSystem::rename_new_by_link(const Place& from, const Place& to, std::string_view path) {
  struct stat raw;
  if (::fstatat(from.fd(), from.c_name(), &raw, AT_SYMLINK_NOFOLLOW) != 0)
    return os_error(errno, "create", path);
  if (!S_ISDIR(raw.st_mode)) {
    if (::linkat(from.fd(), from.c_name(), to.fd(), to.c_name(), 0) != 0)
      return os_error(errno, "create", path);
    ::unlinkat(from.fd(), from.c_name(), 0);
    return {};
  }
  // A directory replaces at most an empty one.
  if (::fstatat(to.fd(), to.c_name(), &raw, AT_SYMLINK_NOFOLLOW) == 0)
    return os_error(EEXIST, "create", path);
  if (::renameat(from.fd(), from.c_name(), to.fd(), to.c_name()) != 0) return os_error(errno, "create", path);
  return {};
}

Status PosixFileSystem::rename_new(std::string_view from, std::string_view to) {
  return rename(from, to, RENAME_NOREPLACE, "create");
}

Status PosixFileSystem::exchange(std::string_view a, std::string_view b) {
  return rename(a, b, RENAME_EXCHANGE, "replace");
}

Status PosixFileSystem::replace(std::string_view from, std::string_view to) {
  return rename(from, to, 0, "replace");
}

Status PosixFileSystem::link(std::string_view from, std::string_view to) {
  auto source = place(from);
  if (!source) return tl::unexpected(source.error());
  auto target = place(to);
  if (!target) return tl::unexpected(target.error());
  if (::linkat(source->fd(), source->c_name(), target->fd(), target->c_name(), 0) == 0) return {};
  // EPERM: no links on this file system (vfat), or fs.protected_hardlinks.
  return os_error(errno == EPERM ? EOPNOTSUPP : errno, "link", from);
}

Status PosixFileSystem::remove_file(std::string_view path) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (::unlinkat(at->fd(), at->c_name(), 0) != 0) return os_error(errno, "remove", path);
  return {};
}

Status PosixFileSystem::remove_directory(std::string_view path) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (::unlinkat(at->fd(), at->c_name(), AT_REMOVEDIR) != 0)
    return os_error(errno, "remove the directory", path);
  return {};
}

Status PosixFileSystem::set_attributes(std::string_view path, std::optional<std::uint32_t> mode,
                                       std::optional<std::int64_t> mtime_ns) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (mode) {
    // fchmodat() would follow a symlink put there meanwhile; a descriptor does not.
    const Fd fd(::openat(at->fd(), at->c_name(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) return os_error(errno, "set the mode of", path);
    if (::fchmod(fd.get(), static_cast<mode_t>(*mode)) != 0) return os_error(errno, "set the mode of", path);
  }
  if (mtime_ns) {
    const timespec times[2] = {{0, UTIME_OMIT}, posix::to_timespec(*mtime_ns)};
    if (::utimensat(at->fd(), at->c_name(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return os_error(errno, "set the time of", path);
    }
  }
  return {};
}

Status PosixFileSystem::set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
  auto at = place(path);
  if (!at) return tl::unexpected(at.error());
  if (::fchownat(at->fd(), at->c_name(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return os_error(errno, "set the owner of", path);
  }
  return {};
}

Status PosixFileSystem::clone(std::string_view from, std::string_view to) {
  const Fd source(open_beneath(from, O_RDONLY));
  if (!source.valid()) return os_error(errno, "copy", from);
  auto at = place(to);
  if (!at) return tl::unexpected(at.error());
  const Fd target(::openat(at->fd(), at->c_name(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!target.valid()) return os_error(errno, "copy to", to);
  auto copied = posix::copy_content(source.get(), target.get(), to);
  if (!copied) ::unlinkat(at->fd(), at->c_name(), 0);
  return copied;
}

Status PosixFileSystem::sync_all() {
  if (::syncfs(root_->get()) != 0) return os_error(errno, "sync", root_path_);
  return {};
}

Result<std::uint64_t> PosixFileSystem::free_bytes() {
  struct statvfs raw;
  if (::fstatvfs(root_->get(), &raw) != 0) return os_error(errno, "ask the free space of", root_path_);
  return std::uint64_t{raw.f_bavail} * raw.f_frsize;
}

Status PosixFileSystem::check_root() {
  // Whoever removed or moved .syncline: later operations must see it, not the descriptors of what it was.
  forget_own_directories();
  struct stat held, named;
  if (::fstat(root_->get(), &held) != 0) return os_error(errno, "look at", root_path_);
  if (::stat(root_path_.c_str(), &named) != 0) {
    return fail(Error::Code::refused,
                fmt::format("the folder '{}' is gone: mount it or put it back", root_path_));
  }
  if (held.st_dev == named.st_dev && held.st_ino == named.st_ino) return {};
  return fail(
      Error::Code::refused,
      fmt::format(
          "'{}' is another directory than at the start of the node: moved, or a file system was mounted "
          "or unmounted there; restart the node if that is meant",
          root_path_));
}

std::int64_t PosixFileSystem::now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void survive_lease_breaks() {
  struct sigaction current;
  if (::sigaction(SIGIO, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) ::signal(SIGIO, SIG_IGN);
}

}  // namespace

static Result<std::unique_ptr<FileSystem>> open_root(const std::string& root, bool use_openat2) {
  survive_lease_breaks();
  Fd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // not O_PATH: syncfs() refuses that
  if (!fd.valid()) return os_error(errno, "open the folder", root);
  return std::make_unique<PosixFileSystem>(std::move(fd), root, use_openat2);
}

Result<std::unique_ptr<FileSystem>> open_file_system(const std::string& root) {
  return open_root(root, true);
}

Result<std::unique_ptr<FileSystem>> posix::open_file_system_stepwise(const std::string& root) {
  return open_root(root, false);
}

}  // namespace syncline

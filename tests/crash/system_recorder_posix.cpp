// The calls of the C library that change files, for this program and the libraries in it. Those outside the recorded directory go
// straight to the kernel.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "tests/crash/system_recorder.h"

namespace syncline::crash {
namespace {

constexpr ChainId kDirectory = 1;

// What a recording knows. Names and files are numbered; a file's metadata (its size) is a chain of its own.
struct State {
  struct Open {
    FileId file = 0;  // 0: the directory itself
    bool synchronous = false;
    std::string name;
  };
  struct Change {
    enum class What { none, create, unlink, write, truncate } what = What::none;
    std::string name;
    FileId file = 0;
    std::uint64_t size = 0;
    Bytes bytes;
  };

  std::string directory;
  bool forget_file_syncs = false;
  std::vector<Operation> operations;
  std::vector<Change> changes;
  std::map<std::string, FileId> names;
  std::map<FileId, Bytes> before;  // what there was at the start
  std::map<std::string, FileId> names_before;
  std::map<int, Open> open;
  FileId next_file = 1;

  void add(Operation operation, Change change) {
    operations.push_back(std::move(operation));
    changes.push_back(std::move(change));
  }
  static ChainId inode(FileId file) { return 2 * file; }

  std::optional<std::string> name_in(const char* path) const {
    const std::string_view view(path);
    if (view.size() <= directory.size() || !view.starts_with(directory) || view[directory.size()] != '/') return std::nullopt;
    return std::string(view.substr(directory.size() + 1));
  }

  void opened(int fd, const char* path, int flags) {
    open.erase(fd);
    if (path == directory) open[fd] = {0, false, "the directory"};
    const auto name = name_in(path);
    if (!name) return;
    auto found = names.find(*name);
    if (found == names.end()) {
      if ((flags & O_CREAT) == 0) return;
      found = names.emplace(*name, next_file++).first;
      Operation create;
      create.kind = Operation::Kind::names;
      create.what = "create " + *name;
      create.chains = {kDirectory, inode(found->second)};
      add(std::move(create), {Change::What::create, *name, found->second, 0, {}});
    } else if ((flags & O_TRUNC) != 0) {
      truncated(found->second, *name, 0);
    }
    open[fd] = {found->second, (flags & (O_DSYNC | O_SYNC)) != 0, *name};
  }

  void truncated(FileId file, const std::string& name, std::uint64_t size) {
    Operation truncate;
    truncate.kind = Operation::Kind::names;
    truncate.what = fmt::format("truncate {} to {}", name, size);
    truncate.chains = {inode(file)};
    add(std::move(truncate), {Change::What::truncate, name, file, size, {}});
  }

  void wrote(int fd, std::uint64_t offset, BytesView bytes) {
    const auto found = open.find(fd);
    if (found == open.end() || found->second.file == 0 || bytes.empty()) return;
    Operation write;
    write.kind = Operation::Kind::data;
    write.what = fmt::format("write {} at {} of {}", bytes.size(), offset, found->second.name);
    write.file = found->second.file;
    write.offset = offset;
    write.size = bytes.size();
    add(std::move(write), {Change::What::write, found->second.name, found->second.file, 0, Bytes(bytes)});
    if (found->second.synchronous) synced(fd, false);
  }

  void synced(int fd, bool by_call = true) {
    const auto found = open.find(fd);
    if (found == open.end()) return;
    const FileId file = found->second.file;
    if (by_call && file != 0 && forget_file_syncs) return;
    Operation barrier;
    barrier.kind = Operation::Kind::sync;
    barrier.what = "sync " + found->second.name;
    barrier.file = file;
    // The size and the data of the file; not, by the letter of POSIX, its name.
    if (file == 0) barrier.chains = {kDirectory};
    add(std::move(barrier), {});
  }

  void unlinked(const char* path) {
    const auto name = name_in(path);
    const auto found = name ? names.find(*name) : names.end();
    if (found == names.end()) return;
    Operation unlink;
    unlink.kind = Operation::Kind::names;
    unlink.what = "unlink " + *name;
    unlink.chains = {kDirectory};
    add(std::move(unlink), {Change::What::unlink, *name, found->second, 0, {}});
    names.erase(found);
  }
};

std::mutex mutex;
std::optional<State> recording;

void with_recording(const std::function<void(State&)>& what) {
  const int error = errno;
  const std::lock_guard lock(mutex);
  if (recording) what(*recording);
  errno = error;
}

bool is_recorded(int fd) {
  bool found = false;
  with_recording([&](State& s) { found = s.open.contains(fd); });
  return found;
}

}  // namespace

SystemRecorder::SystemRecorder(std::string directory) {
  State state;
  for (const auto& item : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(item.path(), std::ios::binary);
    state.names[item.path().filename().string()] = state.next_file;
    state.before[state.next_file++] = {std::istreambuf_iterator<char>(in), {}};
  }
  state.names_before = state.names;
  state.directory = std::move(directory);
  const std::lock_guard lock(mutex);
  recording = std::move(state);
}

SystemRecorder::~SystemRecorder() {
  const std::lock_guard lock(mutex);
  recording.reset();
}

void SystemRecorder::forget_file_syncs(bool on) {
  const std::lock_guard lock(mutex);
  recording->forget_file_syncs = on;
}

void SystemRecorder::note(std::string what) {
  const std::lock_guard lock(mutex);
  Operation operation;
  operation.what = std::move(what);
  recording->add(std::move(operation), {});
}

std::size_t SystemRecorder::size() const {
  const std::lock_guard lock(mutex);
  return recording->operations.size();
}

std::vector<Operation> SystemRecorder::operations() const {
  const std::lock_guard lock(mutex);
  return recording->operations;
}

std::map<std::string, Bytes> SystemRecorder::after(const CrashState& state) const {
  using What = State::Change::What;
  const std::lock_guard lock(mutex);
  std::map<std::string, FileId> names = recording->names_before;
  std::map<FileId, Bytes> files = recording->before;
  for (std::size_t i = 0; i < state.instant; ++i) {
    const Fate& fate = state.fates[i];
    const State::Change& change = recording->changes[i];
    const Operation& operation = recording->operations[i];
    if (fate.kind == Fate::Kind::lost) continue;
    if (change.what == What::create) names[change.name] = change.file;
    if (change.what == What::unlink) names.erase(change.name);
    if (change.what == What::truncate) files[change.file].resize(change.size);
    if (change.what != What::write) continue;
    Bytes& file = files[change.file];
    const auto grow = [&](std::uint64_t size) { file.resize(std::max<std::size_t>(file.size(), size)); };
    if (fate.kind != Fate::Kind::head) grow(operation.offset + operation.size);
    for (const auto& [at, size] : kept_parts(operation, fate)) {
      grow(operation.offset + at + size);
      file.replace(operation.offset + at, size, change.bytes, at, size);
    }
  }
  std::map<std::string, Bytes> out;
  for (const auto& [name, file] : names) out[name] = files[file];
  return out;
}

namespace {

int open_and_record(const char* path, int flags, mode_t mode) {
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags & ~(O_DSYNC | O_SYNC), mode));
  if (fd >= 0) with_recording([&](State& s) { s.opened(fd, path, flags); });
  return fd;
}

// Nothing that this program writes is meant to survive anything.
int sync_and_record(int fd) {
  with_recording([&](State& s) { s.synced(fd); });
  return 0;
}

int unlink_and_record(const char* path) {
  const int rc = static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, 0));
  if (rc == 0) with_recording([&](State& s) { s.unlinked(path); });
  return rc;
}

}  // namespace
}  // namespace syncline::crash

using syncline::crash::State;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return syncline::crash::open_and_record(path, flags, mode);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  const ssize_t done = ::syscall(SYS_pwrite64, fd, data, size, offset);
  if (done > 0) {
    syncline::crash::with_recording([&](State& s) {
      s.wrote(fd, static_cast<std::uint64_t>(offset), {static_cast<const char*>(data), static_cast<std::size_t>(done)});
    });
  }
  return done;
}

ssize_t writev(int fd, const iovec* parts, int count) {
  const off_t before = ::lseek(fd, 0, SEEK_CUR);
  const ssize_t done = ::syscall(SYS_writev, fd, parts, count);
  auto left = done > 0 ? static_cast<std::size_t>(done) : 0;
  auto at = static_cast<std::uint64_t>(before);
  for (int i = 0; i < count && left > 0; ++i) {
    const std::size_t size = std::min(parts[i].iov_len, left);
    syncline::crash::with_recording(
        [&](State& s) { s.wrote(fd, at, {static_cast<const char*>(parts[i].iov_base), size}); });
    left -= size, at += size;
  }
  return done;
}

ssize_t write(int fd, const void* data, size_t size) {
  const bool recorded = syncline::crash::is_recorded(fd);
  const off_t before = recorded ? ::lseek(fd, 0, SEEK_CUR) : 0;
  const ssize_t done = ::syscall(SYS_write, fd, data, size);
  if (recorded && done > 0) {
    syncline::crash::with_recording([&](State& s) {
      s.wrote(fd, static_cast<std::uint64_t>(before), {static_cast<const char*>(data), static_cast<std::size_t>(done)});
    });
  }
  return done;
}

int ftruncate(int fd, off_t size) noexcept {
  const int rc = static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  if (rc == 0) {
    syncline::crash::with_recording([&](State& s) {
      const auto found = s.open.find(fd);
      if (found != s.open.end() && found->second.file != 0)
        s.truncated(found->second.file, found->second.name, static_cast<std::uint64_t>(size));
    });
  }
  return rc;
}

int fsync(int fd) { return syncline::crash::sync_and_record(fd); }
int fdatasync(int fd) { return syncline::crash::sync_and_record(fd); }

int unlink(const char* path) noexcept { return syncline::crash::unlink_and_record(path); }

int remove(const char* path) noexcept {  // what std::filesystem::remove() calls
  const int rc = syncline::crash::unlink_and_record(path);
  return rc != 0 && errno == EISDIR ? static_cast<int>(::syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR)) : rc;
}

int close(int fd) {
  syncline::crash::with_recording([&](State& s) { s.open.erase(fd); });
  return static_cast<int>(::syscall(SYS_close, fd));
}
}

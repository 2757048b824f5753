#include "storage/watcher.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <system_error>
#include <vector>

#include "protocol/limits.h"
#include "storage/watcher_directories.h"
#include "storage/watcher_inotify.h"

namespace syncline {
namespace {

using posix::Fd;
using EventKind = WatchEvent::Kind;
using Id = WatchTree::Id;

constexpr std::size_t kWalkMin = 64;  // listings go on below a steady stream of events

std::string system_message(int error) { return std::generic_category().message(error); }

class Inotify final : public InotifyCalls {
 public:
  explicit Inotify(Fd fd) : fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }

  // Through /proc, so that it is the opened directory that is watched, whatever its path names by now. With IN_MASK_ADD, for the kernel
  // sets the mask of a watch that is there already to 0 first, and events of that moment are lost (Linux 6.18,
  // inotify_update_existing_watch() in fs/notify/inotify/inotify_user.c).
  int add(int directory_fd, bool is_root) override {
    std::uint32_t mask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                         IN_ONLYDIR | IN_EXCL_UNLINK | IN_MASK_ADD;
    if (is_root) mask |= IN_DELETE_SELF | IN_MOVE_SELF;
    const std::string path = "/proc/self/fd/" + std::to_string(directory_fd);
    const int watch = inotify_add_watch(fd_.get(), path.c_str(), mask);
    return watch < 0 ? -errno : watch;
  }
  void remove(int watch) override { inotify_rm_watch(fd_.get(), watch); }
  int read(std::span<char> into) override {
    ssize_t got;
    do got = ::read(fd_.get(), into.data(), into.size());
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : static_cast<int>(got);
  }

 private:
  Fd fd_;
};

// File systems whose other writers (another machine, a server process) inotify(7) does not see. Magic
// numbers: statfs(2).
const char* foreign_writers(int root) {
  struct Name {
    std::uint32_t magic;
    const char* name;
  };
  static constexpr Name known[] = {{0x6969, "NFS"},        {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB"},
                                   {0x65735546, "FUSE"},   {0x01021997, "9p"},   {0x00C36400, "Ceph"},
                                   {0x0BD00BD0, "Lustre"}, {0x01161970, "GFS2"}, {0x7461636F, "OCFS2"}};
  struct statfs found {};
  if (fstatfs(root, &found) != 0) return nullptr;
  for (const Name& name : known) {
    if (static_cast<std::uint32_t>(found.f_type) == name.magic) return name.name;
  }
  return nullptr;
}

class InotifyWatcher final : public Watcher {
 public:
  InotifyWatcher(Fd root, std::unique_ptr<InotifyCalls> calls)
      : foreign_(foreign_writers(root.get())),
        calls_(std::move(calls)),
        directories_(std::move(root), *calls_) {}
  Status start() { return directories_.start(); }

  int fd() const override { return calls_->fd(); }
  bool drain(const Sink& sink, std::size_t budget) override;
  bool settled() const override { return directories_.settled() && open_renames_.empty() && at_ == end_; }
  WatchHealth health() const override;
  void refresh() override { directories_.list_again(WatchTree::root); }

 private:
  struct Raw {
    int watch;
    std::uint32_t mask, cookie;
    std::string_view name;
  };
  // The first half of a rename, until the second has been read.
  struct Origin {
    Id parent;
    int parent_watch;
    int watch;  // of the directory that is renamed, -1 if it is a file or not watched
    std::string name, path;
    bool directory;
  };
  // A name to be looked at when no event is left that could explain it.
  struct Later {
    Id parent;
    int parent_watch;
    std::string name;
  };

  std::optional<Raw> next();
  void handle(const Raw& raw, const Sink& sink);
  void handle_name(Id parent, const Raw& raw, const Sink& sink);
  void handle_moved_to(Id parent, const Raw& raw, std::string path, const Sink& sink);
  void handle_root(const Raw& raw, const Sink& sink);
  void end_of_events(const Sink& sink);
  void recheck_if_directory(Id parent, const Raw& raw, const Sink& sink);

  const char* foreign_;
  std::unique_ptr<InotifyCalls> calls_;
  DirectoryWatches directories_;
  alignas(inotify_event) std::array<char, limits::watch_read_bytes> buffer_;
  std::size_t at_ = 0, end_ = 0;
  std::map<std::uint32_t, Origin> open_renames_;  // by cookie; in the order of the renames
  std::vector<Later> later_;
};

WatchHealth InotifyWatcher::health() const {
  const WatchTree& tree = directories_.tree();
  WatchHealth out{tree.watched(), tree.unwatchable(), {}};
  if (out.unwatched > 0) {
    out.problem =
        std::to_string(out.unwatched) +
        " directories are not watched, changes there wait for the next scan: " + directories_.problem();
  } else if (foreign_ != nullptr) {
    out.problem =
        std::string(foreign_) + " does not report what other machines write: that waits for the next scan";
  }
  return out;
}

std::optional<InotifyWatcher::Raw> InotifyWatcher::next() {
  if (at_ == end_) {
    const int got = calls_->read(buffer_);
    if (got <= 0) return std::nullopt;
    at_ = 0;
    end_ = static_cast<std::size_t>(got);
  }
  inotify_event head;
  std::memcpy(&head, buffer_.data() + at_, sizeof head);
  const char* name = buffer_.data() + at_ + sizeof head;  // padded with zero bytes
  at_ += sizeof head + head.len;
  return Raw{head.wd, head.mask, head.cookie, {name, strnlen(name, head.len)}};
}

bool InotifyWatcher::drain(const Sink& sink, std::size_t budget) {
  bool empty = false;
  while (budget > 0 && !empty) {
    if (const auto raw = next()) {
      handle(*raw, sink);
      --budget;
    } else {
      empty = true;
    }
  }
  if (empty || open_renames_.size() + later_.size() > limits::watch_open_renames) end_of_events(sink);
  const bool more = directories_.walk(std::max(budget, kWalkMin), sink);
  return more || !empty;
}

void InotifyWatcher::handle(const Raw& raw, const Sink& sink) {
  if (raw.mask & IN_Q_OVERFLOW) {
    sink({EventKind::rescan,
          "",
          {},
          true,
          false,
          "events were lost: the kernel's queue was full (fs.inotify.max_queued_events)"});
    return directories_.list_again(WatchTree::root);
  }
  const WatchTree& tree = directories_.tree();
  const Id id = tree.find_watch(raw.watch);
  if (id == WatchTree::none) return;
  if (raw.mask & IN_UNMOUNT) {
    const std::string path = tree.path(id);
    sink({EventKind::root_lost,
          path,
          {},
          true,
          false,
          "the file system at '" + (path.empty() ? "." : path) + "' was unmounted"});
  }
  if (raw.mask & IN_IGNORED) return directories_.forgotten(raw.watch);
  if (id == WatchTree::root) handle_root(raw, sink);
  if (raw.name.empty() || (id == WatchTree::root && raw.name == kOwnDirectory)) return;
  handle_name(id, raw, sink);
}

// rmdir of a root that somebody holds open (as this node does) gives no IN_DELETE_SELF, but .syncline goes
// before it.
void InotifyWatcher::handle_root(const Raw& raw, const Sink& sink) {
  if (raw.name.empty() && (raw.mask & IN_ATTRIB)) sink({EventKind::attributes, "", {}, true, false, {}});
  const char* reason = nullptr;
  if (raw.mask & IN_DELETE_SELF) reason = "the folder was deleted";
  if (raw.mask & IN_MOVE_SELF) reason = "the folder was renamed";
  if (raw.name == kOwnDirectory && (raw.mask & (IN_DELETE | IN_MOVED_FROM)))
    reason = "the folder's .syncline was removed";
  if (reason != nullptr) sink({EventKind::root_lost, "", {}, true, false, reason});
}

void InotifyWatcher::recheck_if_directory(Id parent, const Raw& raw, const Sink& sink) {
  if (!(raw.mask & IN_ISDIR) && directories_.tree().find(parent, raw.name) == WatchTree::none) return;
  directories_.recheck(parent, raw.name, sink);
}

void InotifyWatcher::handle_name(Id parent, const Raw& raw, const Sink& sink) {
  const WatchTree& tree = directories_.tree();
  std::string path = tree.path(parent);
  if (!path.empty()) path += '/';
  path += raw.name;
  const bool directory = raw.mask & IN_ISDIR;
  if (raw.mask & IN_CLOSE_WRITE)
    return sink({EventKind::closed_write, std::move(path), {}, false, false, {}});
  if (raw.mask & IN_MOVED_TO) return handle_moved_to(parent, raw, std::move(path), sink);
  if (raw.mask & IN_MOVED_FROM) {
    const Id child = tree.find(parent, raw.name);
    const int watch = directory && child != WatchTree::none ? tree.node(child).watch : -1;
    open_renames_[raw.cookie] = {parent, raw.watch, watch, std::string(raw.name), std::move(path), directory};
    return;
  }
  if (raw.mask & IN_ATTRIB) {
    sink({EventKind::attributes, std::move(path), {}, directory, false, {}});
    if (!directory || tree.unwatchable() == 0) return;
    directories_.recheck(parent, raw.name, sink);  // it may have become readable
    if (const Id child = tree.find(parent, raw.name); child != WatchTree::none)
      directories_.list_again(child);
    return;
  }
  if (!(raw.mask & (IN_CREATE | IN_DELETE))) return;
  const EventKind kind = raw.mask & IN_CREATE ? EventKind::created : EventKind::vanished;
  sink({kind, std::move(path), {}, directory, false, {}});
  recheck_if_directory(parent, raw, sink);
}

void InotifyWatcher::handle_moved_to(Id parent, const Raw& raw, std::string path, const Sink& sink) {
  const auto found = open_renames_.find(raw.cookie);
  const bool directory = raw.mask & IN_ISDIR;
  if (found == open_renames_.end()) {
    sink({EventKind::arrived, std::move(path), {}, directory, false, {}});
    return recheck_if_directory(parent, raw, sink);
  }
  Origin origin = std::move(found->second);
  open_renames_.erase(found);
  sink({EventKind::moved, std::move(path), std::move(origin.path), directory, directory, {}});
  if (!directory) return recheck_if_directory(parent, raw, sink);
  if (!directories_.moved(origin.watch, parent, raw.name, sink)) directories_.recheck(parent, raw.name, sink);
  // A rename that exchanged two directories, or others that have followed: both names are looked at again in
  // the end.
  later_.push_back({parent, raw.watch, std::string(raw.name)});
  later_.push_back({origin.parent, origin.parent_watch, std::move(origin.name)});
}

// Nothing is left to be read: renames without a second half went out of the folder.
void InotifyWatcher::end_of_events(const Sink& sink) {
  for (auto& [cookie, origin] : open_renames_) {
    sink({EventKind::vanished, std::move(origin.path), {}, origin.directory, origin.directory, {}});
    if (origin.directory) later_.push_back({origin.parent, origin.parent_watch, std::move(origin.name)});
  }
  open_renames_.clear();
  const WatchTree& tree = directories_.tree();
  for (const Later& name : later_) {
    if (tree.find_watch(name.parent_watch) == name.parent) directories_.recheck(name.parent, name.name, sink);
  }
  later_.clear();
}

}  // namespace

Result<std::unique_ptr<InotifyCalls>> make_inotify() {
  posix::Fd fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (fd.valid()) return std::make_unique<Inotify>(std::move(fd));
  const bool limit = errno == EMFILE || errno == ENFILE;
  return fail(limit ? Error::Code::full : Error::Code::unsupported,
              "cannot watch folders: inotify: " + system_message(errno) +
                  (limit ? " (raise fs.inotify.max_user_instances)" : ""));
}

Result<std::unique_ptr<Watcher>> open_watcher_with(const std::string& root,
                                                   std::unique_ptr<InotifyCalls> calls) {
  posix::Fd directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    const auto code = errno == ENOENT ? Error::Code::not_found : Error::Code::io;
    return fail(code, "cannot watch '" + root + "': " + system_message(errno));
  }
  auto watcher = std::make_unique<InotifyWatcher>(std::move(directory), std::move(calls));
  if (Status started = watcher->start(); !started) return tl::unexpected(started.error());
  return watcher;
}

Result<std::unique_ptr<Watcher>> open_watcher(const std::string& root) {
  auto calls = make_inotify();
  if (!calls) return tl::unexpected(calls.error());
  return open_watcher_with(root, std::move(*calls));
}

}  // namespace syncline

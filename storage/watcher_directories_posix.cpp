#include "storage/watcher_directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "protocol/limits.h"

namespace syncline {
namespace {

using posix::Fd;
using Walk = WatchTree::Walk;
using EventKind = WatchEvent::Kind;

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
constexpr std::size_t kDirectoryCost =
    8;                             // of opening or watching one, in entries of a listing (measured: 10 us)
constexpr int kMountedTwice = -1;  // in the place of an errno

bool is_gone(int error) { return error == ENOENT || error == ENOTDIR || error == ELOOP; }

Fd open_name(int parent, const std::string& name) { return Fd(openat(parent, name.c_str(), kOpenDirectory)); }

// Where openat2 is missing (Linux < 5.6) or filtered: the same, component by component.
Fd open_stepwise(int root, const std::string& path) {
  Fd at(openat(root, ".", kOpenDirectory));
  for (std::size_t begin = 0; at.valid() && begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    at = open_name(at.get(), path.substr(begin, end - begin));
    begin = end + 1;
  }
  return at;
}

Fd open_path(int root, const std::string& path) {
  if (path.empty()) return Fd(openat(root, ".", kOpenDirectory));
  open_how how{};
  how.flags = static_cast<decltype(how.flags)>(kOpenDirectory);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (!fd.valid() && (errno == ENOSYS || errno == EPERM)) return open_stepwise(root, path);
  return fd;
}

std::string join(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

WatchEvent event(EventKind kind, std::string path, bool directory, std::string reason = {}) {
  return {kind, std::move(path), {}, directory, false, std::move(reason)};
}

WatchEvent vanished_subtree(std::string path) {
  return {EventKind::vanished, std::move(path), {}, true, true, {}};
}

std::string explain(int error, const std::string& path) {
  if (error == kMountedTwice) return "'" + path + "' is a second mount of another watched directory";
  if (error == ENOSPC) {
    return "the kernel's limit of watched directories is reached at '" + path +
           "': raise fs.inotify.max_user_watches (sysctl)";
  }
  return "cannot watch '" + path + "': " + std::generic_category().message(error);
}

}  // namespace

struct DirectoryWatches::Listing {
  Id id;
  Walk walk;
  std::uint32_t number;
  DIR* dir;
  Listing(Id id_, Walk walk_, std::uint32_t number_, DIR* dir_)
      : id(id_), walk(walk_), number(number_), dir(dir_) {}
  Listing(const Listing&) = delete;
  ~Listing() { closedir(dir); }
};

DirectoryWatches::DirectoryWatches(Fd root, InotifyCalls& calls) : root_(std::move(root)), calls_(calls) {}
DirectoryWatches::~DirectoryWatches() = default;

Status DirectoryWatches::start() {
  const int watch = calls_.add(root_.get(), true);
  if (watch == -ENOENT)
    return fail(Error::Code::unsupported, "cannot watch the folder: /proc is not mounted");
  if (watch == -ENOSPC) return fail(Error::Code::full, explain(ENOSPC, "."));
  if (watch < 0) return fail(Error::Code::io, explain(-watch, "."));
  tree_.set_watch(WatchTree::root, watch);
  queue_walk(WatchTree::root, Walk::initial);
  return {};
}

void DirectoryWatches::queue_walk(Id id, Walk walk) {
  const Walk before = tree_.node(id).walk;
  if (walk <= before) return;
  tree_.set_walk(id, walk);
  if (before == Walk::none) queue_.push_back(id);
}

// Opens what is at the directory's path now, if it is that directory.
Fd DirectoryWatches::open_verified(Id id) {
  Fd directory = open_path(root_.get(), tree_.path(id));
  if (!directory.valid()) return Fd();
  const int watch = calls_.add(directory.get(), id == WatchTree::root);
  if (watch >= 0 && watch == tree_.node(id).watch) return directory;
  if (watch >= 0 && tree_.find_watch(watch) == WatchTree::none) calls_.remove(watch);
  return Fd();
}

void DirectoryWatches::recheck(Id parent, std::string_view name, const Sink& sink) {
  const Fd directory = open_verified(parent);
  if (!directory.valid()) return queue_walk(parent, Walk::again);
  recheck_in({parent, std::string(name), directory.get()}, Walk::fresh, sink);
}

void DirectoryWatches::recheck_in(const Name& at, Walk walk, const Sink& sink) {
  const Fd directory = open_name(at.parent_fd, at.name);
  if (directory.valid()) return attach(at, directory, walk, sink);
  if (!is_gone(errno)) return cannot_watch(at, errno, walk, sink);
  if (const Id here = tree_.find(at.parent, at.name); here != WatchTree::none) drop(here, sink);
}

// `directory` is what is at `at` now: watches it, and has it listed if it is new here.
void DirectoryWatches::attach(const Name& at, const Fd& directory, Walk walk, const Sink& sink) {
  std::string path = join(tree_.path(at.parent), at.name);
  if (path.size() >= limits::path_bytes) return;  // the scanner reports it
  int watch = calls_.add(directory.get(), false);
  if (watch < 0) return cannot_watch(at, -watch, walk, sink);
  const Id known = tree_.find_watch(watch);
  const Id here = tree_.find(at.parent, at.name);
  if (known != WatchTree::none && known == here) {
    if (walk == Walk::again) queue_walk(here, walk);
    return;
  }
  if (known != WatchTree::none) {
    if (open_verified(known).valid()) return cannot_watch(at, kMountedTwice, walk, sink);
    if (take_over(known, at, sink)) return;
    if (tree_.find_watch(watch) != WatchTree::none) return;
  } else if (here != WatchTree::none) {
    drop(here, sink);
  }
  if (known != WatchTree::none) watch = calls_.add(directory.get(), false);  // what was dropped had it
  if (watch < 0) return cannot_watch(at, -watch, walk, sink);
  const Id added = tree_.add(at.parent, at.name);
  tree_.set_watch(added, watch);
  queue_walk(added, walk == Walk::again ? Walk::fresh : walk);
  if (walk != Walk::initial) sink(event(EventKind::arrived, std::move(path), true));
}

// `known` was renamed to `at`, and the events that say so are still to come or were lost.
bool DirectoryWatches::take_over(Id known, const Name& at, const Sink& sink) {
  if (tree_.is_below(at.parent, known)) {
    // It would be below itself: the tree is too old to be repaired piecemeal. Listing again forgets `known`
    // and finds it anew.
    sink(event(EventKind::rescan, "", true, "directories were renamed faster than they could be followed"));
    queue_walk(WatchTree::root, Walk::again);
    return false;
  }
  const int watch = tree_.node(known).watch;
  if (const Id here = tree_.find(at.parent, at.name); here != WatchTree::none) drop(here, sink);
  if (tree_.find_watch(watch) != known) return false;  // it was below what was dropped
  std::string from = tree_.path(known);
  tree_.move(known, at.parent, at.name);
  sink({EventKind::moved, tree_.path(known), std::move(from), true, true, {}});
  return true;
}

// Remembers a directory that cannot be watched. What happens in it is found by scans only.
void DirectoryWatches::cannot_watch(const Name& at, int error, Walk walk, const Sink& sink) {
  Id here = tree_.find(at.parent, at.name);
  const bool known = here != WatchTree::none && tree_.node(here).unwatchable;
  if (here != WatchTree::none && !known) drop(here, sink), here = WatchTree::none;
  if (here == WatchTree::none) here = tree_.add(at.parent, at.name);
  tree_.set_unwatchable(here, true);
  const std::string path = tree_.path(here);
  problem_ = explain(error, path);
  if (!known && walk != Walk::initial) sink(event(EventKind::rescan, path, true, problem_));
}

// Forgets a directory that is not there any more. Unless the kernel has ended its watch (so that all its
// events were read, and it was empty in the end), nobody will hear of what happened below it since.
void DirectoryWatches::drop(Id id, const Sink& sink) {
  const WatchTree::Node& node = tree_.node(id);
  const bool all_heard = node.watch < 0 && !node.unwatchable && node.first_child == WatchTree::none;
  if (!all_heard) sink(vanished_subtree(tree_.path(id)));
  tree_.remove(id, [this](Id each, int watch) {
    if (watch >= 0) calls_.remove(watch);
    if (active_ && active_->id == each) active_.reset();
  });
}

void DirectoryWatches::forgotten(int watch) {
  if (const Id id = tree_.find_watch(watch); id != WatchTree::none) tree_.set_watch(id, -1);
}

bool DirectoryWatches::moved(int watch, Id parent, std::string_view name, const Sink& sink) {
  const Id id = tree_.find_watch(watch);
  if (id == WatchTree::none) return false;
  if (const Fd directory = open_verified(parent); directory.valid()) {
    if (const Fd now = open_name(directory.get(), std::string(name)); now.valid()) {
      const int found = calls_.add(now.get(), false);
      if (found >= 0 && tree_.find_watch(found) == WatchTree::none) calls_.remove(found);
      if (found != watch) return false;
    }
  }
  const Id here = tree_.find(parent, name);
  if (here == id) return true;
  if (tree_.is_below(parent, id)) return false;
  if (here != WatchTree::none) {
    if (tree_.is_below(id, here)) return false;
    drop(here, sink);
  }
  tree_.move(id, parent, name);
  return true;
}

// The directory is not where the tree has it, and no event is left to explain that: finds out from the top.
void DirectoryWatches::heal(Id id, const Sink& sink) {
  Id at = id;
  const int watch = tree_.node(id).watch;
  while (at != WatchTree::root) {
    const Id parent = tree_.node(at).parent;
    if (const Fd directory = open_verified(parent); directory.valid()) {
      recheck_in({parent, tree_.node(at).name, directory.get()}, Walk::fresh, sink);
      break;
    }
    at = parent;
  }
  if (id == WatchTree::root || watch < 0 || tree_.find_watch(watch) != id) return;
  if (tree_.node(id).walk != Walk::none || tree_.node(id).unwatchable) return;
  // Still there, but it cannot be opened by its path (no search permission above it).
  tree_.set_unwatchable(id, true);
  problem_ = explain(EACCES, tree_.path(id));
  sink(event(EventKind::rescan, tree_.path(id), true, problem_));
}

void DirectoryWatches::open_next(const Sink& sink) {
  const Id id = queue_.front();
  queue_.pop_front();
  Walk walk = tree_.node(id).walk;
  if (walk == Walk::none) return;
  tree_.set_walk(id, Walk::none);
  Fd directory = open_verified(id);
  DIR* dir = directory.valid() ? fdopendir(directory.get()) : nullptr;
  if (dir == nullptr) return heal(id, sink);
  directory.release();
  if (tree_.node(id).unwatchable) walk = Walk::fresh;
  tree_.set_unwatchable(id, false);
  active_ = std::make_unique<Listing>(id, walk, ++listings_, dir);
}

void DirectoryWatches::list_entry(const std::string& directory, const char* name, bool is_directory,
                                  const Sink& sink) {
  const Id id = active_->id;
  const Walk walk = active_->walk;
  const std::uint32_t number = active_->number;
  if (id == WatchTree::root && name == kOwnDirectory) return;
  if (is_directory) {
    recheck_in({id, name, dirfd(active_->dir)}, walk, sink);
    const Id child = tree_.find(id, name);
    if (child != WatchTree::none) tree_.set_seen(child, number);
  } else if (walk == Walk::fresh) {
    sink(event(EventKind::arrived, join(directory, name), false));
  }
}

// Names that the tree has and the listing had not.
void DirectoryWatches::finish_listing(const Sink& sink) {
  std::vector<std::string> unseen;
  const Id id = active_->id;
  for (Id child = tree_.node(id).first_child; child != WatchTree::none; child = tree_.node(child).next) {
    if (tree_.node(child).seen != active_->number) unseen.push_back(tree_.node(child).name);
  }
  const std::unique_ptr<Listing> done = std::move(active_);
  for (const std::string& name : unseen) recheck_in({id, name, dirfd(done->dir)}, Walk::fresh, sink);
}

std::size_t DirectoryWatches::list_some(std::size_t budget, const Sink& sink) {
  const std::string directory = tree_.path(active_->id);
  std::size_t spent = 0;
  while (active_ && spent < budget) {
    errno = 0;
    const dirent* entry = readdir(active_->dir);
    ++spent;
    if (entry == nullptr) {
      if (errno != 0) {
        problem_ = "cannot list '" + directory + "': " + std::generic_category().message(errno);
        tree_.set_unwatchable(active_->id, true);
        sink(event(EventKind::rescan, directory, true, problem_));
        active_.reset();
        break;
      }
      finish_listing(sink);
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN) {
      struct stat found {};
      is_directory = fstatat(dirfd(active_->dir), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(found.st_mode);
    }
    if (is_directory) spent += kDirectoryCost;
    list_entry(directory, entry->d_name, is_directory, sink);
  }
  return spent;
}

bool DirectoryWatches::walk(std::size_t budget, const Sink& sink) {
  while (budget > 0 && (active_ || !queue_.empty())) {
    if (!active_) {
      open_next(sink);
      budget -= std::min(budget, kDirectoryCost);
    } else {
      budget -= std::min(budget, list_some(budget, sink));
    }
  }
  const bool initial = tree_.initial_walks() > 0 || (active_ && active_->walk == Walk::initial);
  if (!started_ && !initial) {
    started_ = true;
    sink(event(EventKind::rescan, "", true, tree_.unwatchable() > 0 ? problem_ : "watching has begun"));
  }
  return active_ || !queue_.empty();
}

}  // namespace syncline

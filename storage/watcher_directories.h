#pragma once
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "storage/file_posix.h"
#include "storage/watcher_inotify.h"
#include "storage/watcher_tree.h"

namespace syncline {

// Keeps a watch on every directory of a folder. Linux only.
//
// Events tell of the past, the file system of the present: by the time that "mkdir a" is read, a may have
// been renamed and another a made. So an event about a directory is a hint to look at its name now (recheck),
// and the kernel's watch descriptor, which belongs to the inode, is what identifies a directory. The parent
// is identified in the same way before a name in it is looked up; if it is not where the tree believes it to
// be, the events to come will say so, and it is listed again after them. Watching before listing closes the
// gap between the two.
class DirectoryWatches {
 public:
  using Id = WatchTree::Id;
  using Sink = Watcher::Sink;

  DirectoryWatches(posix::Fd root, InotifyCalls& calls);
  ~DirectoryWatches();
  // Watches the root and asks for all below it to be watched.
  Status start();

  const WatchTree& tree() const { return tree_; }
  // Takes note of what `name` in `parent` is now: a directory that is new is watched and will be listed (as
  // `arrived` events of its entries), one that is gone is forgotten.
  void recheck(Id parent, std::string_view name, const Sink& sink);
  // The directory with this descriptor was renamed. False if what is at its new place now is something else.
  bool moved(int watch, Id parent, std::string_view name, const Sink& sink);
  // The kernel dropped the watch.
  void forgotten(int watch);
  // Lists everything below `id` again, quietly where it was watched all the while.
  void list_again(Id id) { queue_walk(id, WatchTree::Walk::again); }

  // Lists what was asked for: about `budget` entries. True if there is more.
  bool walk(std::size_t budget, const Sink& sink);
  bool settled() const { return started_ && !active_ && queue_.empty(); }
  const std::string& problem() const { return problem_; }

 private:
  struct Listing;  // a directory being listed
  struct Name {
    Id parent;
    std::string name;
    int parent_fd;
  };

  void queue_walk(Id id, WatchTree::Walk walk);
  posix::Fd open_verified(Id id);
  void recheck_in(const Name& at, WatchTree::Walk walk, const Sink& sink);
  void attach(const Name& at, const posix::Fd& directory, WatchTree::Walk walk, const Sink& sink);
  bool take_over(Id known, const Name& at, const Sink& sink);
  void cannot_watch(const Name& at, int error, WatchTree::Walk walk, const Sink& sink);
  void drop(Id id, const Sink& sink);
  void heal(Id id, const Sink& sink);
  void open_next(const Sink& sink);
  std::size_t list_some(std::size_t budget, const Sink& sink);
  void list_entry(const std::string& directory, const char* name, bool is_directory, const Sink& sink);
  void finish_listing(const Sink& sink);

  posix::Fd root_;
  InotifyCalls& calls_;
  WatchTree tree_;
  std::deque<Id> queue_;  // to be listed; an id may be stale: its node's `walk` decides
  std::unique_ptr<Listing> active_;
  std::uint32_t listings_ = 0;
  bool started_ = false;  // the first rescan was given out
  std::string problem_;
};

}  // namespace syncline

#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "protocol/error.h"

namespace syncline {

// Something that happened in a watched folder. Paths are relative to its root, '/'-separated, "" = the root.
// They are where the thing was when it happened; a later rename of a parent directory follows as an event of
// its own.
struct WatchEvent {
  enum class Kind : std::uint8_t {
    created,       // file (being written, or a hard link: a closed_write may or may not follow), symlink,
                   // directory
    arrived,       // complete already: moved in from outside, or found inside a directory that is new to the
                   // watcher
    closed_write,  // a file that was open for writing was closed
    attributes,    // mode, times, owner
    vanished,      // deleted or moved out
    moved,         // renamed inside the folder: `from` -> `path`
    rescan,        // something below `path` was missed: scan it. `reason` is a line for `status`
    root_lost,  // the folder, or a file system mounted at `path` in it, is gone: believe no absence. `reason`
                // as above
  };
  Kind kind = Kind::rescan;
  std::string path;
  std::string from;  // moved
  bool directory = false;
  bool subtree =
      false;  // no events tell what this meant for the paths below (a directory moved, or moved out)
  std::string reason;
};

struct WatchHealth {
  std::uint64_t directories = 0;  // watched
  std::uint64_t unwatched = 0;    // directories that cannot be: changes there are found by scans only
  std::string problem;  // why not, or why events are not enough on this file system; "" if all is well
};

// Watches a folder and everything below it, except `.syncline` at its root; follows no symlink. A new
// directory is watched first and listed afterwards, so nothing falls between; what was missed for any reason
// (queue overflow, limits) becomes a rescan event, never silence. The first rescan event, of the root, says
// that all directories are watched from now on: the folder's first full scan must start after it. All methods
// belong to one thread.
class Watcher {
 public:
  using Sink = std::function<void(WatchEvent&&)>;
  virtual ~Watcher() = default;

  // Readable when there are events. Stays the same for the watcher's life.
  virtual int fd() const = 0;
  // Hands out what has happened: about `budget` events or directory entries' worth of work, in order. Never
  // blocks. True if there is more to do at once (call again before waiting on fd()). Must be called once
  // after opening, too.
  virtual bool drain(const Sink& sink, std::size_t budget) = 0;
  // Every directory is watched that can be, and nothing is left to do.
  virtual bool settled() const = 0;
  virtual WatchHealth health() const = 0;
  // Lists all directories again, and watches those that are not watched yet (limits raised, something
  // mounted). To be called before each periodic full scan; drain() does the work, and speaks only of what is
  // new.
  virtual void refresh() = 0;
};

// `root` must be an existing directory; it is held open. Error::full: the system's limits allow not even one
// watch; Error::unsupported: this system cannot watch. Then the node must rely on scans.
Result<std::unique_ptr<Watcher>> open_watcher(const std::string& root);

}  // namespace syncline

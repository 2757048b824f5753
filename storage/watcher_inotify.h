#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "protocol/error.h"
#include "storage/watcher.h"

// Linux only: what is below open_watcher(). Included by watcher_*_posix.cpp and their test.
namespace syncline {

// inotify(7). Abstract so that a test can fill the queue and use up the watches without being root.
class InotifyCalls {
 public:
  virtual ~InotifyCalls() = default;
  virtual int fd() const = 0;
  // Watches the directory open as `directory_fd` and returns its descriptor (the same for the same inode), or
  // -errno.
  virtual int add(int directory_fd, bool is_root) = 0;
  virtual void remove(int watch) = 0;
  // Whole inotify_events; how many bytes, or -errno (-EAGAIN: none).
  virtual int read(std::span<char> into) = 0;
};

Result<std::unique_ptr<InotifyCalls>> make_inotify();
Result<std::unique_ptr<Watcher>> open_watcher_with(const std::string& root,
                                                   std::unique_ptr<InotifyCalls> calls);

}  // namespace syncline

#pragma once
#include <time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/file_system.h"

struct stat;

// Parts of the POSIX file system that its .cpp files share.
namespace syncline::posix {

// Owns a file descriptor.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  int release();
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

// errno as an Error: one line with what was tried, where, why not, and what the administrator can do about
// it.
tl::unexpected<Error> os_error(int error, std::string_view verb, std::string_view path);

FileStat to_file_stat(const struct stat& raw);
timespec to_timespec(std::int64_t ns);

// `path` is for messages only. The file closes `fd`.
std::unique_ptr<File> make_file(Fd fd, std::string path);

// Fills the empty file `to` with the bytes of `from`: shares the blocks, else copies in the kernel, else by
// hand.
Status copy_content(int from, int to, std::string_view path);

// open_file_system() without openat2(), as on Linux before 5.6: one component at a time. For tests.
Result<std::unique_ptr<FileSystem>> open_file_system_stepwise(const std::string& root);

}  // namespace syncline::posix

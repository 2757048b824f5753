#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "storage/file_system.h"
#include "storage/file_system_memory_tree.h"

namespace syncline {

// A disk in memory for tests and the simulator: as the real one down to inodes, stamps, leases and unlinked
// open files; it can be made to fail, to stop between any two operations, and to crash. Deterministic: the
// clock and the random numbers come from the caller. Thread-safe, but hooks and faults are set before the
// threads start.
class MemoryFileSystem : public FileSystem {
 public:
  using ClockNs = std::function<std::int64_t()>;
  using Random = std::function<std::uint64_t()>;
  struct Access {
    std::uint64_t index = 0;     // counts from 0, operations of open files included
    std::string_view operation;  // the method's name
    std::string path;            // "" for operations of open files
  };
  explicit MemoryFileSystem(ClockNs clock_ns);
  ~MemoryFileSystem() override;

  // Faults. Each returns *this, so that they can be strung together.
  MemoryFileSystem& space_left(std::uint64_t bytes);  // then Error::full
  MemoryFileSystem& io_error_on(std::string path);    // every operation that names it
  MemoryFileSystem& without_exchange();
  MemoryFileSystem& without_leases();  // open_for_writing() cannot be known
  MemoryFileSystem& without_marks();   // and so it stays
  MemoryFileSystem& owned_by(std::uint32_t uid);  // the root, and what applications make; the node is 0, and may give files away
  MemoryFileSystem& heal();            // no faults, endless space
  MemoryFileSystem& fail_at(std::uint64_t index);  // this one operation fails with Error::io and changes nothing
  // From operation `index` on every operation fails and changes nothing: the process is dead, until
  // restart().
  MemoryFileSystem& halt_at(std::uint64_t index);

  // Called before every operation, outside of all locks: may use the application's calls below.
  void before_each(std::function<void(const Access&)> hook);
  std::uint64_t operations() const;
  void log_accesses(bool on);
  std::vector<std::string> take_log();  // "operation path", oldest first

  // The process died and starts anew (kill -9): open files are closed, nothing else is lost.
  void restart();
  // Power loss: what was written since the last sync_all() is lost in part. Names and attributes keep a
  // prefix (as a journal does), content is kept or lost operation by operation, so that a file may be there
  // without its bytes.
  void crash(const Random& random);
  // An image of the disk as it is now, everything in it durable; with its own clock where one is given.
  std::unique_ptr<MemoryFileSystem> copy(ClockNs clock_ns = nullptr);
  // A bit of the file flips, as on a medium that rots: no stamp tells.
  void rot(std::string_view path, std::uint64_t offset);
  // What is on the disk now, and a disk that holds this and nothing else: for crashes that the caller thinks out.
  MemoryTree image();
  void become(const MemoryTree& image);

  // What an application on this machine does: never counted, hooked, halted or failed. Files are written in
  // place, as fopen(…, "w") does. While a guard holds the file, the write happens at its end (the kernel
  // keeps the application in open()).
  class Writer {
   public:
    virtual ~Writer() = default;  // closes
    virtual void append(std::string bytes) = 0;
    virtual void close() = 0;
  };
  std::unique_ptr<Writer> app_open(std::string_view path, bool truncate = true);
  void app_write(std::string_view path, std::string bytes);
  void app_replace(std::string_view path, std::string bytes);  // a temporary file of its own, renamed over
  void app_remove(std::string_view path);                      // a file, a symlink or an empty directory
  void app_rename(std::string_view from, std::string_view to);
  void app_make_directory(std::string_view path, std::uint32_t mode = 0755);
  void app_symlink(std::string_view path, std::string target);
  void app_link(std::string_view from, std::string_view to);
  void app_chmod(std::string_view path, std::uint32_t mode);
  void app_set_mtime(std::string_view path, std::int64_t mtime_ns);
  std::optional<std::string> app_read(std::string_view path);  // nullopt: no such file
  // The same without a copy: what is written later does not change it. Null: no such file.
  std::shared_ptr<const std::string> app_bytes(std::string_view path);
  std::optional<FileStat> app_stat(std::string_view path);
  std::string app_read_link(std::string_view path);
  std::vector<DirectoryItem> app_list(std::string_view directory);
  std::vector<std::string> app_paths();  // everything, .syncline included, sorted

  Result<FileStat> stat(std::string_view path) override;
  Result<std::vector<DirectoryItem>> list(std::string_view directory) override;
  Result<std::string> read_link(std::string_view path) override;
  Result<std::unique_ptr<File>> open(std::string_view path) override;
  Result<std::unique_ptr<File>> open_write(std::string_view path) override;
  Status make_directory(std::string_view path, std::uint32_t mode) override;
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
  std::int64_t now_ns() override;
  bool can_set_owner() const override;

 private:
  friend class MemoryFile;
  friend class MemoryWriter;
  struct State;
  explicit MemoryFileSystem(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // with the open files
};

}  // namespace syncline

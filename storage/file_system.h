#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "storage/disk_state.h"

namespace syncline {

enum class FileType : std::uint8_t { file, directory, symlink, other };

struct FileStat {
  FileType type = FileType::other;
  Fingerprint print;
  std::uint32_t mode = 0;   // permission bits (07777)
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t links = 1;
};

struct DirectoryItem {
  std::string name;
  FileType type = FileType::other;
};

// An open file. One thread at a time. Closed when destroyed.
class File {
 public:
  virtual ~File() = default;
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) = 0;   // 0 = end of file
  virtual Status write_at(std::uint64_t offset, BytesView data) = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  virtual Result<FileStat> stat() = 0;
  // True while any process has this file open for writing (Linux: a read lease is refused); nullopt where it cannot be known.
  virtual std::optional<bool> open_for_writing() = 0;
  // As open_for_writing(), and when that is false, no application gets this file open for writing until unguard() or the end of
  // this object: its open() waits (Linux: the read lease is kept). Keep it for microseconds. Only on a file of open().
  virtual std::optional<bool> guard() { return std::nullopt; }
  // An application waits for the end of the guard, with this very file in its hand; it has written nothing yet.
  virtual bool guard_broken() { return false; }
  virtual void unguard() {}
  virtual Status set_attributes(std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns) = 0;
  virtual Status set_owner(std::uint32_t uid, std::uint32_t gid) = 0;
  virtual Status sync() = 0;
  // A note of the node's own on a file or directory, beside its bytes (Linux: an extended attribute). It follows renames, and stays when
  // applications write. Error::unsupported where the file system keeps none.
  virtual Status set_mark(BytesView mark);
  virtual std::optional<Bytes> mark() { return std::nullopt; }
};

// What this node keeps for itself inside a synced folder.
inline constexpr std::string_view kOwnDirectory = ".syncline";

// Abstract so that the simulator can fail, crash and count it. Paths are relative to the folder's root, '/'-separated, "" = the
// root; no operation follows a symlink in any component (openat2 RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS or equal care), so that
// nothing outside the root can be reached. Thread-safe. Error codes: not_found, exists, busy, full, unsupported, io, ...
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<FileStat> stat(std::string_view path) = 0;                        // lstat
  virtual Result<std::vector<DirectoryItem>> list(std::string_view directory) = 0;  // unsorted, without . and ..
  // stat() of these names in `directory`, in their order. For scans: a real file system opens the directory once for all.
  virtual std::vector<Result<FileStat>> stat_many(std::string_view directory, std::span<const DirectoryItem> items);
  virtual Result<std::string> read_link(std::string_view path) = 0;
  virtual Result<std::unique_ptr<File>> open(std::string_view path) = 0;            // read only, O_NOFOLLOW|O_NONBLOCK
  virtual Result<std::unique_ptr<File>> open_write(std::string_view path) = 0;      // existing or new, 0600, read and write
  virtual Status make_directory(std::string_view path, std::uint32_t mode) = 0;
  // A hint: directories made in this one from now on should lie apart on the disk (ext4: chattr +T). May do nothing.
  virtual void spread(std::string_view) {}
  virtual Status make_symlink(std::string_view path, std::string_view target) = 0;
  virtual Status rename_new(std::string_view from, std::string_view to) = 0;        // Error::exists if `to` exists
  virtual Status exchange(std::string_view a, std::string_view b) = 0;              // Error::unsupported where there is none
  virtual Status replace(std::string_view from, std::string_view to) = 0;           // plain rename
  virtual Status link(std::string_view from, std::string_view to);                      // a second name; Error::exists
  virtual Status remove_file(std::string_view path) = 0;
  virtual Status remove_directory(std::string_view path) = 0;                       // Error::exists when not empty
  virtual Status set_attributes(std::string_view path, std::optional<std::uint32_t> mode,
                                std::optional<std::int64_t> mtime_ns) = 0;          // of a directory or (mtime) a symlink
  virtual Status set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid);  // of a directory or a symlink
  virtual Status clone(std::string_view from, std::string_view to) = 0;             // reflink, else copy in the kernel; new file
  virtual Status sync_all() = 0;                                                    // everything written so far is durable
  virtual Result<std::uint64_t> free_bytes() = 0;
  // The root is still what its path leads to. Error::refused: moved, removed, or another file system is mounted over it.
  virtual Status check_root() { return {}; }
  // The clock that stamps mtime and ctime, ns since the Unix epoch.
  virtual std::int64_t now_ns();
  // Two writes closer together than this may leave equal stamps.
  virtual std::int64_t stamp_tick_ns() const { return kStampTickNs; }
  // This process may give files to other users.
  virtual bool can_set_owner() const { return false; }

  // Linux stamps from the timer tick, 1 to 10 ms (CONFIG_HZ 1000 to 100); doubled for the clocks of other systems.
  static constexpr std::int64_t kStampTickNs = 20'000'000;
};

// The real thing. `root` must be an existing directory, and is held open. Where SIGIO has its default action (death), it is set
// to be ignored for the whole process: the kernel sends it to whoever holds a lease that an application's open() wants broken.
Result<std::unique_ptr<FileSystem>> open_file_system(const std::string& root);

}  // namespace syncline

#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/file_system_memory.h"
#include "tests/crash/crash_states.h"

namespace syncline::crash {

// A disk in memory that writes down every change and every barrier that went through it. What a crash leaves is worked out from
// that record alone, not from what the disk below knows of syncs. One thread.
class DiskRecorder : public FileSystem {
 public:
  explicit DiskRecorder(MemoryFileSystem& disk);

  // A test of the tester: the call succeeds and makes nothing durable.
  void forget_syncs(bool on) { forget_syncs_ = on; }
  std::size_t note(std::string what);  // returns its number
  const std::vector<Operation>& operations() const { return operations_; }
  MemoryTree after(const CrashState& state) const;

  Result<FileStat> stat(std::string_view path) override { return disk_.stat(path); }
  Result<std::vector<DirectoryItem>> list(std::string_view directory) override { return disk_.list(directory); }
  Result<std::string> read_link(std::string_view path) override { return disk_.read_link(path); }
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
  Result<std::uint64_t> free_bytes() override { return disk_.free_bytes(); }
  std::int64_t now_ns() override { return disk_.now_ns(); }

 private:
  friend class RecordedFile;
  using Id = MemoryTree::Id;
  using Change = std::function<void(MemoryTree&)>;
  struct Spot {
    Id directory = 0;
    std::string name;
    Id id = 0;  // 0: nothing there
  };

  Spot find(std::string_view path) const;
  void names(std::string what, std::vector<ChainId> chains, Change change);
  void data(std::string what, Id file, std::uint64_t offset, std::string bytes);
  void sync(Operation barrier);
  void created(std::string what, std::string_view path, std::string target);
  void moved(std::string what, std::string_view from, std::string_view to);
  void removed(std::string what, std::string_view path);

  MemoryFileSystem& disk_;
  const MemoryTree before_;
  MemoryTree live_;  // to find out which file a path is
  Id next_id_ = Id{1} << 40;  // above those of the disk below
  std::vector<Operation> operations_;
  std::vector<Change> changes_;                 // of names
  std::map<std::size_t, std::string> written_;  // of data
  bool forget_syncs_ = false;
};

// The changes of the metadata of one file are a chain beside that of each directory.
inline ChainId directory_chain(MemoryTree::Id id) { return 2 * id; }
inline ChainId inode_chain(MemoryTree::Id id) { return 2 * id + 1; }

}  // namespace syncline::crash

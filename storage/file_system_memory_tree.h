#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/file_system.h"

namespace syncline {

// What a disk holds: inodes by a number that is never used twice (`Id`; what stat() shows is another, which
// is reused as real file systems do). Changes that name an inode which does not exist do nothing: after a
// crash a journal is replayed in part.
class MemoryTree {
 public:
  using Id = std::uint64_t;
  static constexpr Id kRoot = 1;

  struct Inode {
    FileStat stat;                       // links = names
    std::shared_ptr<std::string> bytes;  // files; shared with copies of the tree until written
    std::string target;                  // symlinks
    std::map<std::string, Id> children;  // directories
    std::optional<Bytes> mark;
  };

  MemoryTree();
  const Inode* find(Id id) const;
  std::optional<Id> child(Id directory, const std::string& name) const;
  std::uint64_t bytes() const { return bytes_; }  // of all files

  void create(Id id, const FileStat& stat, std::string target);
  void name(Id directory, const std::string& name, Id id, std::int64_t now_ns);
  void unname(Id directory, const std::string& name, std::int64_t now_ns);
  void exchange(Id directory_a, const std::string& a, Id directory_b, const std::string& b,
                std::int64_t now_ns);
  void write(Id id, std::uint64_t offset, const std::string& data, std::int64_t now_ns);
  void truncate(Id id, std::uint64_t size, std::int64_t now_ns);
  void flip(Id id, std::uint64_t offset);  // a bit of the content, and no stamp
  void set_attributes(Id id, std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns,
                      std::int64_t now_ns);
  void set_owner(Id id, std::uint32_t uid, std::uint32_t gid, std::int64_t now_ns);
  void set_mark(Id id, Bytes mark, std::int64_t now_ns);
  void pin(Id id) { ++pins_[id]; }  // an open file outlives its last name
  void unpin(Id id);
  void unpin_all();
  void on_drop(std::function<void(std::uint64_t inode)> callback) { on_drop_ = std::move(callback); }

 private:
  Inode* edit(Id id);
  std::string& own_bytes(Inode& inode);
  void touch_directory(Id id, std::int64_t now_ns);
  void drop_if_unused(Id id);

  std::map<Id, Inode> inodes_;
  std::map<Id, unsigned> pins_;
  std::uint64_t bytes_ = 0;
  std::function<void(std::uint64_t inode)> on_drop_;
};

// One change, which a crash keeps or loses as a whole.
struct MemoryChange {
  MemoryTree::Id data_of = 0;  // the file whose content it is; 0: names and attributes
  std::function<void(MemoryTree&)> run;
};

}  // namespace syncline

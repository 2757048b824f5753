#pragma once
#include <fmt/format.h>

#include <vector>

#include "storage/file_system_memory.h"

namespace syncline {

// The disk behind a MemoryFileSystem and its open files. Methods want `mutex` held unless they say otherwise.
struct MemoryFileSystem::State {
  using Id = MemoryTree::Id;
  struct Spot {
    Id directory = 0;
    std::string name;
    std::optional<Id> id;  // what is there
  };
  // A read lease and the applications that wait for its end.
  struct Guard {
    unsigned holders = 0;
    bool broken = false;
    std::vector<std::function<void()>> waiting;
  };

  explicit State(ClockNs clock);

  // The door of every operation: hook, count, log, faults. Without the mutex.
  Status enter(std::string_view operation, std::string_view path);
  Status enter(std::string_view operation, std::string_view from, std::string_view to);

  std::optional<Id> find(std::string_view path) const;
  Result<Spot> spot(std::string_view path) const;      // not_found: the parent is missing or no directory
  Result<Spot> occupied(std::string_view path) const;  // not_found as well when nothing is there
  Result<Spot> vacant(std::string_view path) const;    // exists when something is there
  Id make(const Spot& at, FileType type, std::uint32_t mode, std::string target, std::uint32_t uid = 0);
  void move(const Spot& from, const Spot& to);  // over what is there
  void commit(Id data_of, std::function<void(MemoryTree&)> run);
  Status grow(Id id, std::uint64_t new_size, std::string_view path);
  std::int64_t stamp() const;
  void settle(Id data_of);  // makes durable: all names and attributes, the content of one file (0: of all)

  void write_begin(Id id);
  void write_end(Id id);
  void release_guard(Id id);
  void when_unguarded(Id id, std::function<void()> action);  // now, or at the end of the guard
  void open_file(const void* file, Id id, bool writing);
  void close_file(const void* file);
  void close_all();  // the end of the process

  mutable std::mutex mutex;
  ClockNs clock;
  MemoryTree live, durable;
  std::vector<MemoryChange> journal;  // from durable to live
  Id next_id = MemoryTree::kRoot + 1;
  std::uint64_t next_number = 100;
  std::vector<std::uint64_t> free_numbers;  // a freed inode number is used again at once, as ext4 does
  std::map<Id, unsigned> writers;
  std::map<Id, Guard> guards;
  std::map<const void*, std::pair<Id, bool>> files;  // open files of the process: which, for writing
  std::uint64_t boots = 0;                           // an application of an earlier one is dead

  std::function<void(const Access&)> hook;
  std::uint64_t operations = 0;
  std::optional<std::uint64_t> halt_at;
  std::optional<std::uint64_t> fail_at;  // once
  std::optional<std::uint64_t> capacity;
  std::set<std::string, std::less<>> io_errors;
  bool can_exchange = true;
  bool can_lease = true;
  std::uint32_t owner = 0;  // of what applications make
  bool can_mark = true;  // not a fault: heal() leaves it
  bool logging = false;
  std::vector<std::string> log;
};

}  // namespace syncline

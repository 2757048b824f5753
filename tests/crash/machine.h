#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/folder.h"
#include "storage/index.h"
#include "tests/crash/disk_recorder.h"

namespace syncline::crash {

// What was found after a crash.
struct Verdict {
  std::vector<std::string> faults;
  // A torn file of which the index, whose last batches were lost as well, knows nothing: it makes no claim, but neither can it tell
  // that this is damage.
  unsigned torn_unknown = 0;
};

// One node's folder and index, driven as the node drives them: an intent is in the index before an apply, its outcome after it; a
// group syncs the files before it makes the index durable. Everything is recorded; what the paths may show is written down.
class Machine {
 public:
  Machine();

  // What an application does.
  void app_write(const std::string& path, const std::string& bytes);
  void app_make_directory(const std::string& path);
  // What the node does.
  void look(const std::string& path);  // and publishes what it sees
  struct How {
    bool inline_bytes = true;  // else what is staged
    bool keep_displaced = false, keep_staged = false;
  };
  void apply_file(const std::string& path, const std::string& bytes, How how);
  void apply_file(const std::string& path, const std::string& bytes) { apply_file(path, bytes, How{}); }
  void apply(const std::string& path, const Content& content);  // a directory, a link, or nothing
  void conflict_over(const std::string& path, const std::string& loser);  // its bytes are claimed to be in versions/
  void group();
  void group_in_the_wrong_order();  // a test of the tester
  void long_after() { now_ns_ += std::int64_t{3600} * 1'000'000'000; }
  void settle() { (void)folder_->settle_limbo(true); }

  Content file(const std::string& bytes) const;
  Hash128 hash(const std::string& bytes) const { return key_.hash(bytes); }
  Folder& folder() { return *folder_; }
  MemoryFileSystem& disk() { return disk_; }
  DiskRecorder& recorder() { return *recorder_; }

  // Restarts on what the crash left, and judges it. `batches` of the index survive (never fewer than were durable).
  struct Crash {
    const CrashState& state;
    bool power = true;
    std::uint64_t batches = 0;
    std::optional<std::uint64_t> killed_again_at;  // an operation of the recovery
  };
  Verdict recover(const Crash& crash);
  std::uint64_t durable_at(std::size_t instant) const { return moment(instant).kv->durable(); }
  std::uint64_t applied_at(std::size_t instant) const { return moment(instant).kv->applied(); }

 private:
  friend class Recovery;
  struct Shown {                       // what may be at a path
    std::size_t from = 0;              // the operation from which on it may be there
    std::optional<std::string> bytes;  // of a file; nullopt: nothing, or no file
    bool by_application = false;
  };
  struct Moment {
    std::size_t at = 0;
    std::unique_ptr<MemoryKv> kv;
  };

  const Moment& moment(std::size_t instant) const;
  void shows(const std::string& path, std::optional<std::string> bytes, bool by_application = false);
  void put(const std::string& path, PathEntry entry);
  void commit(std::string what);
  void run(ApplyRequest request);
  Record record(const std::string& path, const Content& content);

  std::int64_t now_ns_ = 1'700'000'000'000'000'000;
  HashKey key_;
  Folder::Identity identity_;
  MemoryFileSystem disk_;
  std::unique_ptr<DiskRecorder> recorder_;
  std::unique_ptr<MemoryKv> kv_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<Folder> folder_;
  std::uint64_t seq_ = 0;
  std::vector<Moment> moments_;  // of the index, oldest first
  std::map<std::string, std::vector<Shown>> shown_;
  std::set<Hash128> by_application_;
  std::vector<std::size_t> groups_;  // operations at which everything was durable
};

}  // namespace syncline::crash

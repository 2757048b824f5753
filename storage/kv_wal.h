#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/kv.h"
#include "storage/kv_file.h"

namespace syncline {

// The write-ahead log of the index (FORMAT.md, "Log"): a row of files, each named after its first batch. One
// is appended to; those whose batches have all reached the database are deleted whole. Never synced: it
// outlives the process, not the machine, and of what power loss leaves of it only the unbroken beginning
// counts. Not thread-safe.
class Wal {
 public:
  struct Replay {
    std::uint64_t last = 0;   // number of the last batch found, or of the last in the database
    bool other_boot = false;  // some batch found was written before the machine's last boot
  };
  // Hands out, in order, every batch above number `last` of an unbroken row, and deletes files that hold none
  // of these. Error::invalid: written by a newer program, or a batch with a right checksum makes no sense.
  static Result<Wal> open(std::string directory, Bytes boot, std::uint64_t last,
                          const std::function<void(KvBatch)>& sink, Replay& replay);
  static bool any(const std::string& directory);  // whether there are files of a log

  // One write. On error nothing counts as appended, and the same number may be tried again.
  Status append(std::uint64_t number, const KvBatch& batch);
  void rotate() { file_.reset(); }  // the next batch begins a new file
  // The files, no longer counted, whose batches all have numbers up to `durable`: the caller deletes them.
  std::vector<std::string> covered(std::uint64_t durable);

 private:
  struct Segment {
    std::string path;
    std::uint64_t last = 0;
  };
  Wal(std::string directory, Bytes boot) : directory_(std::move(directory)), boot_(std::move(boot)) {}

  std::string directory_;
  Bytes boot_;
  std::vector<Segment> segments_;  // oldest first; while file_ is open the last one is its own
  std::optional<LogFile> file_;
  std::uint64_t size_ = 0;  // of the open file
};

// One batch as a frame of the log: length, checksum, payload. Error::refused beyond the limits.
Result<Bytes> encode_frame(std::uint64_t number, const KvBatch& batch);

}  // namespace syncline

#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// A batch of changes to an ordered map of bytes; a missing value deletes the key. Keys have 1 to
// limits::kv_key_bytes bytes, a whole batch at most limits::kv_batch_bytes; anything else is Error::refused.
using KvBatch = std::vector<std::pair<Bytes, std::optional<Bytes>>>;
using KvItems = std::vector<std::pair<Bytes, Bytes>>;

// How the run before this one ended.
struct KvRecovery {
  bool clean = true;  // it closed the map
  // Not clean, and the machine has booted since: files written in its last moments may be damaged.
  bool power_loss = false;
  // What the batches changed that were applied and had not become durable, ascending. They become durable
  // together with the first batch that is applied (or with flush()); until then a further crash finds the
  // same keys and the same power_loss.
  std::vector<Bytes> replayed_keys;
};

// An ordered map of bytes with atomic batches, durable in groups. After apply() a batch survives the death of
// the process; after the next group commit it survives power loss. A crash loses whole batches from the end,
// never part of one, never an earlier one without all later ones. Thread-safe: one writer, any readers; a
// reader sees every batch that apply() has returned for.
class Kv {
 public:
  virtual ~Kv() = default;
  virtual std::optional<Bytes> get(BytesView key) = 0;
  // Up to `max_items` pairs with first <= key < last, ascending; `last` empty = to the end. One consistent
  // state.
  virtual KvItems range(BytesView first, BytesView last, std::size_t max_items) = 0;
  // Nothing has changed when it fails. Error::full: no space for the log, or none for the group commits and
  // the bound of undurable bytes reached; the same call may succeed later. An empty batch does nothing and
  // gets no number.
  virtual Status apply(KvBatch batch) = 0;
  // Batches get numbers from 1 on; applied() is the last there is, durable() the last that survives power
  // loss.
  virtual std::uint64_t applied() = 0;
  virtual std::uint64_t durable() = 0;
  // Asks for a group commit now. Without it one starts within `group_ms_max` of the first undurable batch.
  virtual void flush() = 0;
  // Returns when everything applied before the call is durable, or with the error of the attempt.
  virtual Status flush_wait() = 0;
  virtual const KvRecovery& recovery() const = 0;
  // A reader met bytes that cannot be right (get() and range() do this themselves, then act as if the key
  // were not there). From now on apply() fails with Error::invalid, so that nothing is decided on what was
  // misread, and so does the next open.
  virtual void report_damage(const std::string& what) = 0;
};

struct KvOptions {
  std::string directory;  // created 0700; its parent exists
  // Largest size of the database: address space, not memory.
  std::uint64_t map_bytes = std::uint64_t{1} << 36;
  unsigned group_ms_max = 1000;
  // apply() waits while the open group holds more (a second group may be on its way to disk).
  std::size_t pending_bytes_max = 64 << 20;
  // Called on the commit thread before the index's own sync: makes the files durable of which the group
  // speaks. After an error the group stays pending and is tried again.
  std::function<Status()> sync_files;
  std::function<void(std::uint64_t durable)> on_durable;  // on the commit thread, after each group
  std::string boot_id;  // of this boot of the machine; empty: ask the system. For tests
};

// LMDB with a write-ahead log in front (storage/FORMAT.md). A corrupt or foreign database, or one of a newer
// program, gives Error::invalid and is left as it is; a directory that is open already, here or in another
// process, Error::refused. Destroying the map flushes it; what cannot be flushed is replayed at the next
// open.
Result<std::unique_ptr<Kv>> open_lmdb_kv(KvOptions options);

// Renames a directory that open_lmdb_kv() called invalid to "<directory>.corrupt-<UTC time>" and returns the
// new name.
Result<std::string> set_aside(const std::string& directory);

// The twin for tests and the simulator. A group commit happens only by make_durable(), flush() or
// flush_wait(), at once.
class MemoryKv : public Kv {
 public:
  // Forgets every batch after number `keep` (never one that is durable). recovery() then tells of it as an
  // open would.
  virtual void crash(std::uint64_t keep_batches, bool power_loss = true) = 0;
  virtual void make_durable() = 0;
  virtual std::unique_ptr<MemoryKv> copy() = 0;  // a backup image
};
std::unique_ptr<MemoryKv> make_memory_kv();

}  // namespace syncline

#pragma once
#include <lmdb.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/kv_overlay.h"

namespace syncline {

// The database proper (FORMAT.md, "Database"): an ordered map of bytes in LMDB, every value with a checksum,
// changed by one durable transaction at a time. get(), Snapshot: any thread. commit(): one thread.
class LmdbStore {
 public:
  struct State {
    std::uint64_t batch = 0;  // the last batch that is in the database
    bool clean = true;        // closed by the program
    Bytes boot;               // of the machine, when this was written
    bool operator==(const State&) const = default;
  };

  // Makes an empty database where there is none. Reads all of an existing one (FORMAT.md, "Checks"): some 0.5
  // s a gigabyte. Error::invalid: corrupt, foreign, or of a newer program.
  static Result<std::unique_ptr<LmdbStore>> open(const std::string& directory, std::uint64_t map_bytes);
  static bool exists(const std::string& directory);
  ~LmdbStore();

  const State& state() const { return state_; }  // as last committed
  // Error::invalid: the value or the tree is damaged.
  Result<std::optional<Bytes>> get(BytesView key);
  Status commit(const KvOverlay& changes, const State& state);

  // A consistent state of the database, held until destroyed: keep it short, pages freed meanwhile cannot be
  // used again.
  class Snapshot {
   public:
    explicit Snapshot(LmdbStore& store);
    ~Snapshot();
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;
    Result<std::optional<Bytes>> get(BytesView key);

   private:
    friend class LmdbStore;
    friend class Cursor;
    LmdbStore& store_;
    MDB_txn* txn_ = nullptr;
    int error_ = 0;
  };

  // Walks first <= key < last (`last` empty: to the end) of a snapshot, which must outlive it.
  class Cursor {
   public:
    Cursor(Snapshot& snapshot, BytesView first, BytesView last);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    const std::pair<BytesView, BytesView>* peek() const { return here_ ? &*here_ : nullptr; }
    void next() { move(MDB_NEXT); }
    const Status& status() const { return status_; }  // why it ended, if not at the end

   private:
    void move(MDB_cursor_op op);
    LmdbStore& store_;
    MDB_cursor* cursor_ = nullptr;
    Bytes first_, last_;
    std::optional<std::pair<BytesView, BytesView>> here_;
    Status status_;
  };

 private:
  LmdbStore(std::string directory) : directory_(std::move(directory)) {}
  Status open_environment(std::uint64_t map_bytes);
  Status open_databases();
  Status load_or_create(MDB_txn* txn);
  Status check_file() const;
  tl::unexpected<Error> error(int rc, const char* doing) const;
  tl::unexpected<Error> damaged(const char* what) const;
  int put(MDB_txn* txn, BytesView key, BytesView value);
  int put_state(MDB_txn* txn, const State& state);

  std::string directory_;
  MDB_env* env_ = nullptr;
  MDB_dbi items_ = 0, meta_ = 0;
  State state_;

  // Idle read transactions: renewing one costs neither an allocation nor a lock between processes.
  std::mutex readers_mutex_;
  std::condition_variable reader_back_;
  std::vector<MDB_txn*> idle_;
  std::size_t readers_ = 0;
};

}  // namespace syncline

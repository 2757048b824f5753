#include "storage/kv_lmdb_store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "storage/kv_file.h"
#include "storage/kv_lmdb_check.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

constexpr BytesView kMagic = "syncline index";
constexpr std::uint32_t kFormat = 1;
constexpr BytesView kStateKey = "state";
constexpr std::size_t kSumBytes = 4;
constexpr std::uint64_t kMapBytesMin = std::uint64_t{1} << 30;

MDB_val val(BytesView v) {
  return {v.size(), const_cast<char*>(v.data())};
}  // LMDB does not write through it
BytesView view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

// Over key and value: a value that turns up under another key is found too.
void store_sum(BytesView key, BytesView value, char* out) {
  const std::uint64_t seed = XXH3_64bits(key.data(), key.size());
  auto sum = static_cast<std::uint32_t>(XXH3_64bits_withSeed(value.data(), value.size(), seed));
  for (std::size_t i = 0; i < kSumBytes; ++i, sum >>= 8) out[i] = static_cast<char>(sum & 0xff);
}

std::optional<BytesView> checked(BytesView key, BytesView stored) {
  if (stored.size() < kSumBytes) return std::nullopt;
  char sum[kSumBytes];
  store_sum(key, stored.substr(kSumBytes), sum);
  if (std::memcmp(sum, stored.data(), kSumBytes) != 0) return std::nullopt;
  return stored.substr(kSumBytes);
}

}  // namespace

tl::unexpected<Error> LmdbStore::error(int rc, const char* doing) const {
  auto code = Error::Code::io;
  switch (rc) {
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
      code = Error::Code::invalid;
      break;
    case MDB_MAP_FULL:
      code = Error::Code::full;
      break;
    case EIO: {
      // LMDB calls a short write, which is how a disk fills up, EIO (mdb_page_flush, 0.9.24).
      std::error_code ec;
      const auto space = fs::space(directory_, ec);
      code = !ec && space.available < (1 << 20) ? Error::Code::full : Error::Code::io;
      break;
    }
    default:
      code = is_no_space(rc) ? Error::Code::full : Error::Code::io;
  }
  return fail(code, fmt::format("{} the index in {}: {}", doing, directory_, mdb_strerror(rc)));
}

tl::unexpected<Error> LmdbStore::damaged(const char* what) const {
  return fail(Error::Code::invalid, fmt::format("the index in {} is damaged: {}", directory_, what));
}

bool LmdbStore::exists(const std::string& directory) {
  std::error_code ec;
  const auto size = fs::file_size(directory + "/data.mdb", ec);
  return !ec && size > 0;
}

Result<std::unique_ptr<LmdbStore>> LmdbStore::open(const std::string& directory, std::uint64_t map_bytes) {
  std::unique_ptr<LmdbStore> store(new LmdbStore(directory));
  if (Status s = store->check_file(); !s) return tl::unexpected(s.error());
  if (Status s = store->open_environment(map_bytes); !s) return tl::unexpected(s.error());
  if (Status s = store->open_databases(); !s) return tl::unexpected(s.error());
  return store;
}

Status LmdbStore::open_environment(std::uint64_t map_bytes) {
  int rc = 0;
  // The map is address space only, so it starts at its full size; where that is rationed (ulimit -v) a
  // smaller one will do.
  do {
    if (env_ != nullptr) mdb_env_close(env_);
    env_ = nullptr;
    if (rc = mdb_env_create(&env_); rc != 0) return error(rc, "cannot open");
    mdb_env_set_maxdbs(env_, 2);
    mdb_env_set_maxreaders(env_, static_cast<unsigned>(limits::kv_readers + 2));
    mdb_env_set_mapsize(env_, map_bytes);
    rc = mdb_env_open(env_, directory_.c_str(), MDB_NOTLS, 0600);
    map_bytes /= 2;
  } while (rc == ENOMEM && map_bytes >= kMapBytesMin);
  if (rc != 0) return error(rc, "cannot open");
  int stale = 0;
  mdb_reader_check(env_, &stale);
  return {};
}

// LMDB trusts its pages: garbage in one of them is a signal (SIGSEGV, SIGBUS or an assertion) in three cases
// of ten, measured with 0.9.24, and a wrong answer in others. So the file is read with other eyes before it
// is mapped.
Status LmdbStore::check_file() const {
  const auto value_ok = [](BytesView key, BytesView stored) { return checked(key, stored).has_value(); };
  Status status = check_lmdb_file(directory_ + "/data.mdb", value_ok);
  if (!status && status.error().code == Error::Code::invalid) return damaged(status.error().message.c_str());
  return status;
}

Status LmdbStore::open_databases() {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, 0, &txn);
  if (rc != 0) return error(rc, "cannot read");
  if (Status s = load_or_create(txn); !s) {
    mdb_txn_abort(txn);
    return s;
  }
  rc = mdb_txn_commit(txn);
  return rc == 0 ? Status{} : Status(error(rc, "cannot write"));
}

Status LmdbStore::load_or_create(MDB_txn* txn) {
  int rc = mdb_dbi_open(txn, "meta", 0, &meta_);
  if (rc == MDB_NOTFOUND) {
    MDB_dbi main = 0;
    MDB_stat stat{};
    rc = mdb_dbi_open(txn, nullptr, 0, &main);
    if (rc == 0) rc = mdb_stat(txn, main, &stat);
    if (rc == 0 && stat.ms_entries != 0) return damaged("this database was not made by syncline");
    if (rc == 0) rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta_);
    if (rc == 0) rc = mdb_dbi_open(txn, "items", MDB_CREATE, &items_);
    if (rc == 0) rc = put_state(txn, state_);
    return rc == 0 ? Status{} : Status(error(rc, "cannot create"));
  }
  if (rc == 0) rc = mdb_dbi_open(txn, "items", 0, &items_);
  MDB_val key = val(kStateKey), value;
  if (rc == 0) rc = mdb_get(txn, meta_, &key, &value);
  if (rc == MDB_NOTFOUND) return damaged("its state is missing");
  if (rc != 0) return error(rc, "cannot read");
  const auto stored = checked(kStateKey, view(value));
  if (!stored) return damaged("the checksum of its state is wrong");
  Reader r(*stored);
  if (r.bytes(kMagic.size()) != kMagic) return damaged("this database was not made by syncline");
  if (const std::uint32_t format = r.u32(); r.ok() && format > kFormat) {
    return fail(Error::Code::invalid,
                fmt::format("the index in {} has format {}, from a newer program; this one knows {}",
                            directory_, format, kFormat));
  }
  state_.batch = r.u64();
  state_.clean = r.u8() != 0;
  state_.boot = r.bytes(limits::boot_id_bytes);
  return r.done() ? Status{} : Status(damaged("its state makes no sense"));
}

int LmdbStore::put_state(MDB_txn* txn, const State& state) {
  Writer w;
  w.bytes(kMagic), w.u32(kFormat), w.u64(state.batch), w.u8(state.clean ? 1 : 0), w.bytes(state.boot);
  Bytes stored(kSumBytes, '\0');
  stored += w.data();
  store_sum(kStateKey, w.data(), stored.data());
  MDB_val key = val(kStateKey), value = val(stored);
  return mdb_put(txn, meta_, &key, &value, 0);
}

LmdbStore::~LmdbStore() {
  for (MDB_txn* txn : idle_) mdb_txn_abort(txn);
  if (env_ != nullptr) mdb_env_close(env_);
}

int LmdbStore::put(MDB_txn* txn, BytesView key, BytesView value) {
  MDB_val k = val(key), v{value.size() + kSumBytes, nullptr};
  const int rc = mdb_put(txn, items_, &k, &v, MDB_RESERVE);
  if (rc != 0) return rc;
  auto* out = static_cast<char*>(v.mv_data);
  store_sum(key, value, out);
  if (!value.empty()) std::memcpy(out + kSumBytes, value.data(), value.size());
  return 0;
}

Status LmdbStore::commit(const KvOverlay& changes, const State& state) {
  MDB_txn* txn = nullptr;
  int rc = mdb_txn_begin(env_, nullptr, 0, &txn);
  if (rc != 0) return error(rc, "cannot write");
  for (const auto& [key, value] : changes) {
    MDB_val k = val(key);
    rc = value ? put(txn, key, *value) : mdb_del(txn, items_, &k, nullptr);
    if (rc == MDB_NOTFOUND && !value) rc = 0;
    if (rc != 0) break;
  }
  if (rc == 0) rc = put_state(txn, state);
  if (rc != 0) {
    mdb_txn_abort(txn);
    return error(rc, "cannot write");
  }
  rc = mdb_txn_commit(txn);  // durable when it returns; frees the transaction also when it fails
  if (rc != 0) return error(rc, "cannot write");
  state_ = state;
  return {};
}

LmdbStore::Snapshot::Snapshot(LmdbStore& store) : store_(store) {
  std::unique_lock lock(store.readers_mutex_);
  store.reader_back_.wait(lock, [&] { return !store.idle_.empty() || store.readers_ < limits::kv_readers; });
  if (!store.idle_.empty()) {
    txn_ = store.idle_.back();
    store.idle_.pop_back();
    lock.unlock();
    error_ = mdb_txn_renew(txn_);
    return;
  }
  error_ = mdb_txn_begin(store.env_, nullptr, MDB_RDONLY, &txn_);
  if (error_ == 0) ++store.readers_;
}

LmdbStore::Snapshot::~Snapshot() {
  if (txn_ == nullptr) return;
  mdb_txn_reset(txn_);
  const std::lock_guard lock(store_.readers_mutex_);
  store_.idle_.push_back(txn_);
  store_.reader_back_.notify_one();
}

Result<std::optional<Bytes>> LmdbStore::Snapshot::get(BytesView key) {
  if (error_ != 0) return store_.error(error_, "cannot read");
  if (key.empty()) return std::nullopt;  // LMDB has no empty keys and calls one an error
  MDB_val k = val(key), v;
  const int rc = mdb_get(txn_, store_.items_, &k, &v);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  if (rc != 0) return store_.error(rc, "cannot read");
  const auto value = checked(key, view(v));
  if (!value) return store_.damaged("the checksum of a value is wrong");
  return Bytes(*value);
}

Result<std::optional<Bytes>> LmdbStore::get(BytesView key) { return Snapshot(*this).get(key); }

LmdbStore::Cursor::Cursor(Snapshot& snapshot, BytesView first, BytesView last)
    : store_(snapshot.store_), first_(first), last_(last) {
  int rc = snapshot.error_;
  if (rc == 0) rc = mdb_cursor_open(snapshot.txn_, store_.items_, &cursor_);
  if (rc != 0) {
    status_ = store_.error(rc, "cannot read");
    return;
  }
  move(first_.empty() ? MDB_FIRST : MDB_SET_RANGE);
}

LmdbStore::Cursor::~Cursor() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

void LmdbStore::Cursor::move(MDB_cursor_op op) {
  here_.reset();
  MDB_val k = val(first_), v;
  const int rc = mdb_cursor_get(cursor_, &k, &v, op);
  if (rc == MDB_NOTFOUND) return;
  if (rc != 0) {
    status_ = store_.error(rc, "cannot read");
    return;
  }
  if (!last_.empty() && view(k) >= last_) return;
  if (const auto value = checked(view(k), view(v))) {
    here_.emplace(view(k), *value);
  } else {
    status_ = store_.damaged("the checksum of a value is wrong");
  }
}

}  // namespace syncline

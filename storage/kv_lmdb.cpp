#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "storage/kv_lmdb_store.h"
#include "storage/kv_wal.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRetryMin{100}, kRetryMax{5000};
constexpr std::size_t kNodeBytes = 96;  // what a map node costs beside key and value
constexpr const char* kDamageFile = "/damaged";

std::size_t cost(const KvBatch& batch) {
  std::size_t sum = 0;
  for (const auto& [key, value] : batch) sum += key.size() + (value ? value->size() : 0) + kNodeBytes;
  return sum;
}

void lay_over(KvOverlay& overlay, KvBatch batch) {
  for (auto& [key, value] : batch) overlay.insert_or_assign(std::move(key), std::move(value));
}

// Three layers, newest first: `active_` (applied, in the log), `committing_` (on its way into the database),
// the database. Locks: mutex_ orders the writers and guards the book-keeping; layers_ guards the two maps
// against readers and is taken last.
class LmdbKv final : public Kv {
 public:
  LmdbKv(KvOptions options, DirectoryLock lock, std::unique_ptr<LmdbStore> store, Wal wal, KvOverlay replayed,
         std::uint64_t applied, KvRecovery recovery)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        store_(std::move(store)),
        wal_(std::move(wal)),
        active_(std::move(replayed)),
        applied_(applied),
        durable_(store_->state().batch),
        boot_(store_->state().boot),
        recovery_(std::move(recovery)),
        committer_([this] { run(); }) {}
  ~LmdbKv() override;

  std::optional<Bytes> get(BytesView key) override;
  KvItems range(BytesView first, BytesView last, std::size_t max_items) override;
  Status apply(KvBatch batch) override;
  std::uint64_t applied() override { return locked(applied_); }
  std::uint64_t durable() override { return locked(durable_); }
  void flush() override;
  Status flush_wait() override;
  const KvRecovery& recovery() const override { return recovery_; }
  void report_damage(const std::string& what) override;

 private:
  std::uint64_t locked(const std::uint64_t& value) {
    const std::lock_guard lock(mutex_);
    return value;
  }
  Status make_room(std::unique_lock<std::mutex>& lock);
  void read_failed(const Error& error);
  // The commit thread.
  void run();
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void begin_group();
  bool commit_group(std::unique_lock<std::mutex>& lock);
  void end_group(std::unique_lock<std::mutex>& lock);

  const KvOptions options_;
  const DirectoryLock lock_;
  const std::unique_ptr<LmdbStore> store_;
  std::shared_mutex layers_;

  std::mutex mutex_;
  std::condition_variable work_, progress_;
  Wal wal_;
  KvOverlay active_, committing_;
  std::size_t active_bytes_ = 0;  // beside what was replayed, which must not start a group by itself
  std::uint64_t applied_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t group_last_ = durable_;  // last batch of the group on its way, or of the last group
  const Bytes boot_;
  std::optional<SteadyClock::time_point> due_;  // of the open group, or of the next attempt after a failure
  std::chrono::milliseconds retry_ = kRetryMin;
  std::optional<Error> commit_error_;  // of the last attempt
  std::uint64_t failures_ = 0;
  std::optional<Error> damage_;
  bool flush_ = false, stop_ = false;
  const KvRecovery recovery_;
  std::thread committer_;  // last: it uses all of the above
};

std::optional<Bytes> LmdbKv::get(BytesView key) {
  {
    const std::shared_lock lock(layers_);
    for (const KvOverlay* layer : {&active_, &committing_}) {
      if (const auto it = layer->find(key); it != layer->end()) return it->second;
    }
  }
  // A group that ended in between is in the database by now.
  auto value = store_->get(key);
  if (value) return *std::move(value);
  read_failed(value.error());
  return std::nullopt;
}

KvItems LmdbKv::range(BytesView first, BytesView last, std::size_t max_items) {
  if (!last.empty() && first >= last) return {};
  // With the layers' first `max_items` values in hand no more of them can be needed, so that the database is
  // read unlocked.
  KvBatch over;
  std::shared_lock lock(layers_);
  LmdbStore::Snapshot snapshot(*store_);
  auto a = active_.lower_bound(first), c = committing_.lower_bound(first);
  const auto a_end = range_end(active_, last), c_end = range_end(committing_, last);
  for (std::size_t values = 0; values < max_items && (a != a_end || c != c_end);) {
    const bool from_active = c == c_end || (a != a_end && a->first <= c->first);
    if (from_active && c != c_end && a->first == c->first) ++c;
    over.push_back(from_active ? *a++ : *c++);
    if (over.back().second) ++values;
  }
  lock.unlock();
  LmdbStore::Cursor cursor(snapshot, first, last);
  KvItems out = merge_over(over.begin(), over.end(), cursor, max_items);
  if (!cursor.status()) read_failed(cursor.status().error());
  return out;
}

void LmdbKv::read_failed(const Error& error) {
  if (error.code == Error::Code::invalid) return report_damage(error.message);
  const std::lock_guard lock(mutex_);
  if (!damage_) damage_ = error;  // unreadable now: stop deciding, but the next open may try again
}

void LmdbKv::report_damage(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (damage_ && damage_->code == Error::Code::invalid) return;
  damage_ = Error{Error::Code::invalid, what};
  // Where even this cannot be written, the next open finds the damage by itself or meets it again.
  if (auto file = LogFile::create(options_.directory + kDamageFile)) (void)file->write_at(0, what + '\n');
}

Status LmdbKv::make_room(std::unique_lock<std::mutex>& lock) {
  while (active_bytes_ >= options_.pending_bytes_max) {
    if (commit_error_) return tl::unexpected(*commit_error_);
    flush_ = true;
    work_.notify_one();
    progress_.wait(lock);
  }
  return {};
}

Status LmdbKv::apply(KvBatch batch) {
  const std::size_t bytes = cost(batch);
  std::unique_lock lock(mutex_);
  if (damage_) return tl::unexpected(*damage_);
  if (batch.empty()) return {};
  if (Status s = make_room(lock); !s) return s;
  if (Status s = wal_.append(applied_ + 1, batch); !s) return s;
  {
    const std::unique_lock layers(layers_);
    lay_over(active_, std::move(batch));
  }
  ++applied_;
  active_bytes_ += bytes;
  const bool first = !due_, early = active_bytes_ >= options_.pending_bytes_max / 2;
  if (first) due_ = SteadyClock::now() + std::chrono::milliseconds(options_.group_ms_max);
  if (early) flush_ = true;
  if (first || early) work_.notify_one();
  return {};
}

void LmdbKv::flush() {
  const std::lock_guard lock(mutex_);
  flush_ = applied_ != durable_;
  work_.notify_one();
}

Status LmdbKv::flush_wait() {
  std::unique_lock lock(mutex_);
  const std::uint64_t target = applied_, failures = failures_;
  while (durable_ < target) {
    if (failures_ != failures) return tl::unexpected(*commit_error_);
    flush_ = true;
    work_.notify_one();
    progress_.wait(lock);
  }
  return {};
}

// False: asked to stop.
bool LmdbKv::wait_for_work(std::unique_lock<std::mutex>& lock) {
  while (!stop_) {
    const bool something = applied_ != durable_;
    if (something && (flush_ || (due_ && SteadyClock::now() >= *due_))) return true;
    if (something && due_) {
      work_.wait_until(lock, *due_);
    } else {
      work_.wait(lock);
    }
  }
  return false;
}

void LmdbKv::run() {
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) commit_group(lock);
  while (applied_ != durable_ && commit_group(lock)) {
  }
}

void LmdbKv::begin_group() {
  const std::unique_lock layers(layers_);
  committing_ = std::move(active_);
  active_.clear();
  active_bytes_ = 0;
  group_last_ = applied_;
  wal_.rotate();
  progress_.notify_all();
}

bool LmdbKv::commit_group(std::unique_lock<std::mutex>& lock) {
  flush_ = false;
  due_.reset();
  if (group_last_ == durable_) begin_group();  // else the group of a failed attempt is still there
  const std::uint64_t last = group_last_;
  lock.unlock();
  Status status = options_.sync_files ? options_.sync_files() : Status{};
  // Nobody changes committing_ but this thread.
  if (status) status = store_->commit(committing_, {.batch = last, .clean = false, .boot = boot_});
  lock.lock();
  if (!status) {
    commit_error_ = status.error();
    ++failures_;
    due_ = SteadyClock::now() + retry_;
    retry_ = std::min(retry_ * 2, kRetryMax);
    progress_.notify_all();
    return false;
  }
  end_group(lock);
  return true;
}

void LmdbKv::end_group(std::unique_lock<std::mutex>& lock) {
  KvOverlay done;
  {
    const std::unique_lock layers(layers_);
    done.swap(committing_);
  }
  durable_ = group_last_;
  commit_error_.reset();
  retry_ = kRetryMin;
  if (!due_ && applied_ != durable_)
    due_ = SteadyClock::now() + std::chrono::milliseconds(options_.group_ms_max);
  const auto files = wal_.covered(durable_);
  const std::uint64_t durable = durable_;
  progress_.notify_all();
  lock.unlock();
  std::error_code ignored;  // one that stays is skipped, and deleted, at the next open
  for (const std::string& path : files) fs::remove(path, ignored);
  done.clear();
  if (options_.on_durable) options_.on_durable(durable);
  lock.lock();
}

LmdbKv::~LmdbKv() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    work_.notify_one();
  }
  committer_.join();
  if (applied_ != durable_ || damage_) return;
  // A failure here only makes the next open call this run unclean.
  (void)store_->commit({}, {.batch = durable_, .clean = true, .boot = boot_});
}

Status check_directory(const std::string& directory) {
  std::error_code ec;
  if (fs::exists(directory + kDamageFile, ec)) {
    return fail(Error::Code::invalid,
                fmt::format("the index in {} was found damaged by an earlier run", directory));
  }
  if (!LmdbStore::exists(directory) && Wal::any(directory)) {
    return fail(Error::Code::invalid, fmt::format("the index in {} has a log but no database", directory));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Kv>> open_lmdb_kv(KvOptions options) {
  const std::string& directory = options.directory;
  if (Status s = make_private_directory(directory); !s) return tl::unexpected(s.error());
  auto lock = DirectoryLock::take(directory);
  if (!lock) return tl::unexpected(lock.error());
  if (Status s = check_directory(directory); !s) return tl::unexpected(s.error());
  auto store = LmdbStore::open(directory, options.map_bytes);
  if (!store) return tl::unexpected(store.error());
  // Syncing a file does not make its name durable: a database made just now, or by a run that was killed before it came this far.
  for (const std::string& of : {directory, fs::absolute(directory).parent_path().string()}) {
    if (Status s = sync_directory(of); !s) return tl::unexpected(s.error());
  }

  const Bytes boot = options.boot_id.empty() ? system_boot_id() : options.boot_id;
  const LmdbStore::State state = (*store)->state();
  KvOverlay replayed;
  Wal::Replay replay;
  auto wal = Wal::open(
      directory, boot, state.batch, [&](KvBatch batch) { lay_over(replayed, std::move(batch)); }, replay);
  if (!wal) return tl::unexpected(wal.error());

  KvRecovery recovery;
  recovery.clean = state.clean && replay.last == state.batch;
  // The log's files keep the boot they were written in, so that a crash before they are durable does not hide
  // the power loss.
  recovery.power_loss = !recovery.clean && (state.boot != boot || replay.other_boot);
  for (const auto& change : replayed) recovery.replayed_keys.push_back(change.first);
  const LmdbStore::State open_state{.batch = state.batch, .clean = false, .boot = boot};
  if (open_state != state) {
    if (Status s = (*store)->commit({}, open_state); !s) return tl::unexpected(s.error());
  }
  return std::make_unique<LmdbKv>(std::move(options), std::move(*lock), std::move(*store), std::move(*wal),
                                  std::move(replayed), replay.last, std::move(recovery));
}

Result<std::string> set_aside(const std::string& directory) {
  fs::path from(directory);
  if (!from.has_filename()) from = from.parent_path();  // a trailing slash
  const std::string base =
      fmt::format("{}.corrupt-{:%Y%m%dT%H%M%SZ}", from.string(), fmt::gmtime(std::time(nullptr)));
  std::string to = base;
  std::error_code ec;
  for (int i = 2; fs::exists(to, ec); ++i) to = fmt::format("{}-{}", base, i);
  fs::rename(from, to, ec);
  if (ec)
    return fail(Error::Code::io, fmt::format("cannot rename {} to {}: {}", from.string(), to, ec.message()));
  return to;
}

}  // namespace syncline

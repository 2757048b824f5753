#include <mutex>
#include <set>

#include "protocol/limits.h"
#include "storage/kv_overlay.h"

namespace syncline {
namespace {

class MapKv final : public MemoryKv {
 public:
  std::optional<Bytes> get(BytesView key) override {
    const std::lock_guard lock(mutex_);
    const auto it = map_.find(key);
    return it == map_.end() ? std::nullopt : std::optional(it->second);
  }

  KvItems range(BytesView first, BytesView last, std::size_t max_items) override {
    const std::lock_guard lock(mutex_);
    KvItems out;
    for (auto it = map_.lower_bound(first); it != map_.end() && out.size() < max_items; ++it) {
      if (!last.empty() && it->first >= last) break;
      out.push_back(*it);
    }
    return out;
  }

  Status apply(KvBatch batch) override {
    const std::lock_guard lock(mutex_);
    if (damage_) return tl::unexpected(*damage_);
    if (batch.empty()) return {};
    std::size_t size = 0;
    for (const auto& [key, value] : batch) {
      if (key.empty() || key.size() > limits::kv_key_bytes) {
        return fail(Error::Code::refused, "a key of the index is empty or too long");
      }
      size += key.size() + (value ? value->size() : 0);
    }
    if (size > limits::kv_batch_bytes) return fail(Error::Code::refused, "a batch of the index is too large");
    undo_.push_back(swap_in(std::move(batch)));
    return {};
  }

  std::uint64_t applied() override {
    const std::lock_guard lock(mutex_);
    return durable_ + undo_.size();
  }
  std::uint64_t durable() override {
    const std::lock_guard lock(mutex_);
    return durable_;
  }
  void flush() override { make_durable(); }
  Status flush_wait() override {
    make_durable();
    return {};
  }
  const KvRecovery& recovery() const override { return recovery_; }

  void report_damage(const std::string& what) override {
    const std::lock_guard lock(mutex_);
    if (!damage_) damage_ = Error{Error::Code::invalid, what};
  }

  void crash(std::uint64_t keep_batches, bool power_loss) override {
    const std::lock_guard lock(mutex_);
    while (!undo_.empty() && durable_ + undo_.size() > keep_batches) {
      swap_in(std::move(undo_.back()));
      undo_.pop_back();
    }
    std::set<Bytes> keys;
    for (const KvBatch& batch : undo_) {
      for (const auto& change : batch) keys.insert(change.first);
    }
    recovery_ = {.clean = false, .power_loss = power_loss, .replayed_keys = {keys.begin(), keys.end()}};
  }

  void make_durable() override {
    const std::lock_guard lock(mutex_);
    durable_ += undo_.size();
    undo_.clear();
  }

  std::unique_ptr<MemoryKv> copy() override {
    const std::lock_guard lock(mutex_);
    auto image = std::make_unique<MapKv>();
    image->map_ = map_;
    image->undo_ = undo_;
    image->durable_ = durable_;
    image->recovery_ = recovery_;
    return image;
  }

 private:
  // Makes the changes and returns what undoes them: in reverse order, so that a key named twice gets its
  // first value back.
  KvBatch swap_in(KvBatch batch) {
    KvBatch undo;
    undo.reserve(batch.size());
    for (auto& [key, value] : batch) {
      const auto it = map_.find(key);
      undo.emplace_back(key, it == map_.end() ? std::nullopt : std::optional(std::move(it->second)));
      if (value) {
        map_.insert_or_assign(std::move(key), *std::move(value));
      } else if (it != map_.end()) {
        map_.erase(it);
      }
    }
    return {std::make_move_iterator(undo.rbegin()), std::make_move_iterator(undo.rend())};
  }

  std::mutex mutex_;
  std::map<Bytes, Bytes, std::less<>> map_;
  std::vector<KvBatch> undo_;  // one for each undurable batch
  std::uint64_t durable_ = 0;
  KvRecovery recovery_;
  std::optional<Error> damage_;
};

}  // namespace

std::unique_ptr<MemoryKv> make_memory_kv() { return std::make_unique<MapKv>(); }

}  // namespace syncline

#pragma once
#include <memory>
#include <vector>

#include "storage/kv_overlay.h"

namespace syncline::scale {

// What an index holds, ascending by key: made once, and what every node of a cluster starts from.
using Image = std::vector<std::pair<Bytes, Bytes>>;

// A map in memory that begins with an image which it shares with others, so that many nodes may know the same
// large tree. Everything is durable at once.
class SharedKv final : public Kv {
 public:
  explicit SharedKv(std::shared_ptr<const Image> base) : base_(std::move(base)) {}

  std::optional<Bytes> get(BytesView key) override;
  KvItems range(BytesView first, BytesView last, std::size_t max_items) override;
  Status apply(KvBatch batch) override;
  std::uint64_t applied() override { return applied_; }
  std::uint64_t durable() override { return applied_; }
  void flush() override {}
  Status flush_wait() override { return {}; }
  const KvRecovery& recovery() const override { return recovery_; }
  void report_damage(const std::string&) override { damaged_ = true; }

 private:
  std::shared_ptr<const Image> base_;
  KvOverlay changed_;
  std::uint64_t applied_ = 0;
  KvRecovery recovery_;
  bool damaged_ = false;
};

}  // namespace syncline::scale

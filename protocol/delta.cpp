#include "protocol/delta.h"

#include <algorithm>
#include <cassert>

#include "protocol/codec.h"
#include "protocol/delta_encode.h"
#include "protocol/delta_lanes.h"
#include "protocol/delta_scan.h"

namespace syncline {
namespace {

// The operations of all segments in order. A segment may have run into the next one, which then begins too
// early: the first come has it, so that a block across the border stays one copy.
class Plan {
 public:
  void add(std::uint64_t begin, const std::vector<DeltaOp>& ops) {
    for (DeltaOp op : ops) {
      const std::uint64_t end = begin + op.bytes;
      const std::uint64_t cut = std::min(covered_ > begin ? covered_ - begin : 0, op.bytes);
      op.offset += cut, op.bytes -= cut;
      append(ops_, op);
      covered_ = std::max(covered_, end);
      begin = end;
    }
  }

  // Hands all on but the last operation, which may grow yet (`last`: that one too).
  Status drain(DeltaEncoder& encoder, bool last) {
    const std::size_t ready = ops_.size() - (last || ops_.empty() ? 0 : 1);
    for (std::size_t i = 0; i < ready; ++i) {
      if (const Status status = encoder.add(ops_[i]); !status) return status;
    }
    ops_.erase(ops_.begin(), ops_.begin() + static_cast<std::ptrdiff_t>(ready));
    return {};
  }

  std::uint64_t covered() const { return covered_; }

 private:
  std::vector<DeltaOp> ops_;
  std::uint64_t covered_ = 0;
};

// One scanner a lane; each round scans the next segment in every lane.
class SegmentedScan {
 public:
  SegmentedScan(const Signature& base, const HashKey& key, const DeltaSource& target,
                const DeltaOptions& options)
      : base_(base), target_(target), options_(options), index_(base) {
    for (std::size_t i = 0; i < options.lanes; ++i) lanes_.emplace_back(base, key, index_, target, options.target_signature);
  }

  Status round(Plan& plan) {
    const std::uint64_t begin = plan.covered();
    const std::uint64_t blocks = std::min(options_.segment_bytes, limits::file_bytes) / base_.block_bytes;
    const std::uint64_t segment = std::max<std::uint64_t>(blocks, 1) * base_.block_bytes;
    const std::uint64_t segments = (target_.bytes - begin + segment - 1) / segment;
    const auto busy = static_cast<std::size_t>(std::min<std::uint64_t>(segments, lanes_.size()));
    std::vector<Result<std::vector<DeltaOp>>> found(busy);
    run_lanes(options_, busy, [&](std::size_t lane) {
      const std::uint64_t from = begin + lane * segment;
      // The first goes on where the last one ended; the others assume that it stays on course.
      found[lane] = lanes_[lane].scan(from, std::min(from + segment, target_.bytes),
                                      next_ + lane * segment / base_.block_bytes);
    });
    for (std::size_t lane = 0; lane < busy; ++lane) {
      if (!found[lane]) return tl::unexpected<Error>(found[lane].error());
      plan.add(begin + lane * segment, *found[lane]);
    }
    next_ = lanes_[busy - 1].next();
    return {};
  }

 private:
  const Signature& base_;
  const DeltaSource& target_;
  const DeltaOptions& options_;
  const BlockIndex index_;
  std::vector<DeltaScanner> lanes_;
  std::uint64_t next_ = 0;
};

}  // namespace

Result<DeltaStats> make_delta(const Signature& base, const HashKey& key, const DeltaSource& target,
                              const Hash128& target_hash, const DeltaSink& sink,
                              const DeltaOptions& options) {
  assert(options.lanes >= 1 && options.lanes <= limits::delta_lanes &&
         base.weak.size() == base.strong.size());
  if (target.bytes > limits::file_bytes)
    return fail(Error::Code::full, "the file exceeds the largest size that is synced");
  DeltaEncoder encoder(target, options, sink);
  Status status = encoder.begin({base.file_hash, base.file_bytes, target_hash, target.bytes});
  SegmentedScan scan(base, key, target, options);
  Plan plan;
  while (status && plan.covered() < target.bytes) {
    status = scan.round(plan);
    if (status) status = plan.drain(encoder, plan.covered() == target.bytes);
  }
  if (status) status = encoder.finish();
  if (!status) return tl::unexpected<Error>(status.error());
  return encoder.stats();
}

Result<DeltaHeader> peek_delta_header(BytesView front) {
  Reader r(front);
  DeltaHeader header;
  const bool ours = r.raw(kDeltaMagic.size()) == kDeltaMagic;
  header.base_hash = r.id<Hash128>();
  header.base_bytes = r.varint();
  header.target_hash = r.id<Hash128>();
  header.target_bytes = r.varint();
  if (!ours || !r.ok() || header.base_bytes > limits::file_bytes ||
      header.target_bytes > limits::file_bytes) {
    return fail(Error::Code::invalid, "malformed delta header");
  }
  return header;
}

}  // namespace syncline

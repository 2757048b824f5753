#include "protocol/delta_encode.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <optional>

#include "protocol/delta_lanes.h"

namespace syncline {
namespace {

constexpr int kZstdLevel =
    1;  // 500 MB/s where it pays, 10 GB/s past incompressible data (EPYC 9005, zstd 1.5.4)
constexpr std::size_t kCompressFromBytes = 64;
constexpr std::size_t kBatchPieces = 4096;
constexpr std::size_t kChunksPerLane = 8;  // enough work for a lane to be worth its start
constexpr std::size_t kFlushBytes = 64 * 1024;

std::uint64_t op_code(DeltaCode code, std::uint64_t bytes) {
  return bytes << 2 | static_cast<std::uint64_t>(code);
}

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

}  // namespace

// What one lane needs to encode literals by itself.
struct DeltaEncoder::Lane {
  explicit Lane(const DeltaSource& target) : source(target) {}

  void encode(Piece& piece, bool compress) {
    const auto bytes = static_cast<std::size_t>(piece.op.bytes);
    const BytesView literal = fetch(piece.op.offset, bytes);
    if (!status) return;
    Writer head;
    BytesView body = literal;
    if (compress && bytes >= kCompressFromBytes && squeeze(body)) {
      body = {packed.data(), packed_bytes};
      head.varint(op_code(DeltaCode::literal_zstd, bytes)), head.varint(packed_bytes);
    } else {
      head.varint(op_code(DeltaCode::literal, bytes));
    }
    piece.encoded.assign(head.data()).append(body);
  }

  // Not by way of a SourceWindow: literals may lie far apart, and reading ahead would read most of the file
  // again.
  BytesView fetch(std::uint64_t offset, std::size_t bytes) {
    if (source.view.data() != nullptr) return source.view.substr(static_cast<std::size_t>(offset), bytes);
    raw.resize(bytes);
    if (status) status = read_exactly(source.read, offset, raw);
    return raw;
  }

  // False where less than a sixteenth would be saved.
  bool squeeze(BytesView literal) {
    if (!zstd) zstd.reset(ZSTD_createCCtx());
    if (!zstd) return false;
    packed.resize(literal.size() - literal.size() / 16);
    packed_bytes = ZSTD_compressCCtx(zstd.get(), packed.data(), packed.size(), literal.data(), literal.size(),
                                     kZstdLevel);
    return ZSTD_isError(packed_bytes) == 0;
  }

  const DeltaSource& source;
  Status status;
  Bytes raw;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd;
  Bytes packed;
  std::size_t packed_bytes = 0;
};

DeltaEncoder::DeltaEncoder(const DeltaSource& target, const DeltaOptions& options, const DeltaSink& sink)
    : options_(options), sink_(sink) {
  for (std::size_t i = 0; i < options.lanes; ++i) lanes_.push_back(std::make_unique<Lane>(target));
}
DeltaEncoder::~DeltaEncoder() = default;

Status DeltaEncoder::begin(const DeltaHeader& header) {
  Writer w;
  w.raw(kDeltaMagic), w.id(header.base_hash), w.varint(header.base_bytes);
  w.id(header.target_hash), w.varint(header.target_bytes);
  return write(w.data());
}

Status DeltaEncoder::add(const DeltaOp& op) {
  if (op.kind == DeltaOp::Kind::copy) {
    encode_copy(next_piece(op));
    return batched_ < kBatchPieces ? Status{} : encode_batch();
  }
  stats_.literal_bytes += op.bytes;
  expected_ += op.bytes;
  for (std::uint64_t done = 0; done < op.bytes;) {
    const auto bytes =
        static_cast<std::size_t>(std::min<std::uint64_t>(op.bytes - done, limits::delta_chunk_bytes));
    next_piece({DeltaOp::Kind::literal, op.offset + done, bytes});
    batch_literal_bytes_ += bytes;
    done += bytes;
    const bool enough = batch_literal_bytes_ >= kChunksPerLane * lanes_.size() * limits::delta_chunk_bytes;
    if (!enough && batched_ < kBatchPieces) continue;
    if (const Status status = encode_batch(); !status) return status;
  }
  return {};
}

DeltaEncoder::Piece& DeltaEncoder::next_piece(const DeltaOp& op) {
  if (batched_ == batch_.size()) batch_.emplace_back();
  batch_[batched_].op = op;
  return batch_[batched_++];
}

// The offset is written relative to where the base would be had the literals since the last copy replaced as
// many of its bytes: 0 for pages rewritten in place.
void DeltaEncoder::encode_copy(Piece& piece) {
  Writer w;
  w.varint(op_code(DeltaCode::copy, piece.op.bytes));
  w.signed_varint(static_cast<std::int64_t>(piece.op.offset) - static_cast<std::int64_t>(expected_));
  piece.encoded = w.data();
  expected_ = piece.op.offset + piece.op.bytes;
  stats_.copied_bytes += piece.op.bytes;
  ++stats_.copies;
}

Status DeltaEncoder::encode_batch() {
  const auto work = [this](std::size_t lane) {
    const std::size_t from = batched_ * lane / lanes_.size(), to = batched_ * (lane + 1) / lanes_.size();
    for (std::size_t i = from; i < to; ++i) {
      if (batch_[i].op.kind == DeltaOp::Kind::literal) lanes_[lane]->encode(batch_[i], options_.compress);
    }
  };
  if (batch_literal_bytes_ > 0) run_lanes(options_, lanes_.size(), work);
  for (const auto& lane : lanes_) {
    if (!lane->status) return lane->status;
  }
  for (std::size_t i = 0; i < batched_; ++i) {
    if (const Status status = write(batch_[i].encoded); !status) return status;
  }
  batched_ = batch_literal_bytes_ = 0;
  batch_.resize(
      std::min(batch_.size(), kChunksPerLane * lanes_.size()));  // or each piece might come to hold a chunk
  return {};
}

Status DeltaEncoder::write(BytesView encoded) {
  stats_.delta_bytes += encoded.size();
  if (stats_.delta_bytes > options_.max_delta_bytes) {
    return fail(Error::Code::full, fmt::format("the delta would exceed {} bytes", options_.max_delta_bytes));
  }
  if (out_.size() + encoded.size() > kFlushBytes) {
    if (const Status status = flush(); !status) return status;
    if (encoded.size() > kFlushBytes) return sink_(encoded);
  }
  out_.append(encoded);
  return {};
}

Status DeltaEncoder::flush() {
  if (out_.empty()) return {};
  const Status status = sink_(out_);
  out_.clear();
  return status;
}

Status DeltaEncoder::finish() {
  if (const Status status = encode_batch(); !status) return status;
  if (const Status status = write({"\0", 1}); !status) return status;
  return flush();
}

}  // namespace syncline

#include "protocol/delta_encode.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <optional>

#include "protocol/delta_lanes.h"

namespace syncline {
namespace {

// Level 6 packs source text by a fifth better than 1, at some 80 MB/s a lane (EPYC 9005, zstd 1.5.4): for what is small enough that the wire
// counts. 1 does 500 MB/s, which a fast link needs.
constexpr int kSmallLevel = 6, kLargeLevel = 1;
constexpr std::uint64_t kSmallBytes = 16 << 20;  // of literals so far
constexpr std::size_t kSampleBytes = 16 * 1024;
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

// What one lane needs to encode literals by itself. Those that it packs in one batch are one zstd frame, each flushed to its end, so that a
// later one may refer to the text of those before.
struct DeltaEncoder::Lane {
  explicit Lane(const DeltaSource& target) : source(target) {}

  void encode(std::span<Piece> pieces, bool compress, int level) {
    Piece* last = nullptr;
    for (Piece& piece : pieces) {
      piece.packs = piece.op.kind == DeltaOp::Kind::literal && compress && pays(piece.op);
      if (piece.packs) last = &piece;
    }
    if (last != nullptr && !begin_frame(level)) return status = fail(Error::Code::full, "no memory to compress"), void();
    for (Piece& piece : pieces) {
      if (piece.op.kind == DeltaOp::Kind::literal && status) encode(piece, &piece == last);
    }
  }

  bool begin_frame(int level) {
    if (!zstd) zstd.reset(ZSTD_createCCtx());
    if (!zstd) return false;
    ZSTD_CCtx_reset(zstd.get(), ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_windowLog, kDeltaWindowLog);
    return true;
  }

  // Whether some bytes out of its middle can be made shorter, by a sixteenth at least.
  bool pays(const DeltaOp& op) {
    if (op.bytes < kCompressFromBytes) return false;
    const std::size_t bytes = std::min(static_cast<std::size_t>(op.bytes), kSampleBytes);
    const BytesView sample = fetch(op.offset + (op.bytes - bytes) / 2, bytes);
    if (!status) return false;
    if (!sampler) sampler.reset(ZSTD_createCCtx());
    packed.resize(bytes - bytes / 16);
    return sampler && ZSTD_isError(ZSTD_compressCCtx(sampler.get(), packed.data(), packed.size(), sample.data(), sample.size(), 1)) == 0;
  }

  void encode(Piece& piece, bool last) {
    const auto bytes = static_cast<std::size_t>(piece.op.bytes);
    const BytesView literal = fetch(piece.op.offset, bytes);
    if (!status) return;
    Writer head;
    if (!piece.packs) {
      head.varint(op_code(DeltaCode::literal, bytes));
      piece.encoded.assign(head.data()).append(literal);
      return;
    }
    packed.resize(ZSTD_compressBound(bytes));
    ZSTD_inBuffer in{literal.data(), literal.size(), 0};
    ZSTD_outBuffer out{packed.data(), packed.size(), 0};
    const std::size_t left = ZSTD_compressStream2(zstd.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_flush);
    if (left != 0 || out.pos > bytes + kPackedExcess) return status = fail(Error::Code::invalid, "zstd packs to more than it says"), void();
    head.varint(op_code(DeltaCode::literal_zstd, bytes)), head.varint(out.pos);
    piece.encoded.assign(head.data()).append(packed.data(), out.pos);
  }

  // Not by way of a SourceWindow: literals may lie far apart, and reading ahead would read most of the file
  // again.
  BytesView fetch(std::uint64_t offset, std::size_t bytes) {
    if (source.view.data() != nullptr) return source.view.substr(static_cast<std::size_t>(offset), bytes);
    raw.resize(bytes);
    if (status) status = read_exactly(source.read, offset, raw);
    return raw;
  }

  const DeltaSource& source;
  Status status;
  Bytes raw;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd, sampler;
  Bytes packed;
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
    lanes_[lane]->encode(std::span(batch_).subspan(from, to - from), options_.compress,
                         stats_.literal_bytes <= kSmallBytes ? kSmallLevel : kLargeLevel);
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

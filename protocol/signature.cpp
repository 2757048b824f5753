#include "protocol/signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>

#include "protocol/codec.h"
#include "protocol/signature_weak.h"

namespace syncline {
namespace {

constexpr BytesView kMagic{"SLS\x01", 4};
constexpr std::size_t kHeaderBytesMax = 4 + 4 + 10 + Hash128::size;
constexpr std::size_t kBytesPerBlock = sizeof(std::uint32_t) + Hash128::size;
constexpr std::size_t kBlocksMax = (limits::signature_bytes - kHeaderBytesMax) / kBytesPerBlock;
constexpr std::size_t kPieceBytes =
    64 * 1024;  // hashed twice: as part of the file and as blocks; should stay in L1/L2

bool is_block_size(std::uint32_t bytes) {
  return std::has_single_bit(bytes) && bytes >= limits::delta_block_bytes_min &&
         bytes <= limits::delta_block_bytes_max;
}

std::uint64_t blocks_of(std::uint64_t file_bytes, std::uint32_t block_bytes) {
  return file_bytes / block_bytes + (file_bytes % block_bytes != 0 ? 1 : 0);
}

}  // namespace

std::uint32_t Signature::block_length(std::size_t block) const {
  assert(block < blocks());
  const std::uint64_t left = file_bytes - std::uint64_t{block} * block_bytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(left, block_bytes));
}

std::uint32_t signature_block_bytes(std::uint64_t file_bytes) {
  std::uint32_t bytes = limits::delta_block_bytes;
  while (bytes < limits::delta_block_bytes_max && blocks_of(file_bytes, bytes) > kBlocksMax) bytes *= 2;
  return bytes;
}

SignatureBuilder::SignatureBuilder(const HashKey& key, std::uint32_t block_bytes) : key_(key), file_(key) {
  assert(is_block_size(block_bytes));
  out_.block_bytes = block_bytes;
}

void SignatureBuilder::update(BytesView piece) {
  out_.file_bytes += piece.size();
  while (!piece.empty()) {
    const BytesView part = piece.substr(0, kPieceBytes);
    file_.update(part);
    add_blocks(part);
    piece.remove_prefix(part.size());
  }
}

void SignatureBuilder::add_blocks(BytesView piece) {
  if (!partial_.empty()) {
    const BytesView missing = piece.substr(0, out_.block_bytes - partial_.size());
    partial_.append(missing);
    piece.remove_prefix(missing.size());
    if (partial_.size() < out_.block_bytes) return;
    add_block(partial_);
    partial_.clear();
  }
  for (; piece.size() >= out_.block_bytes; piece.remove_prefix(out_.block_bytes)) {
    add_block(piece.substr(0, out_.block_bytes));
  }
  partial_ = piece;
}

void SignatureBuilder::add_block(BytesView block) {
  if (out_.blocks() == kBlocksMax) over_limit_ = true;
  if (over_limit_) return;
  out_.weak.push_back(weak_sum(block));
  out_.strong.push_back(key_.hash(block));
}

Result<Signature> SignatureBuilder::finish() {
  if (!partial_.empty()) add_block(partial_);
  if (over_limit_ || out_.file_bytes > limits::file_bytes) {
    return fail(Error::Code::full,
                fmt::format("a signature of {} bytes in blocks of {} would exceed {} bytes", out_.file_bytes,
                            out_.block_bytes, limits::signature_bytes));
  }
  out_.file_hash = file_.digest();
  return std::move(out_);
}

Bytes encode_signature(const Signature& signature) {
  assert(signature.weak.size() == signature.strong.size() && signature.blocks() <= kBlocksMax);
  assert(blocks_of(signature.file_bytes, signature.block_bytes) == signature.blocks());
  Writer w;
  w.raw(kMagic), w.u32(signature.block_bytes), w.varint(signature.file_bytes), w.id(signature.file_hash);
  for (const std::uint32_t weak : signature.weak) w.u32(weak);
  for (const Hash128& strong : signature.strong) w.id(strong);
  return w.take();
}

Result<Signature> decode_signature(BytesView encoded) {
  const auto malformed = [] { return fail(Error::Code::invalid, "malformed block signature"); };
  if (encoded.size() > limits::signature_bytes) return malformed();
  Reader r(encoded);
  if (r.raw(kMagic.size()) != kMagic) return malformed();
  Signature out;
  out.block_bytes = r.u32();
  out.file_bytes = r.varint();
  out.file_hash = r.id<Hash128>();
  if (!r.ok() || !is_block_size(out.block_bytes) || out.file_bytes > limits::file_bytes) return malformed();
  const std::uint64_t blocks = blocks_of(out.file_bytes, out.block_bytes);
  if (blocks > kBlocksMax || r.left() != blocks * kBytesPerBlock) return malformed();
  out.weak.resize(blocks), out.strong.resize(blocks);
  for (std::uint32_t& weak : out.weak) weak = r.u32();
  for (Hash128& strong : out.strong) strong = r.id<Hash128>();
  return out;
}

}  // namespace syncline

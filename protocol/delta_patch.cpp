#include "protocol/delta_patch.h"

#include <zstd.h>

#include <algorithm>

#include "protocol/codec.h"
#include "protocol/delta_encode.h"

namespace syncline {
namespace {

constexpr std::size_t kOperationBytesMax = 20;  // two varints

tl::unexpected<Error> malformed(const char* why) {
  return fail(Error::Code::invalid, std::string("malformed delta: ") + why);
}

std::size_t whole_varints(BytesView raw) {
  return static_cast<std::size_t>(
      std::count_if(raw.begin(), raw.end(), [](char c) { return (c & 0x80) == 0; }));
}

}  // namespace

struct DeltaPatcher::Unpacker {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  Unpacker() { ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kDeltaWindowLog); }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;
  ~Unpacker() { ZSTD_freeDCtx(context); }

  // The next bytes of the frames, all of them; 0 where they are no such, or make more than there is room for.
  std::size_t unpack(BytesView packed, std::span<char> into) {
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    while (in.pos < in.size) {
      const std::size_t read = in.pos, made = out.pos;
      if (ZSTD_isError(ZSTD_decompressStream(context, &out, &in)) != 0 || (in.pos == read && out.pos == made)) return 0;
    }
    return out.pos;
  }
};

DeltaPatcher::DeltaPatcher(const DeltaHeader& expected, ReadAt base, PatchOutput output, const HashKey* key)
    : expected_(expected), base_(std::move(base)), output_(std::move(output)) {
  if (key != nullptr) hasher_.emplace(*key);
}
DeltaPatcher::~DeltaPatcher() = default;

Status DeltaPatcher::update(BytesView piece) {
  while (failed_ && !piece.empty()) failed_ = step(piece);
  return failed_;
}

Status DeltaPatcher::step(BytesView& piece) {
  switch (state_) {
    case State::header:
      return read_header(piece);
    case State::operation:
      return read_operation(piece);
    case State::literal:
      return read_literal(piece);
    case State::packed:
      return read_packed(piece);
    case State::ended:
      break;
  }
  return malformed("bytes after its end");
}

// The header's length shows only as it is read; so does an operation's: both grow byte by byte, and are
// short.
Status DeltaPatcher::read_header(BytesView& piece) {
  held_.push_back(piece.front());
  piece.remove_prefix(1);
  if (held_.size() <= kDeltaMagic.size() && kDeltaMagic.substr(0, held_.size()) != held_)
    return malformed("not a delta");
  if (held_.size() > kDeltaHeaderBytesMax) return malformed("header");
  const Result<DeltaHeader> header = peek_delta_header(held_);
  if (!header) return {};
  if (*header != expected_) return malformed("not the one that was asked for");
  held_.clear();
  state_ = State::operation;
  return {};
}

Status DeltaPatcher::read_operation(BytesView& piece) {
  held_.push_back(piece.front());
  piece.remove_prefix(1);
  const std::size_t have = whole_varints(held_);
  if (have == 0) return held_.size() < kOperationBytesMax / 2 ? Status{} : malformed("operation");
  Reader r(held_);
  const std::uint64_t code = r.varint();
  const auto kind = static_cast<DeltaCode>(code & 3);
  const std::size_t want = kind == DeltaCode::copy || kind == DeltaCode::literal_zstd ? 2 : 1;
  if (have < want) return r.ok() && held_.size() < kOperationBytesMax ? Status{} : malformed("operation");
  const std::uint64_t argument = want == 2 ? r.varint() : 0;
  if (!r.done()) return malformed("operation");
  held_.clear();
  return start_operation(code, argument);
}

Status DeltaPatcher::start_operation(std::uint64_t code, std::uint64_t argument) {
  bytes_ = code >> 2;
  const auto kind = static_cast<DeltaCode>(code & 3);
  if (kind == DeltaCode::end) {
    if (bytes_ != 0 || written_ != expected_.target_bytes) return malformed("its end is not the target's");
    state_ = State::ended;
    return {};
  }
  if (bytes_ == 0 || bytes_ > expected_.target_bytes - written_) return malformed("longer than the target");
  if (kind == DeltaCode::copy) {
    const auto moved = static_cast<std::int64_t>(argument >> 1) ^ -static_cast<std::int64_t>(argument & 1);
    return copy(base_at_ + static_cast<std::uint64_t>(moved),
                bytes_);  // a wrong sum wraps and is out of the base
  }
  if (bytes_ > limits::delta_chunk_bytes) return malformed("literal too long");
  base_at_ += bytes_;
  if (kind == DeltaCode::literal) {
    state_ = State::literal;
    return {};
  }
  if (argument == 0 || argument > bytes_ + kPackedExcess) return malformed("literal packed to more than its length");
  packed_bytes_ = static_cast<std::size_t>(argument);
  state_ = State::packed;
  return {};
}

Status DeltaPatcher::read_literal(BytesView& piece) {
  const BytesView part =
      piece.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes_, piece.size())));
  piece.remove_prefix(part.size());
  bytes_ -= part.size();
  if (bytes_ == 0) state_ = State::operation;
  return put(part);
}

Status DeltaPatcher::read_packed(BytesView& piece) {
  const BytesView part = piece.substr(0, packed_bytes_ - held_.size());
  piece.remove_prefix(part.size());
  held_.append(part);
  if (held_.size() < packed_bytes_) return {};
  if (!unpacker_) unpacker_ = std::make_unique<Unpacker>();
  buffer_.resize(limits::range_bytes);
  const std::size_t got = unpacker_->unpack(held_, {buffer_.data(), static_cast<std::size_t>(bytes_)});
  if (got != bytes_) return malformed("packed literal");
  held_.clear();
  state_ = State::operation;
  return put({buffer_.data(), got});
}

Status DeltaPatcher::copy(std::uint64_t offset, std::uint64_t bytes) {
  if (offset > expected_.base_bytes || bytes > expected_.base_bytes - offset)
    return malformed("copy from outside the base");
  base_at_ = offset + bytes;
  buffer_.resize(limits::range_bytes);
  while (bytes > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, buffer_.size()));
    if (const Status status = read_exactly(base_, offset, std::span(buffer_).first(part)); !status)
      return status;
    if (const Status status = put({buffer_.data(), part}); !status) return status;
    offset += part, bytes -= part;
  }
  return {};
}

Status DeltaPatcher::put(BytesView bytes) {
  written_ += bytes.size();
  if (hasher_) hasher_->update(bytes);
  return output_(bytes);
}

Status DeltaPatcher::finish() {
  if (failed_ && state_ != State::ended) failed_ = malformed("cut short");
  if (failed_ && hasher_ && hasher_->digest() != expected_.target_hash) {
    failed_ =
        fail(Error::Code::invalid, "the patched content has another hash than announced: the base differs");
  }
  return failed_;
}

Status apply_delta(BytesView delta, const DeltaHeader& expected, const ReadAt& base,
                   const PatchOutput& output, const HashKey& key) {
  DeltaPatcher patcher(expected, base, output, &key);
  if (const Status status = patcher.update(delta); !status) return status;
  return patcher.finish();
}

}  // namespace syncline

#include "protocol/packing.h"

#include <zstd.h>

#include <memory>
#include <span>

#include "protocol/codec.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr char kPacked = 0;  // where other messages have their type
constexpr int kLevel = 3, kSampleLevel = 1;
constexpr std::size_t kMin = 512;         // shorter messages are one datagram either way
constexpr std::size_t kSample = 8 * 1024;

// Gains less than an eighth: not worth the receiver's time.
bool pays(std::size_t packed, std::size_t raw) { return packed < raw - raw / 8; }

// One for each thread that compresses: making one costs more than a small message.
std::size_t compress(std::span<char> into, BytesView from, int level) {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  thread_local const std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  if (!context) return 0;
  const std::size_t size =
      ZSTD_compressCCtx(context.get(), into.data(), into.size(), from.data(), from.size(), level);
  return ZSTD_isError(size) ? 0 : size;
}

// From the middle, where contents are rather than records.
bool sample_pays(BytesView message) {
  if (message.size() <= kSample) return true;
  char out[ZSTD_COMPRESSBOUND(kSample)];
  const std::size_t size = compress(out, message.substr((message.size() - kSample) / 2, kSample), kSampleLevel);
  return size > 0 && pays(size, kSample);
}

}  // namespace

Bytes pack(Bytes message) {
  if (message.size() < kMin || message.size() > limits::message_bytes || !sample_pays(message)) return message;
  Writer w;
  w.u8(kPacked), w.varint(message.size());
  Bytes out = w.take();
  const std::size_t head = out.size();
  out.resize(head + message.size() - message.size() / 8);  // where it does not fit it does not pay
  const std::size_t size = compress({out.data() + head, out.size() - head}, message, kLevel);
  if (size == 0) return message;
  out.resize(head + size);
  return out;
}

bool is_packed(BytesView message) { return !message.empty() && message.front() == kPacked; }

Result<Bytes> unpack(BytesView packed) {
  Reader r(packed);
  r.u8();
  const std::size_t size = r.count(limits::message_bytes);
  const BytesView frame = r.raw(r.left());
  const auto malformed = [] { return fail(Error::Code::invalid, "malformed packed message"); };
  if (!is_packed(packed) || !r.ok() || ZSTD_getFrameContentSize(frame.data(), frame.size()) != size) return malformed();
  Bytes out(size, '\0');
  if (ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size()) != size) return malformed();
  return out;
}

}  // namespace syncline

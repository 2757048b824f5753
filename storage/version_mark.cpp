#include "storage/version_mark.h"

#include "protocol/codec.h"

namespace syncline {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kTagBytes = 8;

Bytes tag(const HashKey& key, const Writer& of) { return Bytes(key.hash(of.data()).view().substr(0, kTagBytes)); }

Bytes owner_tag(const HashKey& key, std::string_view path, const Dot& dot, Hlc hlc) {
  Writer w;
  w.raw(path), w.id(dot.actor), w.u64(dot.seq), w.u64(hlc.value);
  return tag(key, w);
}

Bytes attribute_tag(const HashKey& key, const Content& content) {
  Writer w;
  w.u32(content.mode), w.u64(static_cast<std::uint64_t>(content.mtime_ns));
  return tag(key, w);
}

Bytes content_tag(const HashKey& key, const Content& content) {
  Writer w;
  w.u8(static_cast<std::uint8_t>(content.kind)), w.id(content.hash), w.u64(content.size);
  return tag(key, w);
}

}  // namespace

Bytes encode_mark(const HashKey& key, std::string_view path, const Dot& dot, Hlc hlc, const Content& content) {
  Writer w;
  w.u8(kFormat), w.id(dot.actor), w.u64(dot.seq), w.u64(hlc.value);
  w.raw(owner_tag(key, path, dot, hlc)), w.raw(attribute_tag(key, content)), w.raw(content_tag(key, content));
  return w.take();
}

std::optional<VersionMark> decode_mark(const HashKey& key, std::string_view path, BytesView mark, const Content& found) {
  Reader r(mark);
  const std::uint8_t format = r.u8();
  VersionMark out;
  out.dot.actor = r.id<ActorId>();
  out.dot.seq = r.u64();
  out.hlc.value = r.u64();
  const BytesView owner = r.raw(kTagBytes), attributes = r.raw(kTagBytes), content = r.raw(kTagBytes);
  if (!r.done() || format != kFormat || owner != owner_tag(key, path, out.dot, out.hlc)) return std::nullopt;
  out.untouched = attributes == attribute_tag(key, found);
  out.whole = content == content_tag(key, found);
  return out;
}

}  // namespace syncline

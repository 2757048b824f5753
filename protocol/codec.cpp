#include "protocol/codec.h"

#include "protocol/limits.h"

namespace syncline {

void Writer::varint(std::uint64_t v) {
  while (v >= 0x80) {
    u8(static_cast<std::uint8_t>(v | 0x80));
    v >>= 7;
  }
  u8(static_cast<std::uint8_t>(v));
}

std::uint8_t Reader::u8() {
  if (in_.empty()) return fail(), std::uint8_t{0};
  const auto v = static_cast<std::uint8_t>(in_.front());
  in_.remove_prefix(1);
  return v;
}

std::uint64_t Reader::fixed(std::size_t size) {
  if (in_.size() < size) return fail(), 0;
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < size; ++i) v |= std::uint64_t{static_cast<std::uint8_t>(in_[i])} << (8 * i);
  in_.remove_prefix(size);
  return v;
}

std::uint64_t Reader::varint() {
  std::uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = u8();
    const std::uint64_t part = byte & 0x7f;
    if (shift == 63 && part > 1) break;  // beyond 64 bits
    v |= part << shift;
    if ((byte & 0x80) == 0) {
      if (byte == 0 && shift > 0) break;  // one value, one encoding: no padding
      return v;
    }
  }
  return fail(), 0;
}

std::size_t Reader::count(std::size_t limit) {
  const std::uint64_t v = varint();
  if (v > limit) return fail(), 0;
  return static_cast<std::size_t>(v);
}

BytesView Reader::raw(std::size_t size) {
  if (in_.size() < size) return fail(), BytesView{};
  const BytesView v = in_.substr(0, size);
  in_.remove_prefix(size);
  return v;
}

BytesView Reader::bytes(std::size_t limit) { return raw(count(limit)); }

void write(Writer& w, const Dot& v) { w.id(v.actor), w.varint(v.seq); }

Dot read_dot(Reader& r) {
  Dot v;
  v.actor = r.id<ActorId>();
  v.seq = r.varint();
  return v;
}

void write(Writer& w, const VersionVector& v) {
  w.varint(v.entries().size());
  for (const auto& e : v.entries()) w.id(e.actor), w.varint(e.seq);
}

VersionVector read_vector(Reader& r, std::size_t limit) {
  VersionVector v;
  ActorId last;
  for (std::size_t n = r.count(limit), i = 0; i < n && r.ok(); ++i) {
    const Dot d = read_dot(r);
    if (d.seq == 0 || (i > 0 && !(last < d.actor))) return r.fail(), VersionVector{};
    last = d.actor;
    v.raise(d);
  }
  return v;
}

void write(Writer& w, const Content& v) {
  w.u8(static_cast<std::uint8_t>(v.kind));
  switch (v.kind) {
    case Kind::deleted:
      break;
    case Kind::file:
      w.id(v.hash), w.varint(v.size), w.varint(v.mode), w.signed_varint(v.mtime_ns);
      break;
    case Kind::directory:
      w.varint(v.mode), w.signed_varint(v.mtime_ns);
      break;
    case Kind::symlink:
      w.bytes(v.target), w.signed_varint(v.mtime_ns);
      break;
    case Kind::value:
      w.bytes(v.target);
      break;
  }
}

static std::uint32_t read_mode(Reader& r) { return static_cast<std::uint32_t>(r.count(07777)); }

Content read_content(Reader& r) {
  Content v;
  const std::uint8_t kind = r.u8();
  if (kind > static_cast<std::uint8_t>(Kind::value)) return r.fail(), v;
  v.kind = static_cast<Kind>(kind);
  switch (v.kind) {
    case Kind::deleted:
      break;
    case Kind::file:
      v.hash = r.id<Hash128>();
      v.size = r.count(limits::file_bytes);
      v.mode = read_mode(r);
      v.mtime_ns = r.signed_varint();
      break;
    case Kind::directory:
      v.mode = read_mode(r), v.mtime_ns = r.signed_varint();
      break;
    case Kind::symlink:
      v.target = r.bytes(limits::symlink_target_bytes), v.mtime_ns = r.signed_varint();
      break;
    case Kind::value:
      v.target = r.bytes(limits::value_bytes);
      break;
  }
  return v;
}

void write(Writer& w, const Record& v) {
  w.varint(v.folder), w.bytes(v.path), write(w, v.content), write(w, v.dot), write(w, v.context),
      w.u64(v.hlc.value);
  w.u8(v.base.is_zero() ? 0 : 1);
  if (!v.base.is_zero()) w.id(v.base);
}

Record read_record(Reader& r) {
  Record v;
  v.folder = static_cast<FolderId>(r.count(UINT32_MAX));
  v.path = r.bytes(limits::path_bytes);
  v.content = read_content(r);
  v.dot = read_dot(r);
  v.context = read_vector(r, limits::context_entries);
  v.hlc.value = r.u64();
  if (r.u8() != 0) v.base = r.id<Hash128>();
  const bool is_value = v.content.kind == Kind::value;
  const bool kind_fits = v.folder == kClusterFolder ? is_value || v.content.kind == Kind::deleted : !is_value;
  if (!is_canonical_path(v.path) || v.dot.seq == 0 || !kind_fits) r.fail();
  return v;
}

void write(Writer& w, const Conflict& v) {
  write(w, v.loser), write(w, v.winner), w.u64(v.detected.value), w.u8(v.resolved ? 1 : 0), write(w, v.dot);
}

Conflict read_conflict(Reader& r) {
  Conflict v;
  v.loser = read_record(r);
  v.winner = read_dot(r);
  v.detected.value = r.u64();
  v.resolved = r.u8() != 0;
  v.dot = read_dot(r);
  if (v.dot.seq == 0) r.fail();
  return v;
}

}  // namespace syncline

#pragma once
#include <concepts>
#include <cstdint>
#include <string>

#include "protocol/bytes.h"
#include "protocol/ids.h"
#include "protocol/record.h"

namespace syncline {

// Appends the wire form of values to a buffer: varint = LEB128 of at most 10 bytes; fixed-width integers
// little-endian; a byte string = varint length, then the bytes. PROTOCOL.md has the whole of it.
class Writer {
 public:
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u32(std::uint32_t v) { fixed(v); }
  void u64(std::uint64_t v) { fixed(v); }
  void varint(std::uint64_t v);
  void signed_varint(std::int64_t v) {  // zigzag
    varint((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
  }
  void bytes(BytesView v) { varint(v.size()), raw(v); }
  void raw(BytesView v) { out_.append(v); }
  template <std::size_t N, class Tag>
  void id(const FixedBytes<N, Tag>& v) {
    raw(v.view());
  }

  const Bytes& data() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  template <std::unsigned_integral T>
  void fixed(T v) {
    for (std::size_t i = 0; i < sizeof v; ++i) u8(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  Bytes out_;
};

// Takes values off the front of a buffer that it does not own. The first malformed or over-long value makes
// the reader fail for good: it then yields zeros, so that a decoder may read to its end and ask ok() once.
class Reader {
 public:
  explicit Reader(BytesView in) : in_(in) {}

  std::uint8_t u8();
  std::uint32_t u32() { return static_cast<std::uint32_t>(fixed(4)); }
  std::uint64_t u64() { return fixed(8); }
  std::uint64_t varint();
  std::int64_t signed_varint() {
    const std::uint64_t v = varint();
    return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
  }
  std::size_t count(std::size_t limit);  // a varint above `limit` is malformed
  BytesView bytes(std::size_t limit);    // borrowed from the input
  BytesView raw(std::size_t size);
  template <class Id>
  Id id() {
    const BytesView v = raw(Id::size);
    return ok_ ? Id::from(v) : Id{};
  }

  void fail() { ok_ = false, in_ = {}; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }  // everything read, nothing malformed
  std::size_t left() const { return in_.size(); }

 private:
  std::uint64_t fixed(std::size_t size);
  BytesView in_;
  bool ok_ = true;
};

// The values of the data model. `read_*` make the reader fail on anything outside protocol/limits.h.
void write(Writer& w, const Dot& v);
void write(Writer& w, const VersionVector& v);
void write(Writer& w, const Content& v);
void write(Writer& w, const Record& v);
void write(Writer& w, const Conflict& v);
Dot read_dot(Reader& r);
VersionVector read_vector(Reader& r, std::size_t limit);
Content read_content(Reader& r);
Record read_record(Reader& r);
Conflict read_conflict(Reader& r);

}  // namespace syncline

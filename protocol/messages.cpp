#include "protocol/messages.h"

#include <fmt/format.h>

#include <utility>

#include "protocol/limits.h"
#include "protocol/packing.h"

namespace syncline {
namespace {

// One pair of functions a message; the type byte is the message's position in the variant, plus one.

void put(Writer& w, const Hello& m) {
  w.varint(m.version), w.bytes(m.name), w.u64(m.wall_ms), w.id(m.actor), w.u8(m.ready), write(w, m.vector);
}
void get(Reader& r, Hello& m) {
  m.version = static_cast<std::uint32_t>(r.count(UINT32_MAX));
  m.name = r.bytes(limits::node_name_bytes);
  m.wall_ms = r.u64();
  m.actor = r.id<ActorId>();
  m.ready = r.u8() != 0;
  m.vector = read_vector(r, limits::vector_entries);
}

void put(Writer& w, const Announce& m) { w.id(m.actor), w.u8(m.ready), write(w, m.vector); }
void get(Reader& r, Announce& m) {
  m.actor = r.id<ActorId>();
  m.ready = r.u8() != 0;
  m.vector = read_vector(r, limits::vector_entries);
}

void put(Writer& w, const Digest& m) { w.id(m.vector_hash); }
void get(Reader& r, Digest& m) { m.vector_hash = r.id<Hash128>(); }

void put(Writer&, const AskVector&) {}
void get(Reader&, AskVector&) {}

void put(Writer& w, const Need& m) {
  w.varint(m.items.size());
  for (const auto& i : m.items) w.id(i.actor), w.varint(i.after);
}
void get(Reader& r, Need& m) {
  for (std::size_t n = r.count(limits::needs_per_message); n > 0 && r.ok(); --n) {
    auto& i = m.items.emplace_back();
    i.actor = r.id<ActorId>();
    i.after = r.varint();
  }
}

void put(Writer& w, const Entries::Item& i) {
  w.u8(static_cast<std::uint8_t>(i.entry.index()));
  std::visit([&w](const auto& entry) { write(w, entry); }, i.entry);
  w.u8(i.attachment ? 1 : 0);
  if (i.attachment) w.u8(static_cast<std::uint8_t>(i.attachment->encoding)), w.bytes(i.attachment->bytes);
}

Encoding get_encoding(Reader& r) {
  const std::uint8_t v = r.u8();
  if (v > static_cast<std::uint8_t>(Encoding::delta)) r.fail();
  return static_cast<Encoding>(v);
}

void get(Reader& r, Entries::Item& i) {
  const std::uint8_t which = r.u8();
  if (which > 1) return r.fail();
  if (which == 0)
    i.entry = read_record(r);
  else
    i.entry = read_conflict(r);
  if (r.u8() == 0) return;
  auto& a = i.attachment.emplace(Entries::Attachment{});
  a.encoding = get_encoding(r);
  a.bytes = r.bytes(limits::inline_content_bytes);
}

const Dot& dot_of(const Entries::Item& i) {
  return std::visit([](const auto& entry) -> const Dot& { return entry.dot; }, i.entry);
}

void put(Writer& w, const Entries& m) {
  w.id(m.actor), w.varint(m.after), w.varint(m.upto), w.varint(m.items.size());
  for (const auto& i : m.items) put(w, i);
}
void get(Reader& r, Entries& m) {
  m.actor = r.id<ActorId>();
  m.after = r.varint();
  m.upto = r.varint();
  std::uint64_t last = m.after;
  for (std::size_t n = r.count(limits::entries_per_message); n > 0 && r.ok(); --n) {
    get(r, m.items.emplace_back());
    const Dot& dot = dot_of(m.items.back());
    if (dot.actor != m.actor || dot.seq <= last || dot.seq > m.upto) return r.fail();
    last = dot.seq;
  }
  if (m.upto < m.after) r.fail();
}

void put(Writer& w, const Want& m) {
  w.varint(m.items.size());
  for (const auto& i : m.items) {
    w.varint(i.id), w.varint(i.folder), w.bytes(i.path), w.id(i.hash), w.varint(i.size);
    w.u8(static_cast<std::uint8_t>(i.encoding));
    if (i.encoding == Encoding::delta) w.id(i.base);
    w.varint(i.offset), w.varint(i.length);
  }
}
void get(Reader& r, Want& m) {
  for (std::size_t n = r.count(limits::wants_per_message); n > 0 && r.ok(); --n) {
    auto& i = m.items.emplace_back();
    i.id = r.varint();
    i.folder = static_cast<FolderId>(r.count(UINT32_MAX));
    i.path = r.bytes(limits::path_bytes);
    i.hash = r.id<Hash128>();
    i.size = r.count(limits::file_bytes);
    i.encoding = get_encoding(r);
    if (i.encoding == Encoding::delta) i.base = r.id<Hash128>();
    i.offset = r.count(limits::file_bytes);
    i.length = static_cast<std::uint32_t>(r.count(limits::range_bytes));
    if (i.length == 0 || !is_canonical_path(i.path)) return r.fail();
  }
}

void put(Writer& w, const Piece& m) { w.varint(m.id), w.varint(m.total), w.bytes(m.bytes); }
void get(Reader& r, Piece& m) {
  m.id = r.varint();
  m.total = r.count(limits::file_bytes);
  m.bytes = r.bytes(limits::range_bytes);
}

void put(Writer& w, const Unavailable& m) { w.varint(m.id); }
void get(Reader& r, Unavailable& m) { m.id = r.varint(); }

void put(Writer& w, const Probe& m) {
  w.varint(m.id), w.varint(m.folder), w.bytes(m.path), write(w, m.dot), w.u64(m.hlc.value), w.u8(m.durable);
}
void get(Reader& r, Probe& m) {
  m.id = r.varint();
  m.folder = static_cast<FolderId>(r.count(UINT32_MAX));
  m.path = r.bytes(limits::path_bytes);
  m.dot = read_dot(r);
  m.hlc.value = r.u64();
  m.durable = r.u8() != 0;
  if (!is_canonical_path(m.path)) r.fail();
}

void put(Writer& w, const ProbeAnswer& m) { w.varint(m.id), w.u8(m.never ? 1 : 0); }
void get(Reader& r, ProbeAnswer& m) { m.id = r.varint(), m.never = r.u8() != 0; }

void put(Writer& w, const Refusal& m) { w.id(m.actor), w.varint(m.ahead_ms); }
void get(Reader& r, Refusal& m) {
  m.actor = r.id<ActorId>();
  m.ahead_ms = r.varint();
}

void put(Writer& w, const Lookup& m) { w.varint(m.id), w.varint(m.folder), w.bytes(m.path); }
void get(Reader& r, Lookup& m) {
  m.id = r.varint();
  m.folder = static_cast<FolderId>(r.count(UINT32_MAX));
  m.path = r.bytes(limits::path_bytes);
  if (!is_canonical_path(m.path)) r.fail();
}

void put(Writer& w, const LookupAnswer& m) {
  w.varint(m.id), w.u8(static_cast<std::uint8_t>(m.what));
  if (m.what == LookupAnswer::What::live) write(w, m.dot);
}
void get(Reader& r, LookupAnswer& m) {
  m.id = r.varint();
  const std::uint8_t what = r.u8();
  if (what > static_cast<std::uint8_t>(LookupAnswer::What::unsure)) return r.fail();
  m.what = static_cast<LookupAnswer::What>(what);
  if (m.what != LookupAnswer::What::live) return;
  m.dot = read_dot(r);
  if (m.dot.seq == 0) r.fail();
}

void put(Writer& w, const Settle& m) {
  w.varint(m.id), w.varint(m.folders.size());
  for (const FolderId folder : m.folders) w.u32(folder);
}
void get(Reader& r, Settle& m) {
  m.id = r.varint();
  for (std::size_t n = r.count(limits::folders); n > 0 && r.ok(); --n) m.folders.push_back(r.u32());
}

void put(Writer& w, const Settled& m) { w.varint(m.id); }
void get(Reader& r, Settled& m) { m.id = r.varint(); }

constexpr const char* kNames[] = {"Hello",       "Announce", "Digest", "AskVector",   "Need",
                                  "Entries",     "Want",     "Piece",  "Unavailable", "Probe",
                                  "ProbeAnswer", "Refusal",  "Lookup", "LookupAnswer", "Settle",
                                  "Settled"};
static_assert(std::size(kNames) == std::variant_size_v<Message>);

template <std::size_t... I>
Message blank(std::size_t index, std::index_sequence<I...>) {
  Message m;
  ((I == index ? void(m.emplace<I>()) : void()), ...);
  return m;
}

}  // namespace

Bytes encode(const Message& message) {
  Writer w;
  w.u8(static_cast<std::uint8_t>(message.index() + 1));
  std::visit([&w](const auto& m) { put(w, m); }, message);
  return w.take();
}

static Result<Message> decode_plain(BytesView bytes) {
  Reader r(bytes);
  const std::size_t index = std::size_t{r.u8()} - 1;
  if (index >= std::variant_size_v<Message>) return fail(Error::Code::invalid, "message of an unknown type");
  Message m = blank(index, std::make_index_sequence<std::variant_size_v<Message>>{});
  std::visit([&r](auto& v) { get(r, v); }, m);
  if (!r.done())
    return fail(Error::Code::invalid,
                fmt::format("malformed {} message of {} bytes", kNames[index], bytes.size()));
  return m;
}

Result<Message> decode(BytesView bytes) {
  if (bytes.size() > limits::message_bytes) return fail(Error::Code::invalid, "message over its limit");
  if (!is_packed(bytes)) return decode_plain(bytes);
  return unpack(bytes).and_then([](const Bytes& plain) { return decode_plain(plain); });
}

}  // namespace syncline

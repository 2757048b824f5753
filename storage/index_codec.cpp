#include "storage/index_codec.h"

#include <sodium/crypto_generichash.h>

#include <algorithm>
#include <cassert>

#include "protocol/codec.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

// Flags of an encoded entry.
enum : std::uint8_t {
  kLive = 1,
  kDisk = 2,
  kSameVersion = 4,  // disk's dot, context and HLC are those of live
  kSameContent = 8,  // so is its content
  kBase = 16,        // live has a base
  kPlainPrint = 32,  // the fingerprint's size and mtime are those of disk's content
  kRacy = 64,        // its ctime is 0
  kHeld = 128,       // the entry is held
};

void append_folder(Bytes& key, FolderId folder) {
  Writer w;
  w.varint(folder);
  key += w.data();
}

void append_seq(Bytes& key, std::uint64_t seq) {  // big-endian: keys in the order of the numbers
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(seq >> shift));
}

void append_dot(Bytes& key, const Dot& dot) {
  key += dot.actor.view();
  append_seq(key, dot.seq);
}

std::uint8_t flags_of(const PathEntry& e) {
  std::uint8_t flags = 0;
  if (e.live) flags |= kLive;
  if (e.live && !e.live->base.is_zero()) flags |= kBase;
  if (e.held != Held::no) flags |= kHeld;
  if (!e.disk) return flags;
  flags |= kDisk;
  const OnDisk& d = *e.disk;
  if (e.live && d.dot == e.live->dot && d.context == e.live->context && d.hlc == e.live->hlc)
    flags |= kSameVersion;
  if (e.live && d.state.content == e.live->content) flags |= kSameContent;
  if (d.state.print.size == d.state.content.size && d.state.print.mtime_ns == d.state.content.mtime_ns)
    flags |= kPlainPrint;
  if (d.state.print.ctime_ns == 0) flags |= kRacy;
  return flags;
}

// Differences of times wrap, so that any two have one.
std::int64_t minus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}
std::int64_t plus(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

void write_disk(Writer& w, std::uint8_t flags, const OnDisk& d) {
  if (!(flags & kSameVersion)) write(w, d.dot), write(w, d.context), w.u64(d.hlc.value);
  if (!(flags & kSameContent)) write(w, d.state.content);
  const Fingerprint& print = d.state.print;
  w.varint(print.inode);
  if (!(flags & kPlainPrint)) w.varint(print.size), w.signed_varint(print.mtime_ns);
  if (!(flags & kRacy)) w.signed_varint(minus(print.ctime_ns, print.mtime_ns));
}

OnDisk read_disk(Reader& r, std::uint8_t flags, const std::optional<Record>& live) {
  OnDisk d;
  if (flags & kSameVersion) {
    d.dot = live->dot, d.context = live->context, d.hlc = live->hlc;
  } else {
    d.dot = read_dot(r), d.context = read_vector(r, limits::context_entries), d.hlc.value = r.u64();
  }
  d.state.content = (flags & kSameContent) ? live->content : read_content(r);
  Fingerprint& print = d.state.print;
  print.inode = r.varint();
  print.size = (flags & kPlainPrint) ? d.state.content.size : r.varint();
  print.mtime_ns = (flags & kPlainPrint) ? d.state.content.mtime_ns : r.signed_varint();
  print.ctime_ns = (flags & kRacy) ? 0 : plus(print.mtime_ns, r.signed_varint());
  return d;
}

}  // namespace

Bytes path_key(std::string_view path) {
  Bytes key(path.substr(0, path.size() < kPathKeyBytes ? path.size() : kPathHeadBytes));
  std::replace(key.begin(), key.end(), '/', '\0');
  if (path.size() < kPathKeyBytes) return key;
  unsigned char hash[kPathHashBytes];
  crypto_generichash(hash, sizeof hash, reinterpret_cast<const unsigned char*>(path.data()), path.size(),
                     nullptr, 0);
  return key.append(reinterpret_cast<const char*>(hash), sizeof hash);
}

std::optional<std::string> path_of(BytesView key, BytesView stored) {
  std::string path(stored);
  if (key.size() < kPathKeyBytes) {
    if (!stored.empty()) return std::nullopt;
    path = key;
    std::replace(path.begin(), path.end(), '\0', '/');
  } else if (path_key(stored) != key) {
    return std::nullopt;
  }
  return is_canonical_path(path) ? std::optional(std::move(path)) : std::nullopt;
}

Bytes folder_key(Table table, FolderId folder) {
  Bytes key(1, static_cast<char>(table));
  append_folder(key, folder);
  return key;
}

Bytes entry_key(Table table, FolderId folder, std::string_view path) {
  return folder_key(table, folder).append(path_key(path));
}

Bytes log_key(const ActorId& actor, std::uint64_t seq) {
  Bytes key = id_key(Table::log, actor);
  append_seq(key, seq);
  return key;
}

Bytes content_key(const Hash128& hash, FolderId folder) {
  Bytes key = id_key(Table::content, hash);
  append_folder(key, folder);
  return key;
}

Bytes conflict_key(Table table, FolderId folder, std::string_view path) {
  return entry_key(table, folder, path).append(2, '\0');  // no path goes on like this: names are not empty
}

Bytes conflict_key(Table table, FolderId folder, std::string_view path, const Dot& loser) {
  Bytes key = conflict_key(table, folder, path);
  append_dot(key, loser);
  return key;
}

Bytes loser_key(const Hash128& hash) { return id_key(Table::loser, hash); }

Bytes loser_key(const Hash128& hash, const Dot& loser) {
  Bytes key = loser_key(hash);
  append_dot(key, loser);
  return key;
}

Bytes name_key(Table table, std::string_view name) { return Bytes(1, static_cast<char>(table)).append(name); }

Bytes prefix_end(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

std::uint64_t seq_of(BytesView key) {
  std::uint64_t seq = 0;
  for (const char c : key.substr(1 + ActorId::size)) seq = seq << 8 | static_cast<std::uint8_t>(c);
  return seq;
}

std::optional<EntryKey> parse_entry_key(BytesView key) {
  Reader r(key);
  const char table = static_cast<char>(r.u8());
  if (table != static_cast<char>(Table::live) && table != static_cast<char>(Table::dead)) return std::nullopt;
  EntryKey out;
  out.folder = static_cast<FolderId>(r.count(UINT32_MAX));
  out.path_key = r.raw(r.left());
  return r.ok() ? std::optional(out) : std::nullopt;
}

Bytes encode_entry(std::string_view path, const PathEntry& e) {
  assert(!e.live || e.live->path == path);
  const std::uint8_t flags = flags_of(e);
  Writer w;
  w.u8(flags);
  if (path.size() >= kPathKeyBytes) w.bytes(path);
  if (e.live) {
    write(w, e.live->content), write(w, e.live->dot), write(w, e.live->context), w.u64(e.live->hlc.value);
    if (flags & kBase) w.id(e.live->base);
  }
  if (e.disk) write_disk(w, flags, *e.disk);
  if (flags & kHeld) w.u8(static_cast<std::uint8_t>(e.held));
  return w.take();
}

std::optional<NamedEntry> decode_entry(FolderId folder, BytesView key, BytesView value) {
  Reader r(value);
  const std::uint8_t flags = r.u8();
  const bool needs_live = (flags & (kSameVersion | kSameContent | kBase)) != 0;
  const bool needs_disk = (flags & (kSameVersion | kSameContent | kPlainPrint | kRacy)) != 0;
  if ((needs_live && !(flags & kLive)) || (needs_disk && !(flags & kDisk))) return std::nullopt;
  auto path = path_of(key, key.size() < kPathKeyBytes ? BytesView{} : r.bytes(limits::path_bytes));
  if (!path) return std::nullopt;
  NamedEntry out;
  if (flags & kLive) {
    Record& live = out.entry.live.emplace();
    live.folder = folder, live.path = *path;
    live.content = read_content(r), live.dot = read_dot(r),
    live.context = read_vector(r, limits::context_entries);
    live.hlc.value = r.u64();
    if (flags & kBase) live.base = r.id<Hash128>();
  }
  if (flags & kDisk) out.entry.disk = read_disk(r, flags, out.entry.live);
  if (flags & kHeld) {
    out.entry.held = static_cast<Held>(r.u8());
    if (out.entry.held == Held::no || out.entry.held > Held::kept) return std::nullopt;
  }
  out.path = *std::move(path);
  return r.done() ? std::optional(std::move(out)) : std::nullopt;
}

Bytes encode_target(const LogTarget& target) {
  Writer w;
  w.varint(target.folder), w.bytes(target.path);
  if (target.loser.seq != 0) write(w, target.loser);
  return w.take();
}

std::optional<LogTarget> decode_target(BytesView value) {
  Reader r(value);
  LogTarget out;
  out.folder = static_cast<FolderId>(r.count(UINT32_MAX));
  out.path = r.bytes(limits::path_bytes);
  if (r.left() > 0) out.loser = read_dot(r);
  return r.done() && is_canonical_path(out.path) ? std::optional(std::move(out)) : std::nullopt;
}

Bytes encode_counts(const IndexCounts& c) {
  Writer w;
  for (const std::uint64_t v :
       {c.files, c.bytes, c.directories, c.symlinks, c.tombstones, c.pending, c.open_conflicts, c.unapplied,
        c.unpublished})
    w.varint(v);
  return w.take();
}

std::optional<IndexCounts> decode_counts(BytesView value) {
  Reader r(value);
  IndexCounts c;
  for (std::uint64_t* v :
       {&c.files, &c.bytes, &c.directories, &c.symlinks, &c.tombstones, &c.pending, &c.open_conflicts}) {
    *v = r.varint();
  }
  if (r.left() > 0) c.unapplied = r.varint(), c.unpublished = r.varint();  // schema 1 ends before them
  return r.done() ? std::optional(c) : std::nullopt;
}

}  // namespace syncline

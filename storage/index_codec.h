#pragma once
#include <optional>
#include <string>
#include <variant>

#include "storage/index.h"

namespace syncline {

// Keys and values of the index (FORMAT.md, "Tables"). Every key begins with the letter of its table.
enum class Table : char {
  live = 'r',  // folder, path -> PathEntry whose live version is no tombstone
  dead = 't',  // folder, path -> every other PathEntry. Apart, so that "is anything alive below?" is one look
  pending = 'p',        // folder, path
  held = 'q',           // folder, path
  distrusted = 's',     // folder, path
  log = 'g',            // actor, seq -> what has that dot
  content = 'h',        // hash, folder, path: by what is on disk
  open_conflict = 'k',  // folder, path, loser's dot -> Conflict
  resolved_conflict = 'K',
  loser = 'x',      // hash, loser's dot: open conflicts by the bytes they keep
  counts = 'c',     // folder -> IndexCounts
  vector = 'v',     // actor -> seq
  signature = 'b',  // hash -> Signature
  meta = 'm',       // name -> value
  schema = 'i',     // -> u32
};

// A path as part of a key: '/' becomes 0, so that keys sort as a walk meets the names. A path of
// kPathKeyBytes or more is cut, and a hash of the whole path (BLAKE2b: nobody can make two collide) fills the
// key up to exactly that length; the value then holds the path.
inline constexpr std::size_t kPathKeyBytes = 460;
inline constexpr std::size_t kPathHashBytes = 16;
inline constexpr std::size_t kPathHeadBytes = kPathKeyBytes - kPathHashBytes;
Bytes path_key(std::string_view path);
// What a value must carry of its path: all of it if the key has only its hash, else nothing.
inline std::string_view path_in_value(std::string_view path) {
  return path.size() < kPathKeyBytes ? std::string_view{} : path;
}
// The path behind a path key, or nullopt if it makes no sense.
std::optional<std::string> path_of(BytesView path_key, BytesView stored);

Bytes folder_key(Table table, FolderId folder);
Bytes entry_key(Table table, FolderId folder, std::string_view path);
Bytes log_key(const ActorId& actor, std::uint64_t seq);
Bytes content_key(const Hash128& hash, FolderId folder);
Bytes conflict_key(Table table, FolderId folder, std::string_view path);  // of all conflicts of a path
Bytes conflict_key(Table table, FolderId folder, std::string_view path, const Dot& loser);
Bytes loser_key(const Hash128& hash);
Bytes loser_key(const Hash128& hash, const Dot& loser);
template <class Id>
Bytes id_key(Table table, const Id& id) {
  return Bytes(1, static_cast<char>(table)).append(id.view());
}
Bytes name_key(Table table, std::string_view name);
// The smallest byte string above all that begin with `prefix`.
Bytes prefix_end(Bytes prefix);
// The seq at the end of a log key.
std::uint64_t seq_of(BytesView log_key);

// Folder and path of a key of the tables live and dead.
struct EntryKey {
  FolderId folder = 0;
  BytesView path_key;
};
std::optional<EntryKey> parse_entry_key(BytesView key);

Bytes encode_entry(std::string_view path, const PathEntry& entry);
struct NamedEntry {
  std::string path;
  PathEntry entry;
};
std::optional<NamedEntry> decode_entry(FolderId folder, BytesView path_key, BytesView value);

// What a log entry points to: a record by its path, or a conflict by its loser.
struct LogTarget {
  FolderId folder = 0;
  std::string path;
  Dot loser;  // zero: the record
};
Bytes encode_target(const LogTarget& target);
std::optional<LogTarget> decode_target(BytesView value);

Bytes encode_counts(const IndexCounts& counts);
std::optional<IndexCounts> decode_counts(BytesView value);

}  // namespace syncline

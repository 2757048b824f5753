#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/record.h"
#include "protocol/signature.h"
#include "storage/disk_state.h"
#include "storage/kv.h"

namespace syncline {

// The version that is materialised at a path, and what is there.
struct OnDisk {
  DiskState state;
  Dot dot;  // zero: a directory made only to hold children whose own record has not come yet
  VersionVector context;
  Hlc hlc;
  bool operator==(const OnDisk&) const = default;
};

// Why the tree of this node is not brought to the live version of a path.
enum class Held : std::uint8_t {
  no = 0,
  ignored = 1,      // by a rule
  unapplied = 2,    // a send-only folder: what others wrote is not taken over
  unpublished = 3,  // a receive-only folder: what was changed here is not a version. `disk` is what is there, also where that is
                    // nothing; its dot is zero, its context that of the version that was there, this one's dot included
  kept = 4,         // a directory that is none any more elsewhere and has something held in it
};

// All that a node knows of one path.
struct PathEntry {
  std::optional<Record> live{};  // the greatest version ever heard of
  std::optional<OnDisk> disk{};  // nullopt: nothing was ever there on this node, or only a tombstone's absence
  Held held = Held::no;
  bool operator==(const PathEntry&) const = default;
  // The tree does not show the live version yet: it is a tombstone and something is there, or it is none and
  // nothing, or another version, is there. Never so in the cluster's own folder, which has no tree, nor where
  // it is not meant to (`held`).
  bool pending() const { return held == Held::no && behind(); }
  bool behind() const;  // the same, meant to or not
};

using LogItem = std::variant<Record, Conflict>;
struct LogEntry {
  std::uint64_t seq = 0;
  LogItem item;
};

struct IndexCounts {
  std::uint64_t files = 0, bytes = 0;  // live files of the folder and their sizes
  std::uint64_t directories = 0, symlinks = 0, tombstones = 0;
  std::uint64_t pending = 0;  // paths whose live version is not on disk yet
  std::uint64_t open_conflicts = 0;
  std::uint64_t unapplied = 0, unpublished = 0;  // paths held so
  bool operator==(const IndexCounts&) const = default;
};

// The node's memory: records, the per-actor log, the node's version vector, what is on disk, conflicts,
// signatures. Changes gather until commit(), which makes them one atomic batch of the Kv; reads on the
// writing thread see them at once. All methods belong to one thread, except those of IndexReader.
class Index {
 public:
  static constexpr std::uint32_t schema_version = 2;
  // Error::invalid: corrupt, or written by a newer program (the line says which).
  static Result<std::unique_ptr<Index>> open(Kv& kv);
  ~Index();

  std::optional<PathEntry> get(FolderId folder, std::string_view path) const;
  // Stores, keeps the log (exactly one live entry a path: that of live->dot), the content index, the pending
  // list and the counts. `path` is canonical and, like the folder, that of entry.live. An entry with neither
  // live nor disk is erased.
  void put(FolderId folder, std::string_view path, const PathEntry& entry);
  void erase(FolderId folder, std::string_view path);  // a collected tombstone

  std::optional<Conflict> conflict(FolderId folder, std::string_view path, const Dot& loser) const;
  // Keeps its log entry (one live entry a conflict: that of entry.dot).
  void put_conflict(const Conflict& entry);
  // The open ones first.
  std::vector<Conflict> conflicts(FolderId folder, bool include_resolved, std::size_t limit) const;
  std::vector<Conflict> conflicts_of(FolderId folder, std::string_view path) const;  // open and resolved
  bool conflict_needs(const Hash128& content) const;  // some open conflict's loser has these bytes

  const VersionVector& vector() const;  // what is held without gaps
  void advance(const ActorId& actor, std::uint64_t seq);
  // Live log entries of `actor` with seq > after, ascending, at most `max_entries` and about `max_bytes`.
  std::vector<LogEntry> log(const ActorId& actor, std::uint64_t after, std::size_t max_entries,
                            std::size_t max_bytes) const;

  // Any live, not deleted path below it.
  bool has_live_child(FolderId folder, std::string_view directory) const;
  // Paths below `directory` ("" = all) in preorder, from after `after` on: at most `limit`.
  std::vector<std::pair<std::string, PathEntry>> below(FolderId folder, std::string_view directory,
                                                       std::string_view after, std::size_t limit) const;
  // In preorder.
  std::vector<std::string> pending(FolderId folder, std::string_view after, std::size_t limit) const;
  // Those held as Held::unapplied or Held::unpublished. In preorder.
  std::vector<std::string> held(FolderId folder, std::string_view after, std::size_t limit) const;
  // Files above 0 bytes, by what is on disk.
  std::vector<std::string> paths_with(FolderId folder, const Hash128& content, std::size_t limit) const;

  // Paths that changed shortly before a power loss, so that their files may be older, cut short, missing or
  // back from the dead: found there, a difference is damage rather than somebody's work. open() collects them
  // and makes their fingerprints never match; a put() that changes `disk` clears the mark. In preorder.
  bool is_distrusted(FolderId folder, std::string_view path) const;
  bool after_power_loss() const;  // whether open() found one
  std::vector<std::string> distrusted(FolderId folder, std::string_view after, std::size_t limit) const;
  void distrust(FolderId folder, std::string_view path);
  void trust(FolderId folder, std::string_view path);
  bool distrusts_any() const;  // there may be none left

  std::shared_ptr<const Signature> signature(const Hash128& content) const;  // null: none is kept
  // One above limits::kept_signature_bytes is not kept.
  void put_signature(const Hash128& content, const Signature& signature);
  void drop_signature(const Hash128& content);

  std::optional<Bytes> meta(std::string_view name) const;  // small named values of the node
  void put_meta(std::string_view name, BytesView value);

  IndexCounts counts(FolderId folder) const;
  // Ends the batch. Returns its number (Kv::applied), or the error of the disk; then nothing is stored and
  // the batch stays open, to be committed again or rolled back. Error::invalid: some read met damage, and the
  // batch may rest on it.
  Result<std::uint64_t> commit();
  void rollback();  // forgets everything since the last commit

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  void write_schema();
  std::unique_ptr<Impl> impl_;
};

// What other threads may read of a committed index: used by the scanner. Thread-safe. below() is not one
// moment: of a path that is deleted or comes back while it reads, it may give the older state or nothing.
class IndexReader {
 public:
  explicit IndexReader(Kv& kv) : kv_(kv) {}
  std::optional<PathEntry> get(FolderId folder, std::string_view path) const;
  std::vector<std::pair<std::string, PathEntry>> below(FolderId folder, std::string_view directory,
                                                       std::string_view after, std::size_t limit) const;

 private:
  Kv& kv_;
};

// Index order of paths: preorder of the tree (component by component, bytewise), as a walk that sorts names
// bytewise meets them. Only among paths of 460 bytes or more, and others that begin with the same 444, is the
// order arbitrary (by prefix, then by hash).
bool preorder_less(std::string_view a, std::string_view b);

}  // namespace syncline

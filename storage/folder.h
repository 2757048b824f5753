#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/content_hash.h"
#include "protocol/signature.h"
#include "storage/file_system.h"
#include "storage/version_mark.h"

namespace syncline {

// What looking at one path found.
struct Observation {
  enum class State : std::uint8_t {
    unchanged,    // equal to what the caller knew
    present,      // `disk` says what
    absent,
    busy,         // open for writing, or changing while it was read: look again after its close
    unsupported,  // device, socket, FIFO, name beyond the limits: `problem` says why
    failed,       // the operating system refused: `problem`
  };
  State state = State::absent;
  std::string path;
  DiskState disk;
  bool written = false;  // set by who ordered the look: an application has closed the file after writing
  std::shared_ptr<const Bytes> content;          // the bytes, of a file of at most limits::inline_content_bytes that was read
  std::shared_ptr<const Signature> signature;    // of a file of at least limits::signature_min_file_bytes that was read
  std::string problem;
  bool marks = false;               // the mark was asked for, and this file system keeps such: without one it was no apply that made this
  std::optional<VersionMark> mark;  // of a file or directory that is not `unchanged`
};

// One version to be made visible at a path.
struct ApplyRequest {
  std::string path;
  Content content;                       // wanted; Kind::deleted removes
  DiskState expect;                      // what the index believes to be there; anything else is `changed`, untouched
  std::shared_ptr<const Bytes> bytes;    // a file's bytes, or null: take the staged content of content.hash
  bool keep_displaced = false;           // file its old bytes under versions/<hash> (a conflict's loser)
  // The staged content is moved to the path: the next path that wants it has `no_content` until stage_copy() from the first.
  // With keep_staged it stays (cloned: no cost where the file system can share blocks).
  bool keep_staged = false;
  Dot dot{};  // whose version it is: written on what is made (VersionMark)
  Hlc hlc{};
};

struct ApplyResult {
  enum class Outcome : std::uint8_t {
    applied,      // `disk` is what is there now
    changed,      // the path is not what was expected: nothing was touched; observe it
    busy,         // open for writing; nothing was touched
    not_empty,    // a directory with entries cannot be removed or replaced
    blocked,      // the parent directory is missing or is no directory
    no_content,   // not staged, or staged bytes do not have the hash
    full,         // no space
    unsupported,  // this platform or file system cannot hold such a path
    failed,       // `problem`
  };
  Outcome outcome = Outcome::failed;
  DiskState disk;
  // Set when, after the exchange, what came out was not what had been expected: an application wrote between the check and the
  // exchange. Its bytes are kept under versions/<displaced.content.hash>; it is a local version that was never published.
  std::optional<DiskState> displaced;
  std::vector<std::string> made_parents;  // missing parent directories that were made (0755), outermost first
  std::string problem;
};

// A local version that an application finished after its file had been replaced or deleted: it had opened it before. Its bytes are
// kept under versions/<disk.content.hash>; it was never published.
struct LateWrite {
  std::string path;        // "" when it was found after a crash: then `replaced` and `by` tell the caller which path it was
  Hash128 replaced;        // content that had been there
  Hash128 by;              // content that took its place, zero for a deletion
  DiskState disk;
};

struct StageProgress {
  std::uint64_t have_bytes = 0;          // contiguous from the start
};

// A synced folder on a file system: the only code that changes the tree. Keeps everything of its own in `.syncline/` (0700):
//   folder          the marker (text: cluster id, folder id); without it nothing is scanned, applied or deleted
//   staging/        files not yet visible, by content hash or number, and for a while those that were replaced (limbo)
//   versions/       bytes of conflict losers, named by content hash
// Thread-safe, as long as two calls do not name the same path (or hash) at once.
class Folder {
 public:
  struct Identity {
    ClusterId cluster;
    FolderId folder = 1;
    bool operator==(const Identity&) const = default;
  };

  // Makes the marker; nothing to do when it is there already. Error::exists with the other's id in its text if there is another.
  static Status create_marker(FileSystem& fs, const Identity& identity);
  // Takes it away if it is of this identity: the folder belongs to nobody then.
  static Status remove_marker(FileSystem& fs, const Identity& identity);
  // Error::refused: no marker (the root vanished, a mount is gone), or that of another cluster.
  static Result<std::unique_ptr<Folder>> open(FileSystem& fs, const HashKey& key, const Identity& identity);

  // From now on a file's bytes are on the disk before it is shown (config: durability = "strict"); else they follow with sync(). Before
  // anything is applied.
  void sync_before_showing(bool strict);

  // The marker is still there and ours, and the root where it was. Cheap; the caller asks before it believes an absence.
  Status check_marker();

  // What observe() without `force` begins with: the path is there and has known's fingerprint and mode. Costs no more than a stat.
  bool is_unchanged(std::string_view path, const DiskState& known);
  // Looks at `path`; reads and hashes a file unless its fingerprint equals known.print (and `force` is false). `marks`: reads its mark, too.
  Observation observe(std::string_view path, const DiskState& known, bool force = false, bool marks = false);

  // Makes a version visible: whole or not at all, at any moment, for any reader (DESIGN.md, invariants 3 and 5).
  ApplyResult apply(const ApplyRequest& request);
  // What was replaced or deleted stays in limbo for a second (a minute where leases tell nothing), in case an application that
  // had opened it still writes. Looks again at what is due, or at all with `at_once`; removes what did not change and is closed,
  // and returns what did change. Call it once a second while limbo_size() > 0. Not while clean_staging() runs.
  std::vector<LateWrite> settle_limbo(bool at_once = false);
  std::size_t limbo_size() const;
  // Sets a directory's mtime again after its entries were changed by apply(); no-op unless it is a directory.
  Result<Fingerprint> restore_directory_time(std::string_view path, std::int64_t mtime_ns);

  // Bytes of a visible file, for a peer: Error::busy if it is not `expect` any more. At most limits::message_bytes at once.
  Result<Bytes> read(std::string_view path, const Fingerprint& expect, std::uint64_t offset, std::size_t size);
  // Bytes of a kept version.
  Result<Bytes> read_version(const Hash128& hash, std::uint64_t offset, std::size_t size);
  // Of what is in staging of a content: the caller knows how much has come.
  Result<Bytes> read_staged(const Hash128& hash, std::uint64_t offset, std::size_t size);
  // With `verify` its bytes are read; what does not have the hash is removed, and was not there.
  bool has_version(const Hash128& hash, bool verify = false);
  Status drop_version(const Hash128& hash);
  // All kept versions: what no conflict needs was displaced as the node died, or is garbage.
  Result<std::vector<Hash128>> versions();

  // Content on its way, by hash of the finished whole. Pieces may come in any order, but progress counts only from the start; it
  // survives the process, in whole limits::range_bytes. Error::full beyond limits::staged_parts or staged_gaps.
  StageProgress stage_progress(const Hash128& hash);
  Status stage_write(const Hash128& hash, std::uint64_t offset, BytesView piece);
  // Verifies size and hash. On a mismatch the staged file is dropped and Error::invalid returned.
  Status stage_finish(const Hash128& hash, std::uint64_t size);
  // Makes the staged content out of a file that is on this node already (reflink where possible), verified.
  Status stage_copy(const Hash128& hash, std::uint64_t size, std::string_view from);
  Status stage_copy_version(const Hash128& hash);             // out of versions/
  // Makes it by a delta (protocol/delta.h) from the visible file `base_path`, verified.
  Status stage_delta(const Hash128& hash, std::uint64_t size, std::string_view base_path, BytesView delta);
  Status stage_to_version(const Hash128& hash);               // a conflict's bytes that were fetched from a peer
  void stage_drop(const Hash128& hash);
  // The signature of what was staged last under this hash by stage_finish/stage_delta/stage_copy, null if none was made (or it is
  // long ago: some limits::cached_signature_bytes are remembered).
  std::shared_ptr<const Signature> staged_signature(const Hash128& hash);

  // A file's new content as a delta from a base of which only the signature is left. `own`: the new content's signature, or null. Error::full
  // above max_bytes.
  Result<Bytes> make_delta(std::string_view path, const Fingerprint& expect, const Signature& base, const Signature* own,
                           const Hash128& base_hash, const Hash128& hash, std::size_t max_bytes);

  // Removes what a crash left in staging/, except what `keep` says is still wanted. What applications wrote into files that were
  // being replaced as the node died goes to limbo: settle_limbo() reports it. After a loss of power nobody can tell such bytes from
  // what the disk lost of a file: then they are kept under versions/ and not reported.
  void clean_staging(const std::function<bool(const Hash128&)>& keep, bool after_power_loss = false);
  // Everything that was made visible so far survives a power loss.
  Status sync();
  FileSystem& file_system();
  ~Folder();

  struct Impl;  // for folder_*.cpp

 private:
  explicit Folder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace syncline

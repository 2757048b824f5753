#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "node/transport.h"
#include "protocol/ignore.h"
#include "protocol/ids.h"
#include "protocol/record.h"
#include "storage/folder.h"

// What goes into the replica and what comes out of it. Plain values, so that the simulator and the real node
// drive the same core.
namespace syncline {

// A point in the node's time. `mono_ms` never goes back; `wall_ms` (since the Unix epoch) is whatever the
// machine's clock says.
struct Now {
  std::uint64_t mono_ms = 0;
  std::uint64_t wall_ms = 0;
};

using JobId = std::uint64_t;

// Work on the folder, done elsewhere (worker threads, or at once in the simulator). Jobs with the same
// `strand` run in the order in which they were given out; others in any order, at the same time.
struct ApplyJob {
  ApplyRequest request;
};
struct ReadJob {
  std::string path{};
  Fingerprint expect{};
  Hash128 version{};
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  bool staged = false;
};  // `path` empty: the kept version, or (`staged`) what has come of that content
struct StageProgressJob {
  Hash128 hash;
};
struct StageWriteJob {
  Hash128 hash;
  std::uint64_t offset = 0;
  std::shared_ptr<const Bytes> piece;
};
struct StageFinishJob {
  Hash128 hash;
  std::uint64_t size = 0;
  bool to_version = false;
};
struct StageCopyJob {
  Hash128 hash;
  std::uint64_t size = 0;
  std::string from;
  bool to_version = false;
};  // `from` empty: out of the versions
struct StageDeltaJob {
  Hash128 hash;
  std::uint64_t size = 0;
  std::string base_path;
  std::shared_ptr<const Bytes> delta;
};
struct StageVersionJob {
  Hash128 hash;
  std::uint64_t size = 0;
  std::shared_ptr<const Bytes> bytes;
};  // small bytes straight to the versions
struct StageDropJob {
  Hash128 hash;
};  // nobody wants it any more
struct HasVersionJob {
  Hash128 hash;
  bool verify = false;
};
struct DropVersionJob {
  Hash128 hash;
};
struct MakeDeltaJob {
  std::string path;
  Fingerprint expect;
  std::shared_ptr<const Signature> base;
  std::shared_ptr<const Signature> own;  // of what is at the path, if it is at hand
  Hash128 base_hash;
  Hash128 hash;
  std::size_t max_bytes = 0;
};
struct RestoreTimeJob {
  std::string path;
  std::int64_t mtime_ns = 0;
};

struct FileJob {
  JobId id = 0;
  FolderId folder = 0;
  std::string strand;
  bool bulk = false;  // may wait for jobs that are not
  std::variant<ApplyJob, ReadJob, StageProgressJob, StageWriteJob, StageFinishJob, StageCopyJob,
               StageDeltaJob, StageVersionJob, StageDropJob, HasVersionJob, DropVersionJob, MakeDeltaJob, RestoreTimeJob>
      work;
};

// A job's outcome: what its Folder call returned (bool: HasVersionJob; Signature: staged or null; Bytes: read
// or delta).
struct Staged {
  std::shared_ptr<const Signature> signature;
};
using FileOutcome =
    std::variant<ApplyResult, Result<Bytes>, StageProgress, Result<Staged>, bool, Result<Fingerprint>>;

// ---- events
// -----------------------------------------------------------------------------------------------------------------

struct LinkUp {
  NodeId peer;
};
struct LinkPath {
  NodeId peer;
  std::uint32_t rtt_ms = 0;
};  // as of now, while the link is up; told now and then
struct LinkDown {
  NodeId peer;
};
struct Received {
  NodeId peer;
  Bytes message;
};
struct SendRefused {
  NodeId peer;
  Lane lane;
};  // a Send was not taken: its message is lost
struct LaneWritable {
  NodeId peer;
  Lane lane;
};  // after SendRefused: there is room again
struct Observed {
  FolderId folder = 0;
  Observation observation;
  std::uint64_t as_of = UINT64_MAX;  // Replica::looks_as_of() when the look was ordered
  bool asked = false;                // the answer to a LookAt that was
};
struct FileDone {
  JobId id = 0;
  FileOutcome outcome;
};
struct Durable {
  std::uint64_t batch = 0;
};  // Index::commit() numbers up to this survive power loss
struct FolderStopped {
  FolderId folder = 0;
  std::string reason;
  bool paused = false;  // by an administrator
};  // empty reason: it goes on, and a ScanFinished follows
struct ScanFinished {
  FolderId folder = 0;
};  // every difference of the first scan, or of one by changed rules, was given as Observed before
struct IgnoreChanged {
  FolderId folder = 0;
  std::shared_ptr<const IgnoreRules> rules;
};  // the folder's rules as of now. Told before anything is observed, and whenever they change; the ScanFinished of a scan by these
    // rules follows
struct WroteLate {
  FolderId folder = 0;
  LateWrite late;
};  // Folder::settle_limbo() found it
struct KeptFound {
  FolderId folder = 0;
  std::vector<Hash128> contents;
};  // after a start: kept versions that no open conflict needs
struct Tick {};

using Event = std::variant<LinkUp, LinkPath, LinkDown, Received, SendRefused, LaneWritable, Observed, FileDone, Durable,
                           FolderStopped, ScanFinished, IgnoreChanged, WroteLate, KeptFound, Tick>;

// ---- effects
// ----------------------------------------------------------------------------------------------------------------
// The owner commits the index first, then carries the effects out in order: nothing leaves that a crash of
// the process could undo.

struct Send {
  NodeId peer;
  Lane lane = Lane::control;
  Bytes message;
  bool asked_for = true;  // else it may be refused as soon as the lane is busy (SendRefused): the peer will ask
};
struct StartJob {
  FileJob job;
};
struct LookAt {
  FolderId folder = 0;
  std::string path;
  bool subtree = false;
  bool asked = false;
};  // observe this path (again), always reading it; asked: reading only what has changed, and coming back as
    // an Observed that was asked for, whatever was found
struct FlushIndex {};      // somebody waits for durability
struct MembersChanged {};  // records of the cluster's own folder changed
struct WaitOver {
  std::uint64_t wait = 0;
};  // Replica::wait_state(wait) has its final answer
struct FindOver {
  std::uint64_t find = 0;
};  // Replica::find_state(find) has its final answer
struct LogLine {
  bool warning = false;
  std::string text;
};

using Effect = std::variant<Send, StartJob, LookAt, FlushIndex, MembersChanged, WaitOver, FindOver, LogLine>;

}  // namespace syncline

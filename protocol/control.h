#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/control_status.h"
#include "protocol/error.h"
#include "protocol/record.h"

// What the command line asks of its node. One request is one line of JSON on the local stream socket
// HOME/control.sock (0600), the reply one line: {"ok":true, ...} or {"ok":false, "code":"not_found",
// "error":"one line"}. A client may ask again on the same connection once it has the reply. Unknown fields
// are ignored, so that an older side understands a newer one. A string that is not UTF-8 (a file name) is
// sent twice: as "path", for the eye, and exactly, as "path_hex". PROTOCOL.md, "Control".
namespace syncline {

struct Done {
  bool operator==(const Done&) const = default;
};

struct StatusRequest {
  using Reply = StatusReply;
  bool operator==(const StatusRequest&) const = default;
};

// The cheap part of the status, for load balancers.
struct FolderBehind {
  std::string name;
  std::uint64_t changes = 0;  // versions known but not yet visible
  std::uint64_t seconds = 0;  // how long the oldest of them has been
  bool operator==(const FolderBehind&) const = default;
};
struct ReadyReply {
  bool ready = false;
  std::string reason;  // why not
  NodeState state = NodeState::starting;
  bool healthy = true;        // what an administrator must see to makes it false: /healthz
  std::string unhealthy;      // why
  std::uint64_t missing = 0;  // log entries that linked members have and this node lacks
  std::vector<FolderBehind> folders;
  bool operator==(const ReadyReply&) const = default;
};
struct ReadyRequest {
  using Reply = ReadyReply;
  bool operator==(const ReadyRequest&) const = default;
};

struct MemberStatus {
  std::string name;
  NodeId id;
  std::string state;  // joined, left, evicted
  bool self = false;
  bool linked = false;  // true for self
  std::vector<std::string> addresses;
  std::string http;         // HOST:PORT that its HTTP server is bound to; empty: it has not told
  std::string admitted_by;  // name, or hex id of a node that nobody knows any more; empty for the founder
  bool operator==(const MemberStatus&) const = default;
};
struct MembersReply {
  std::vector<MemberStatus> members;
  bool operator==(const MembersReply&) const = default;
};
struct MembersRequest {
  using Reply = MembersReply;
  bool operator==(const MembersRequest&) const = default;
};

struct InviteReply {
  std::string token;  // a secret: for the caller's eyes, never for a log
  WallTime expires;
  std::uint32_t uses = 1;
  bool operator==(const InviteReply&) const = default;
};
struct InviteRequest {
  using Reply = InviteReply;
  std::uint32_t uses = 1;              // 1..limits::invite_uses
  std::uint64_t ttl_ms = 3600 * 1000;  // 1..limits::invite_ttl_ms
  bool operator==(const InviteRequest&) const = default;
};

// One side of a conflict.
struct ConflictSide {
  std::string node;  // name of the writer, or its actor's hex id where nobody knows
  WallTime time;     // of the version (its HLC)
  Kind kind = Kind::deleted;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  WallTime mtime;
  Hash128 hash;
  std::string target;  // of a symlink
  bool operator==(const ConflictSide&) const = default;
};
struct ConflictEntry {
  std::string id;  // conflict_id(), the same on every node
  std::string folder;
  std::string path;
  ConflictSide winner;  // the version that is live now
  ConflictSide loser;
  WallTime detected;
  bool operator==(const ConflictEntry&) const = default;
};
struct ConflictsReply {
  std::vector<ConflictEntry> conflicts;  // by folder, path, time; at most limits::conflicts_listed
  std::uint64_t total = 0;               // including those left out
  bool operator==(const ConflictsReply&) const = default;
};
struct ConflictsRequest {
  using Reply = ConflictsReply;
  std::string folder;  // name; empty: all
  bool operator==(const ConflictsRequest&) const = default;
};

struct ConflictShowReply {
  ConflictEntry conflict;
  std::string winner_file;  // absolute path of the live file on this machine, empty when there is none
  std::string loser_file;   // absolute path of the kept bytes, empty when they are not on this node
  bool operator==(const ConflictShowReply&) const = default;
};
struct ConflictShowRequest {  // behind `show` and `diff`
  using Reply = ConflictShowReply;
  std::string id;  // whole, or an unambiguous start of at least 4 digits
  bool operator==(const ConflictShowRequest&) const = default;
};

struct RestoreReply {
  std::string path;  // where the loser's bytes are now, relative to the folder
  bool operator==(const RestoreReply&) const = default;
};
struct ConflictRestoreRequest {
  using Reply = RestoreReply;
  std::string id;
  std::string as;  // relative to the folder, or absolute inside it; empty: the conflict's own path
  bool operator==(const ConflictRestoreRequest&) const = default;
};
struct ConflictDropRequest {
  using Reply = Done;
  std::string id;
  bool operator==(const ConflictDropRequest&) const = default;
};

// How many nodes must have the version, the asked one counted.
struct WaitFor {
  enum class What : std::uint8_t { all, majority, count };
  What what = What::all;    // all: every member that is linked and ready; majority: of all members
  std::uint32_t count = 0;  // of What::count: 1..limits::members
  bool operator==(const WaitFor&) const = default;
};
struct WaitReply {
  bool done = false;                               // false: the time is over, or it cannot succeed any more
  std::vector<std::string> have, lacking, absent;  // names; absent: down, cut off or catching up
  bool operator==(const WaitReply&) const = default;
};
struct WaitRequest {  // Error::not_found: no such path on this node
  using Reply = WaitReply;
  std::string folder;  // name; may be empty where there is one, or with an absolute path
  std::string path;    // absolute, or relative to the folder
  WaitFor nodes;
  bool durable = false;
  std::uint64_t timeout_ms = 5000;  // at most limits::wait_timeout_ms
  bool operator==(const WaitRequest&) const = default;
};

// What was changed on this node in a folder that only receives is given up.
struct RevertReply {
  std::uint64_t paths = 0;  // so many were changed
  bool operator==(const RevertReply&) const = default;
};
struct RevertRequest {  // Error::not_found: nothing was changed there
  using Reply = RevertReply;
  std::string folder;  // name; may be empty where there is one
  std::string path;    // absolute, or relative to the folder: it and all below; empty: the whole folder
  bool operator==(const RevertRequest&) const = default;
};

// Takes the node out of service: no reader is sent to it once another member has all that it has.
struct DrainReply {
  bool done = false;                               // false: the time is over; the node goes on with it
  NodeState state = NodeState::draining;
  std::vector<std::string> have, lacking, absent;  // names of the other members; absent: not linked
  bool operator==(const DrainReply&) const = default;
};
struct DrainRequest {  // Error::refused: there is no other member
  using Reply = DrainReply;
  std::uint64_t timeout_ms = 60'000;  // at most limits::wait_timeout_ms
  bool operator==(const DrainRequest&) const = default;
};
// Takes the node out of service as DrainRequest does, then out of the cluster, for good. DrainReply::state is `stopped` once it has left.
struct LeaveRequest {  // Error::refused: there is no other member
  using Reply = DrainReply;
  std::uint64_t timeout_ms = 60'000;  // at most limits::wait_timeout_ms
  bool operator==(const LeaveRequest&) const = default;
};

// Takes another node out of the cluster, for good, wherever it is.
struct EvictReply {
  std::string name;
  NodeId id;
  bool operator==(const EvictReply&) const = default;
};
struct EvictRequest {  // Error::not_found: no such member; refused: it is this node, or gone already
  using Reply = EvictReply;
  std::string node;  // its name, or an unambiguous start of its id, of at least 4 digits
  bool operator==(const EvictRequest&) const = default;
};
// Reads every file and every kept version again, and compares them with the index. Asked until it is done; meanwhile replies tell how far it is.
struct VerifyReply {
  std::uint64_t run = 0;
  bool done = false;
  bool repair = false;
  std::uint64_t files = 0, bytes = 0;  // read and compared
  std::uint64_t kept = 0;              // losers of conflicts, the same
  std::uint64_t changed = 0;           // passed over: being changed, or changed since the node looked last
  std::uint64_t pending = 0;           // paths on their way to this node's disk
  std::uint64_t damaged_count = 0, unreadable_count = 0, repaired = 0;
  std::vector<std::string> damaged, unreadable;   // at most limits::status_held paths
  std::vector<std::string> agree, differ, absent;  // members: with the same versions, with others, not linked
  bool operator==(const VerifyReply&) const = default;
};
struct VerifyRequest {  // Error::busy: one is under way that does not do the same
  using Reply = VerifyReply;
  bool repair = false;
  std::uint64_t run = 0;             // of an earlier reply; 0: begins
  std::uint64_t timeout_ms = 10'000;  // at most limits::wait_timeout_ms: then the reply tells how far it is
  bool operator==(const VerifyRequest&) const = default;
};
struct ResumeRequest {
  using Reply = ReadyReply;
  bool operator==(const ResumeRequest&) const = default;
};

// A folder of the cluster, on this node. Its name is the same everywhere; where it is, is each node's own affair.
struct FolderReply {
  std::string name;
  std::string path;      // here
  bool founded = false;  // the cluster had none of this name before
  bool operator==(const FolderReply&) const = default;
};
// Takes part in the cluster's folder of this name, or founds it.
struct FolderAddRequest {  // Error::refused: the path or the name is not usable, or in use
  using Reply = FolderReply;
  std::string path;        // absolute
  std::string name;        // empty: the last part of `path`
  std::string mode;        // a word of config.toml; empty: send-receive
  std::string durability;  // the same; empty: group
  bool operator==(const FolderAddRequest&) const = default;
};
// This node takes no part any more; the files stay where they are.
struct FolderRemoveRequest {  // Error::not_found; refused: it is the one that the node was made with
  using Reply = FolderReply;
  std::string name;
  bool operator==(const FolderRemoveRequest&) const = default;
};
// Nothing of it is looked at, taken over or served, across restarts, until it is resumed.
struct FolderPauseRequest {
  using Reply = FolderReply;
  std::string name;
  bool operator==(const FolderPauseRequest&) const = default;
};
// The end of a pause; a folder that has stopped itself is tried again at once.
struct FolderResumeRequest {
  using Reply = FolderReply;
  std::string name;
  bool accept_deletions = false;  // what its next scan misses was deleted on purpose, however much it is
  bool operator==(const FolderResumeRequest&) const = default;
};

using ControlRequest =
    std::variant<StatusRequest, ReadyRequest, MembersRequest, InviteRequest, ConflictsRequest,
                 ConflictShowRequest, ConflictRestoreRequest, ConflictDropRequest, WaitRequest, RevertRequest,
                 DrainRequest, ResumeRequest, LeaveRequest, EvictRequest, VerifyRequest, FolderAddRequest, FolderRemoveRequest,
                 FolderPauseRequest, FolderResumeRequest>;
using ControlReply = std::variant<Done, StatusReply, ReadyReply, MembersReply, InviteReply, ConflictsReply,
                                  ConflictShowReply, RestoreReply, WaitReply, RevertReply, DrainReply, EvictReply, VerifyReply, FolderReply>;

// Lines without their newline. Decoding fails with Error::invalid (malformed, missing or too long) or, for a
// reply, with the error that the node sent. encode_reply turns a reply above limits::control_reply_bytes into
// Error::full.
std::string encode_request(const ControlRequest& request);
Result<ControlRequest> decode_request(std::string_view line);
std::string encode_reply(const Result<ControlReply>& reply);
template <class Reply>  // one of ControlReply's
Result<Reply> decode_reply(std::string_view line);

// What `--json` prints and HTTP answers: the reply's fields; of ConflictsReply the bare array. indent < 0:
// one line.
std::string json_text(const ControlReply& reply, int indent = -1);

// What `init` and `join` print with --json.
struct SetupReport {
  std::string node;
  NodeId id;
  ClusterId cluster;
  std::string home, folder, listen, http;
};
std::string json_text(const SetupReport& report);
// What `syncline folder list --json` prints: the array of a status's folders, those elsewhere behind them.
std::string folders_json(const StatusReply& status);

// The body of POST /v1/wait: WaitRequest's fields, all but "path" optional.
Result<WaitRequest> parse_wait(std::string_view json);

// "all", "majority" or a number, as on the command line.
Result<WaitFor> parse_wait_for(std::string_view text);

std::string_view code_name(Error::Code code);
std::string_view kind_name(Kind kind);
std::string_view state_name(FolderState state);
std::string_view state_name(NodeState state);

// 12 hex digits of BLAKE2b-128 over folder (u32), the loser's dot and path: the same on every node, for ever.
std::string conflict_id(const Record& loser);

}  // namespace syncline

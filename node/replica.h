#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/events.h"
#include "node/folder_mode.h"
#include "protocol/error.h"
#include "storage/index.h"

namespace syncline {

// How far a node may be behind and still take readers.
struct ReadyLimits {
  std::uint64_t changes = 64;        // of a folder, not on disk yet; of the node, not heard of yet
  std::uint64_t behind_ms = 10'000;  // the oldest of them
  bool without_majority = false;     // DESIGN.md, section 6, /readyz
};

// Who is told at once that something of another node has come (replica_gossip.cpp, choose_near).
struct GossipLimits {
  std::size_t all_up_to = 8;  // links: everybody
  std::size_t factor = 2;     // of more: those at distances of 1, this, its square, ... in the ring of ids
};

struct ReplicaOptions {
  NodeId self;
  std::string name;
  ActorId actor;            // fresh and random at each start: a counter can then never be used twice
  Bytes actor_certificate;  // value stored at "actors/<hex>" before the actor's first version
  std::vector<FolderId> folders{kFirstFolder};
  std::map<FolderId, FolderMode> modes{};  // where they are not FolderMode::send_receive
  std::vector<NodeId> members{};  // known from elsewhere: the records of a new index have not come yet
  std::uint64_t random_seed = 0;  // jitter only
  ReadyLimits limits{};
  GossipLimits gossip{};
  std::uint64_t relay_from_bytes = 4 << 20;  // of a content: members then pass it on to each other (replica_relay.cpp)
};

// How far this node is behind in a folder.
struct FolderLag {
  FolderId folder = 0;
  std::uint64_t changes = 0;    // versions known and not on disk yet, those that cannot be brought there left out
  std::uint64_t behind_ms = 0;  // how long the oldest of them has been known; large files are not counted: they take their time
  std::uint64_t full = 0;       // versions that the disk has no room for
  std::uint64_t promised = 0;   // of `changes`, those of others than members that take no readers themselves: these decide
};

// Whether readers may be sent here.
struct Readiness {
  enum class State : std::uint8_t {
    ready,
    draining,  // ready, until somebody else has all that this node has
    drained,
    starting,     // the first scan is not over, or the other members are being looked for
    catching_up,  // behind by more than the limits, or not caught up yet since the start
    cut_off,      // linked to less than a majority
    stopped,      // nothing is synced until somebody has seen to it
    paused,       // a folder is, by an administrator
  } state = State::starting;
  std::string reason{};             // of any state but ready
  std::uint64_t missing = 0;        // log entries that linked members have and this node lacks
  std::uint64_t missing_promised = 0;  // of these, the ones of members that take readers, or of writers unknown
  std::uint64_t missing_ms = 0;     // how long some of them have been
  std::vector<FolderLag> folders{};
  bool takes_readers() const { return state == State::ready || state == State::draining; }
};

// How far `drain` has come.
struct DrainView {
  enum class Phase : std::uint8_t {
    off,
    spreading,  // some other member shall have everything first
    leaving,    // not ready any more; what was written since shall be there, too
    drained,
  } phase = Phase::off;
  std::vector<NodeId> have{}, lacking{}, absent{};  // the other members; absent: not linked
};

// What a peer is known to have.
struct PeerView {
  NodeId node;
  std::string name;
  bool linked = false;
  bool ready = false;
  std::uint64_t behind = 0;  // log positions that this node has and the peer did not announce yet
  std::uint64_t ahead = 0;   // the other way round
};

struct TransferView {
  FolderId folder = 0;
  std::string path;
  std::uint64_t size = 0, done = 0;
  NodeId peer;
};

struct ProblemView {
  FolderId folder = kClusterFolder;  // of `path`
  std::string path;                  // empty: the node as a whole
  std::string text;
  std::uint64_t since_wall_ms = 0;
};

// A path that is not as the cluster has it, and is not to be (Held::unapplied or unpublished).
struct HeldView {
  std::string path;
  Held held = Held::no;
};

// How a wait stands: which members have the version (this node included), which are asked and have not
// answered, which are not linked or not ready.
struct WaitView {
  bool over = false, done = false;
  std::vector<NodeId> have, lacking, absent;
};

// How it stands with a path that a reader has missed here.
struct FindView {
  enum class State : std::uint8_t {
    under_way,
    here,         // its live version is on this node's disk by now
    nowhere,      // every member has said, since the find was started, that there is none
    unavailable,  // not to be had now: some member could not be asked, or the bytes do not come
  };
  State state = State::under_way;
  std::vector<NodeId> silent;  // unavailable: who could not be asked or did not know (this node included)
};

struct WaitGoal {
  enum class Who : std::uint8_t { all, majority, count } who = Who::all;
  std::size_t count = 0;
  bool durable = false;
};

// The deterministic core of a node: gossip of version vectors, the log's streams, merge, what to fetch from
// whom, and in which order to bring the tree to the live versions (DESIGN.md, sections 3 and 4). No IO, no
// clock, no threads: an event and the time go in, effects come out, the index is changed in between (and
// committed by the owner). One thread.
class Replica {
 public:
  Replica(Index& index, ReplicaOptions options);
  ~Replica();

  std::vector<Effect> step(const Event& event, Now now);
  // The owner has committed the index after a step; `batch` is what Index::commit() returned. After a
  // FlushIndex effect a Durable event must follow, also where everything was durable already.
  void committed(std::uint64_t batch);
  // When a Tick is due at the latest.
  std::uint64_t next_tick_ms() const;

  // A stamp for looks at the tree that are ordered now: see Observed.
  std::uint64_t looks_as_of() const;

  // Since a loss of power the disk may show what the index has forgotten: looks are to read marks, and what is in staging may be torn.
  bool recovering() const;

  // This node has the folder from now on: what is known of it is brought to disk once it has been scanned. Nothing of it is on disk, as far
  // as the index knows (forget_disk).
  void add_folder(FolderId folder, FolderMode mode, Now now);
  // Has it no more: its records stay, for others to get, and nothing is done to its disk once what is under way has ended (is_busy).
  void remove_folder(FolderId folder, Now now);
  bool is_busy(FolderId folder) const;
  // Of a folder that this node does not have: nothing of it is on disk, as far as the index knows from now on. Goes on behind the path
  // `after` ("" begins) for a few thousand entries; where it got to, "" at the end.
  std::string forget_disk(FolderId folder, const std::string& after);

  // Requests of the node's owner; effects they cause come with the next step() (send a Tick).
  // A value of the cluster's own folder, e.g. "members/<hex>"; nullopt deletes it.
  void put_value(const std::string& path, const std::optional<Bytes>& value, Now now);
  std::map<std::string, Bytes> values(const std::string& prefix) const;
  Status drop_conflict(FolderId folder, const std::string& path, const Dot& loser, Now now);
  // Makes the loser the live version of `as` (its own path when empty), having seen all there is; the entry
  // is resolved.
  Status restore_conflict(FolderId folder, const std::string& path, const Dot& loser, const std::string& as,
                          Now now);
  // In preorder, at most `limit`.
  std::vector<HeldView> held(FolderId folder, std::size_t limit) const;
  // Gives up what was changed here at `path` in a receive-only folder (empty: everywhere): the path becomes what it is on the
  // others, or nothing. Returns how many paths; Error::not_found: nothing was changed there.
  Result<std::size_t> revert(FolderId folder, const std::string& path, Now now);
  // The bytes at `path` are not what they were, though the file is as it was left (`known`): they hash to `found` now. The live version is
  // brought again, from another member. Error::refused: the path is not at rest any more.
  Status repair(FolderId folder, const std::string& path, const DiskState& known, const Hash128& found, Now now);
  // The bytes of these losers are not here any more; they are fetched again.
  void refetch_kept(FolderId folder, const Hash128& content);
  // Starts a wait for the version that is on this node's disk. Error::not_found: nothing there; refused: it is not published.
  Result<std::uint64_t> start_wait(FolderId folder, const std::string& path, const WaitGoal& goal, Now now);
  WaitView wait_state(std::uint64_t wait) const;
  void end_wait(std::uint64_t wait);

  // Looks for a path that a reader has missed on this node: on the disk, at the members (`joined`, the others
  // as the owner knows them), and brings its bytes before everything else. Ends by itself with a FindOver;
  // the id is shared by all who may have the same answer. Error::full: too many at once.
  Result<std::uint64_t> start_find(FolderId folder, const std::string& path, std::vector<NodeId> joined,
                                   Now now);
  FindView find_state(std::uint64_t find) const;
  void end_find(std::uint64_t find);  // after its FindOver

  // Takes this node out of service, across restarts, until resume(): readers stay until some linked member
  // has everything that is here, and its drain is over (DrainView::drained) once one has what was written
  // until then, too. Asked again, it asks the members again. Error::refused: there is no other member.
  Status drain(Now now);
  void resume(Now now);
  DrainView drain_view() const;

  const Readiness& readiness() const;  // as of the last step
  std::vector<PeerView> peers() const;
  std::vector<TransferView> transfers() const;
  std::vector<ProblemView> problems() const;
  std::string folder_stopped(FolderId folder) const;  // the reason, or empty
  bool idle() const;  // nothing in progress (for the simulator: quiescent but for gossip)
  NodeId node_of(const ActorId& actor) const;  // zero when unknown

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace syncline

#pragma once
// What the replica keeps of a path, a content, a peer and a question while it is busy with them, and the bounds of it all. For replica*.cpp
// only.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/path_key.h"
#include "node/replica.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {

namespace tuning {
inline constexpr std::size_t works_max = 1024;             // paths being brought up to date at once
inline constexpr unsigned intents_max = 2 * works_max;     // of this run's works, and of the one's before
inline constexpr std::size_t bulk_works_max = 4;           // of those, contents too large for one message
inline constexpr std::size_t held_bytes_max = 64 << 20;    // contents and deltas in memory for them
inline constexpr std::size_t bulk_credit_bytes = 8 << 20;  // asked of a peer and not come yet
inline constexpr std::size_t unwritten_bytes = 32 << 20;    // of one content: asked for, and not on disk yet
inline constexpr std::size_t small_wants_max = 256;        // asked for and not yet come, a peer
inline constexpr std::size_t serving_max = 8192;           // reads under way for a peer
inline constexpr std::size_t delta_cache_bytes = 64 << 20;
inline constexpr std::size_t entries_bytes = 512 * 1024;  // about, in one Entries message
inline constexpr std::size_t problems_max = 1000;
inline constexpr std::size_t retries_max = 16384;
inline constexpr std::size_t probes_max = 4096;
inline constexpr std::size_t disturbed_max = 8192;
inline constexpr std::size_t suspects_max = 16384;
inline constexpr std::size_t late_reports_max = 256;  // remembered, so that none counts twice
inline constexpr std::uint64_t announce_ms = 100;
inline constexpr std::uint64_t gap_ms = 250;  // a gap this old is asked for, even where a push is on its way
inline constexpr std::uint64_t foreign_gap_ms = 2'000;  // the same of a linked member's own, asked of another
inline constexpr std::uint64_t digest_ms = 15'000;
inline constexpr std::uint64_t settled_ms = 1'000;     // with nothing new for so long, the others have most likely the same
inline constexpr std::uint64_t unsettled_ms = 5'000;  // for which a digest waits for that, at most
inline constexpr std::uint64_t want_timeout_ms = 10'000;
inline constexpr std::uint64_t want_expiry_ms = 60'000;  // also where others' pieces keep coming
inline constexpr std::uint64_t relay_timeout_ms = 3'000;   // without a piece from the one before in line
inline constexpr std::uint64_t relay_patience_ms = 2'000;  // for which a question waits for more of what is on its way here
inline constexpr std::uint64_t relay_unheard_ms = 500;     // the same for its record to come
inline constexpr std::uint32_t relay_rtt_ms = 10;          // by which the one before in line may be further away
inline constexpr std::size_t relays_max = 1024;            // such questions
inline constexpr unsigned spared_times = 5;                // that a deletion waits for copies of its file,
inline constexpr std::uint64_t spare_again_ms = 50;        // first for so long
inline constexpr std::uint64_t retry_min_ms = 50, retry_max_ms = 5'000;
inline constexpr std::uint64_t start_grace_ms =
    3'000;  // a member not linked this long after the start, or after a majority was, is unreachable
inline constexpr std::uint64_t hearing_ms = 60'000;  // after a loss of power: for the members to tell what they know
inline constexpr std::uint64_t refused_ms = 10'000;  // before a refused actor is asked for again
inline constexpr std::uint64_t offer_ms = 10'000;    // before a member that has not said that it counts on this node is told again
inline constexpr std::uint64_t lag_ms = 250;         // how often it is measured
inline constexpr std::uint64_t lag_unready_ms = 50;  // the same while a balancer waits for this node
inline constexpr std::uint64_t settle_ms = 50;       // how often it is seen whether a peer can be told that all is here
inline constexpr std::size_t pending_seen_max = 256;  // looked through for that; with more pending it is not
inline constexpr std::size_t promised_seen_max = 4096;  // the same for whose they are, while a member that takes no readers has written some
// How long balancers may take to notice that a node is leaving. The checks that `syncline lb` prints come every second, the app server in
// between keeps an answer for one, and who is cut off notices it by itself up to half a second later than the others.
inline constexpr std::uint64_t leave_ms = 3'500;
inline constexpr std::uint64_t probe_ms = 60'000;        // for which a member remembers to answer
inline constexpr std::uint64_t probe_again_ms = 20'000;  // before it is asked again
}  // namespace tuning

inline std::size_t bytes_of(const std::shared_ptr<const Bytes>& bytes) { return bytes ? bytes->size() : 0; }

// One path on its way to its live version.
struct Work {
  Record target{};
  std::shared_ptr<const Bytes> bytes{};      // the content, when in memory
  std::shared_ptr<const Bytes> delta{};      // from target.base
  NodeId from{};                             // who told us of it: asked first
  std::vector<std::string> local_sources{};  // paths here with this content, not tried yet
  bool local_asked = false, delta_asked = false;
  bool bulk = false;
  std::uint64_t since_ms = 0;  // known and not on disk
  bool versions_asked = false;
  bool applying = false;
  bool again = false;    // an observation was put off: look again at the end
  bool remade = false;   // another apply has made the directory that this one deletes, before or after
  DiskState expected{};  // given to the apply under way
  bool keep_displaced = false;
  std::optional<unsigned> slot{};          // of the intent written before the apply
  std::shared_ptr<const Signature> signature{};
  // What came for this path while it was being worked on.
  std::shared_ptr<const Bytes> next_bytes, next_delta{};
  Dot next_dot{};
  NodeId next_from{};
};

// One content being pulled from peers, for a Work or for the kept versions.
struct Fetch {
  enum class For : std::uint8_t { work, version } purpose = For::work;
  PathKey path{};
  Hash128 hash{};
  std::uint64_t size = 0;
  Hash128 base{};  // delta wanted
  Encoding encoding = Encoding::raw;
  NodeId peer{};  // being asked
  NodeId first{};  // who told of it: asked before anybody else but the one before in line
  bool in_line = false;  // `peer` is that one (replica_relay.cpp)
  std::set<NodeId> tried{};    // in vain
  std::set<NodeId> refused{};  // of those, the ones that said that they do not have it
  std::uint64_t total = 0;      // of what is transferred: size, or the delta's once known
  std::uint64_t asked = 0;      // offset up to which it has been asked for
  std::uint64_t written = 0;    // bytes staged, without a gap from the start on
  std::set<std::uint64_t> later{};  // offsets of pieces staged beyond
  std::size_t writes = 0;       // StageWriteJobs under way
  Bytes delta{};                // collected
  std::vector<std::uint64_t> want_ids{};  // asked and not answered
  std::uint64_t progress_ms = 0;
  bool progress_known = false;  // StageProgress has come
  bool finishing = false;
  bool failed = false;          // the disk did not take a piece
  std::uint64_t serial = 0;     // no two fetches have the same
  bool is_bulk() const { return encoding == Encoding::raw && size > limits::range_bytes; }
};
struct FetchJob {
  Hash128 hash;
  std::uint64_t serial = 0;
  std::uint64_t offset = 0;  // of a StageWriteJob
};

struct WantRef {
  Hash128 hash;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

inline constexpr std::uint32_t kRttUnknown = UINT32_MAX;

struct Peer {
  NodeId node{};
  std::string name{};
  bool greeted = false;       // its Hello has come
  bool clock_behind = false;  // its clock is far behind ours
  bool ready = false;
  bool near = false;      // told at once of what others write
  bool told_fit = false;  // what our last Hello or Announce said of us
  ActorId told_actor{};   // the same
  std::uint64_t echo_id = 0, offer_again_ms = 0;  // of the question whose answer says that it counts on us; 0: none is out
  bool counts_us = false;
  bool pushing = true;  // our own versions go to it as they are made; else it asks
  std::uint64_t push_from = 0;  // while pushing: all above this has been given to its lane
  ActorId push_lost{};           // whose pushes it has said not to have sent: what lacks of them is asked for at once
  std::uint64_t put_off_after = UINT64_MAX, put_off_until_ms = 0;  // a Need answered by what is pushed
  ActorId actor{};
  VersionVector vector{};        // as announced
  std::set<ActorId> leads{};     // of whom it had more than this node when that was heard: all of whom it still has more are among them
  VersionVector start_vector{};  // of its Hello, later of when it began to count on us: what being caught up with it means
  VersionVector announced{};     // what we told it
  std::uint64_t announce_at = 0, digest_at = 0, digest_by = 0;
  std::map<std::uint64_t, WantRef> wants{};  // by id
  std::uint64_t owed_bytes = 0;              // of them
  std::uint64_t lane_progress_ms[2] = {};    // when a small, a bulk piece came last
  std::vector<Want::Item> outbox{};          // wants of this step
  std::size_t serving = 0;
  std::uint32_t rtt_ms = kRttUnknown;
};

struct Stream {  // a Need under way
  NodeId peer;
  std::uint64_t after = 0;
  std::uint64_t since_ms = 0;
};

struct Serving {
  NodeId peer;
  std::uint64_t id = 0;
  FolderId folder = 0;
  std::string path;  // empty: a kept version
  Hash128 hash;
  std::uint64_t total = 0, offset = 0;
  std::uint32_t size = 0;
  bool second_try = false;
  bool staged = false;  // out of what is on its way to this node
};
// A question that waits for bytes which are on their way to this node.
struct Relay {
  NodeId peer;
  Want::Item item;
  std::uint64_t until_ms = 0;
};
struct Publishing {
  Observation observation;
  bool at_start = false;
  Hash128 base;
};  // waits for its delta

struct LocalProbe {
  NodeId peer;
  Probe probe;
  std::uint64_t durable_batch = 0;
  std::uint64_t expires_ms = 0;
  bool never = false;  // this node will not show it
};
struct Settling {  // a peer's Settle, not answered yet
  std::uint64_t id = 0;
  VersionVector vector{};
  std::vector<FolderId> folders{};
};
struct Drain {
  DrainView::Phase phase = DrainView::Phase::off;
  std::uint64_t round = 0;    // of the questions under way; 0: none
  std::uint64_t left_ms = 0;  // when readers were told to go
  std::set<NodeId> have{};    // of this round
};
struct Wait {
  PathKey path{};
  WaitGoal goal{};
  Dot dot{};
  Hlc hlc{};
  std::set<NodeId> asked{}, have{}, absent{};
  std::set<NodeId> never{};  // said that they will not have it
  std::uint64_t own_durable_batch = 0;
  bool begun = false;  // no: the version that it is about is being made
  std::uint64_t ask_again_ms = 0;
  bool over = false, done = false;
};

}  // namespace syncline

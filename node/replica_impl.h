#pragma once
// The replica's state, shared by replica*.cpp and by nothing else. One idea a file:
//   replica.cpp          events in, effects out; views
//   replica_ready.cpp    readiness, and how far this node is behind
//   replica_drain.cpp    out of service: who else has everything
//   replica_gossip.cpp   links, vectors, the log's streams
//   replica_accept.cpp   versions heard of or written here, conflicts, repairs of the tree
//   replica_observe.cpp  what is on disk, turned into versions
//   replica_held.cpp     what is not to be: ignored paths, folders that only send or only receive
//   replica_work.cpp     bringing the tree to the live versions
//   replica_intents.cpp  what a run before was doing when it died
//   replica_power.cpp    what a loss of power has left on the disk
//   replica_fetch.cpp    contents from peers, and for them
//   replica_wait.cpp     the barrier
//   replica_find.cpp     fetch on miss: a path that a reader waits for
//   replica_lookup.cpp   fetch on miss: questions to the members, and looks at the disk for theirs
#include <deque>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

#include "node/path_key.h"
#include "node/replica.h"
#include "node/replica_find.h"
#include "node/replica_retries.h"
#include "protocol/limits.h"
#include "protocol/messages.h"
#include "protocol/packing.h"

namespace syncline {

namespace tuning {
inline constexpr std::size_t works_max = 1024;             // paths being brought up to date at once
inline constexpr unsigned intents_max = 2 * works_max;     // of this run's works, and of the one's before
inline constexpr std::size_t bulk_works_max = 4;           // of those, contents too large for one message
inline constexpr std::size_t held_bytes_max = 64 << 20;    // contents and deltas in memory for them
inline constexpr std::size_t bulk_credit_bytes = 8 << 20;  // asked of a peer and not come yet
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
inline constexpr std::uint64_t digest_ms = 10'000;
inline constexpr std::uint64_t want_timeout_ms = 10'000;
inline constexpr std::uint64_t want_expiry_ms = 60'000;  // also where others' pieces keep coming
inline constexpr std::uint64_t retry_min_ms = 50, retry_max_ms = 5'000;
inline constexpr std::uint64_t start_grace_ms =
    3'000;  // a member not linked this long after the start is unreachable
inline constexpr std::uint64_t hearing_ms = 60'000;  // after a loss of power: for the members to tell what they know
inline constexpr std::uint64_t refused_ms = 10'000;  // before a refused actor is asked for again
inline constexpr std::uint64_t lag_ms = 250;         // how often it is measured
inline constexpr std::uint64_t lag_unready_ms = 50;  // the same while a balancer waits for this node
inline constexpr std::uint64_t settle_ms = 50;       // how often it is seen whether a peer can be told that all is here
inline constexpr std::size_t pending_seen_max = 256;  // looked through for that; with more pending it is not
// How long balancers may take to notice that a node is leaving: the checks that `syncline lb` prints come every
// second or two.
inline constexpr std::uint64_t leave_ms = 2'500;
}  // namespace tuning

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
  std::set<NodeId> tried{};    // in vain
  std::set<NodeId> refused{};  // of those, the ones that said that they do not have it
  std::uint64_t total = 0;      // of what is transferred: size, or the delta's once known
  std::uint64_t asked = 0;      // offset up to which it has been asked for
  std::uint64_t written = 0;    // bytes staged
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
};

struct WantRef {
  Hash128 hash;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

struct Peer {
  NodeId node{};
  std::string name{};
  bool greeted = false;       // its Hello has come
  bool clock_behind = false;  // its clock is far behind ours
  bool ready = false;
  bool pushing = true;  // our own versions go to it as they are made; else it asks
  std::uint64_t push_from = 0;  // while pushing: all above this has been given to its lane
  std::uint64_t put_off_after = UINT64_MAX, put_off_until_ms = 0;  // a Need answered by what is pushed
  ActorId actor{};
  VersionVector vector{};        // as announced
  VersionVector start_vector{};  // of its Hello: what being caught up with it means
  VersionVector announced{};     // what we told it
  std::uint64_t announce_at = 0, digest_at = 0;
  std::map<std::uint64_t, WantRef> wants{};  // by id
  std::uint64_t owed_bytes = 0;              // of them
  std::uint64_t lane_progress_ms[2] = {};    // when a small, a bulk piece came last
  std::vector<Want::Item> outbox{};          // wants of this step
  std::size_t serving = 0;
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
  bool over = false, done = false;
};

bool same_but_for_mtime(const Content& a, const Content& b);  // replica_observe.cpp

struct Replica::Impl {
  Index& index;
  ReplicaOptions options;
  HlcClock clock;
  Now now;
  std::mt19937_64 random;
  std::vector<Effect> effects;
  std::uint64_t started_ms = 0;
  bool started = false;

  // what this node writes
  std::uint64_t own_seq = 0;
  std::uint64_t pushed_seq = 0;
  std::vector<Entries::Item> push;  // of this step, seqs in (pushed_seq, own_seq]

  std::map<NodeId, Peer> links;
  std::map<ActorId, Stream> streams;
  std::map<ActorId, std::uint64_t> gaps;  // since when
  std::map<ActorId, std::uint64_t> refused_until;
  std::string clock_problem;

  std::map<PathKey, Work> works;
  Retries retries;
  std::map<PathKey, Publishing> publishing;
  std::map<Hash128, unsigned> vain_rounds;  // of a conflict's bytes that every member was asked for
  std::map<Hash128, Fetch> fetches;
  std::set<Hash128> hungry;  // of them, those that may have more to ask for than the credit allowed
  struct Intent {
    Record target;
    unsigned slot = 0;
  };
  std::multimap<PathKey, Intent> intents;  // of the runs before, until the path has been looked at
  std::vector<unsigned> free_slots;
  // While a path is observed that a run before was changing when it died, and that shows neither what was there nor what was to be: the
  // greatest time of what its writer may have seen.
  std::optional<Hlc> unsure;
  // Which applies have ended, counted: a look that was begun before tells nothing of what they changed.
  struct Disturbed {
    std::uint64_t self = 0, below = 0;
  };
  std::map<PathKey, Disturbed> disturbed;
  std::uint64_t applies_done = 0, disturbed_floor = 0;
  std::set<PathKey> look_after_applies;  // directories, when what is under way below them has ended
  // Before the first scan is over nothing is done to a path that has not been looked at: what came for it waits here.
  struct Awaited {
    NodeId from;
    std::shared_ptr<const Bytes> bytes, delta;
    Dot dot;
  };
  std::map<PathKey, Awaited> awaited;
  std::map<Hash128, PathKey> staging;  // whose staged content this is: one path at a time
  std::multimap<Hash128, PathKey> staging_waiters;
  std::map<JobId, PathKey> work_jobs;
  std::map<JobId, FetchJob> fetch_jobs;
  std::map<JobId, Serving> serving_jobs;
  std::map<JobId, PathKey> publish_jobs;
  std::map<JobId, PathKey> time_jobs;
  struct VersionJob {
    Conflict entry;
    bool copying = false;
  };
  std::map<JobId, VersionJob>
      version_jobs;  // looking for a conflict's bytes, or copying them from a file here
  std::map<PathKey, std::uint64_t>
      touched;             // directories whose mtime an apply disturbed: when to set it back
  std::set<Hash128> kept;  // contents known to be in versions/ though no conflict says so
  std::multimap<std::uint64_t, Conflict> later_versions;  // by when to look again
  std::uint64_t next_timeouts_ms = 0;
  std::deque<Conflict> version_queue;       // conflicts whose bytes are to be fetched
  struct Pass {
    std::string cursor;   // where the pass over the pending list stands
    bool missed = false;  // it met a path that could not be started
    bool crowded = false;  // one that is not merely large
  };
  std::map<FolderId, Pass> passes;
  std::set<FolderId> backlog;               // folders with pending paths that are not being worked on
  std::map<FolderId, std::uint64_t> crowded_since;  // with paths among them that are not merely large
  std::uint64_t backlog_at_ms = 0;
  std::size_t bulk_works = 0, held_bytes = 0;
  JobId next_job = 1;
  std::uint64_t next_want = 1, next_fetch = 1;
  struct CachedDelta {
    Hash128 base, hash;
    std::shared_ptr<const Bytes> bytes;
  };
  std::deque<CachedDelta> deltas;
  std::size_t deltas_bytes = 0;

  std::map<FolderId, std::shared_ptr<const IgnoreRules>> rules;
  std::set<FolderId> rules_unsettled;  // changed, and no scan by the new ones is over
  // A pass over the folder's entries that brings `held` up to date.
  struct Sweep {
    std::string cursor;
    bool release = false;  // sets free, too, what is not ignored any more
  };
  std::map<FolderId, Sweep> sweeps;

  std::map<FolderId, std::string> stopped;
  std::set<FolderId> scanned;
  std::map<std::string, ProblemView> problems;
  bool caught_up_once = false, was_ready = false;
  const VersionVector started_with;  // this index's vector
  struct Lag {
    std::uint64_t due_ms = 0;
    bool stale = false;  // something has happened since it was measured
    bool behind_start = true;  // by something that was known when the links came up; until it has caught up once
    std::uint64_t missing = 0;
    VersionVector mark{};  // what was known to be missing at mark_ms and still is in part
    std::uint64_t mark_ms = 0;
    std::map<FolderId, FolderLag> folders{};  // `changes` is what is to be left out
  } lag;
  std::map<PathKey, bool> stuck;  // pending paths that cannot be brought to disk, as their problem says; true: no space
  Drain draining;
  std::map<NodeId, Settling> settlings;
  std::uint64_t settle_due_ms = 0;
  mutable std::vector<NodeId> members;  // of the cluster's own folder, while `members_known`
  mutable bool members_known = false;

  struct Drop { FolderId folder = 0; std::uint64_t at_ms = 0; bool under_way = false; };
  std::map<Hash128, Drop> drops;           // kept versions that nobody seems to need any more
  std::map<JobId, Hash128> drop_jobs;
  std::map<std::uint64_t, Wait> waits;
  std::map<NodeId, std::uint64_t> leaving_until;  // members that were ready a moment ago, and may still get readers
  std::map<std::pair<NodeId, std::uint64_t>, LocalProbe> probes;  // of peers, not answered yet
  std::uint64_t next_wait = 1;
  static constexpr std::uint64_t kThisCommit =
      UINT64_MAX;  // stands for the number of the batch that the current step becomes
  std::uint64_t durable = 0;

  Impl(Index& i, ReplicaOptions o);

  // replica.cpp
  void step(const Event& event, Now at);
  void tick();
  std::uint64_t next_tick() const;
  const std::vector<NodeId>& member_ids() const;
  void problem(const std::string& path, std::string text);
  void no_problem(const std::string& path);
  void log(bool warning, std::string text) { effects.push_back(LogLine{warning, std::move(text)}); }
  JobId start_job(FolderId folder, std::string strand, bool bulk, decltype(FileJob::work) work);
  bool owns(FolderId folder) const;

  // replica_ready.cpp
  Readiness readiness() const;
  bool ready() const { return readiness().takes_readers(); }
  Readiness not_synced() const;
  std::string not_found_yet() const;
  std::string too_far_behind(const Readiness& r) const;
  void stuck_at(const PathKey& key, std::string why, bool full = false);
  void measure_lag();
  void measure_missing();
  std::uint64_t oldest_ms(FolderId folder) const;
  bool is_behind_start() const;
  bool is_pending(const VersionVector& of, bool stuck_too) const;

  // replica_drain.cpp
  void load_drain();
  void ask_to_settle();
  void ask_to_settle(Peer& peer);
  void on(Peer& peer, Settle& m);
  void on(Peer& peer, Settled& m);
  bool has_all_of(const VersionVector& vector) const;
  void tick_drain();
  std::uint64_t next_drain_ms() const;

  // replica_gossip.cpp
  void link_up(const NodeId& node);
  void link_down(const NodeId& node);
  void received(const NodeId& node, const Bytes& bytes);
  void on(Peer& peer, Hello& m);
  void on(Peer& peer, Announce& m);
  void on(Peer& peer, Digest& m);
  void on(Peer& peer, AskVector& m);
  void on(Peer& peer, Need& m);
  void on(Peer& peer, Entries& m);
  void on(Peer& peer, Refusal& m);
  void send(const NodeId& node, Lane lane, const Message& message) {
    Bytes bytes = encode(message);
    // Pieces of large files are as a rule compressed already, and a fast link is faster than the compression.
    effects.push_back(Send{node, lane, lane == Lane::small ? pack(std::move(bytes)) : std::move(bytes)});
  }
  void flush_push();
  void announce(Peer& peer, bool everything);
  void schedule_announcements();
  void look_for_gaps(Peer& peer, bool at_once);
  void judge_clock();
  bool may_put_off(Peer& peer, std::uint64_t after) const;
  std::uint64_t gap_patience_ms(const Peer& peer, const ActorId& actor) const;
  void need(Peer& peer, const ActorId& actor);
  bool clock_acceptable(Peer& peer, const Entries& m);
  Hash128 vector_hash() const;

  // replica_accept.cpp
  Dot next_dot();
  Hlc next_time(Hlc above) {
    clock.observe(above);
    return clock.tick(now.wall_ms);
  }
  void accept(Record record, std::optional<Entries::Attachment> attachment, const NodeId& from);
  void accept(Conflict entry, const NodeId& from);
  // A version made here; `disk` is what the tree shows of it (nullopt: nothing). False if it lost to a
  // version unseen.
  bool accept_own(Record record, PathEntry entry, std::optional<OnDisk> disk,
                  std::optional<Entries::Attachment> attachment);
  void raise_conflict(const Record& loser, const Record& winner);
  void resolve(Conflict entry);
  void resolve_dominated(const Record& by);
  void repair_around(FolderId folder, const std::string& path, unsigned depth = 0);
  void make_directory(FolderId folder, const std::string& path, unsigned depth);
  void ensure_version(const Conflict& entry);
  void next_versions();
  void drop_version(FolderId folder, const Hash128& hash) { drops.try_emplace(hash, Drop{folder, now.mono_ms + tuning::retry_max_ms, false}); }
  void next_drops();

  // replica_observe.cpp
  void observed(FolderId folder, const Observation& observation, std::uint64_t as_of);
  bool is_stale(const PathKey& key, const Observation& observation, std::uint64_t as_of) const;
  bool is_applying_below(const PathKey& key) const;
  void disturb(const PathKey& key);
  bool is_our_doing(const PathKey& key, const Observation& observation, PathEntry& entry);
  void take_observation(const PathKey& key, const Observation& observation, PathEntry& entry);
  void observed_absent(FolderId folder, const std::string& path, PathEntry& entry, bool at_start);
  void observed_present(FolderId folder, const Observation& observation, PathEntry& entry, bool at_start);
  void vanish_below(FolderId folder, const std::string& directory, bool at_start);
  void delete_local(FolderId folder, const std::string& path, const PathEntry& entry, bool at_start);
  void publish(FolderId folder, const Observation& observation, const PathEntry& entry, bool at_start,
               std::optional<Entries::Attachment> attachment);
  void wrote_late(FolderId folder, const LateWrite& late);
  std::string place_of(FolderId folder, const LateWrite& late) const;
  bool is_first_report(const PathKey& key, const Hash128& content);
  void delta_made(JobId id, const Result<Bytes>& delta);
  void keep_signature(const Observation& observation, const PathEntry& before);

  // replica_held.cpp
  FolderMode mode(FolderId folder) const;
  bool has_rules(FolderId folder) const;
  bool is_ignored(FolderId folder, const std::string& path, Kind kind) const;
  bool is_ignored(FolderId folder, const std::string& path, const PathEntry& entry) const;
  bool is_ignored(const PathKey& key, const Observation& observation, const PathEntry& entry) const;
  Held due_hold(FolderId folder, const std::string& path, const PathEntry& entry) const;
  bool adopt_time(PathEntry& entry) const;
  bool hold_back(const PathKey& key, const PathEntry& entry);
  bool has_only_held(const PathKey& directory) const;
  void hold_for_good(const PathKey& directory);
  void wake_directory(FolderId folder, const std::string& path);
  bool is_withheld(const PathKey& key, const std::optional<PathEntry>& entry) const;
  bool never_shows(FolderId folder, const std::string& path, const Dot& dot) const;
  void release(const PathKey& key, const Observation& observation, PathEntry& entry);
  void on_rules(FolderId folder, std::shared_ptr<const IgnoreRules> changed);
  void settle_held(FolderId folder);
  void sweep();
  void keep_unpublished(FolderId folder, const Observation& observation, PathEntry entry);
  bool heal_unpublished(PathEntry& entry) const;
  void publish_held(FolderId folder, const std::string& path, const PathEntry& entry);
  void revert(const PathKey& key);
  void keep_stray(const std::string& path, const Hash128& hash);

  // replica_power.cpp
  bool recovering = false;    // from a loss of power: the first scan is not over, or not all members have told what they know
  bool heard_members = false;
  std::map<FolderId, std::string> distrusted_at;  // where the pass over what is distrusted stands, once they have
  std::set<PathKey> suspects_seen;  // distrusted paths where something was seen
  std::uint64_t started_wall_ms = 0;
  void load_recovery();
  void tick_recovery();
  bool has_heard_members();
  bool is_suspect(const PathKey& key, const Observation& observation, PathEntry& entry);
  bool judge_leftover(const PathKey& key, const Observation& observation, PathEntry& entry);
  bool judge_by_mark(const PathKey& key, const Observation& observation, PathEntry& entry);
  bool is_damaged(const Observation& observation, const PathEntry& entry) const;
  bool is_former(const PathKey& key, const Observation& observation, PathEntry& entry) const;
  void settle_leftover(const PathKey& key, const PathEntry& entry);
  void leave_to_live(const PathKey& key, const Observation& observation, PathEntry& entry);
  void publish_leftover(const PathKey& key, const Observation& observation, PathEntry entry, bool at_its_time);

  // replica_work.cpp
  void start_work(FolderId folder, const std::string& path, const NodeId& from = {},
                  std::shared_ptr<const Bytes> bytes = nullptr, std::shared_ptr<const Bytes> delta = nullptr);
  bool await_look(const PathKey& key, Awaited what);
  void looked_at(const PathKey& key);
  void drop_awaited(const PathKey& key);
  void end_awaiting(FolderId folder);
  void hold_for_next(Work& work, std::shared_ptr<const Bytes> bytes, std::shared_ptr<const Bytes> delta, const Dot& dot, const NodeId& from);
  void begin_work(const PathKey& key, const PathEntry& entry, const NodeId& from, std::shared_ptr<const Bytes> bytes,
                  std::shared_ptr<const Bytes> delta);
  void apply_work(const PathKey& key, Work& work);
  void drop_made_parent(FolderId folder, const std::string& path);
  void load_intents();
  void look_for_intents();
  void free_slot(unsigned slot);
  void forget_intents(const PathKey& key);
  bool remember_intent(Work& work);
  void forget_intent(Work& work);
  bool take_intent(const PathKey& key, const Observation& observation, PathEntry& entry);
  bool above_an_intent(const PathKey& key) const;
  void applied_work(const PathKey& key, const ApplyResult& result);
  void next_step(const PathKey& key, Work& work);
  bool take_staging(const PathKey& key, const Hash128& hash);
  void stage_job(const PathKey& key, decltype(FileJob::work) job);
  void content_staged(const PathKey& key, const Result<Staged>& result);
  void content_failed(const PathKey& key, std::uint64_t again_ms);
  void end_work(const PathKey& key);
  void job_done(JobId id, FileOutcome& outcome);
  void version_job_done(VersionJob job, const FileOutcome& outcome);
  void hasten(FolderId folder, std::string_view directory);
  void retry_later(const PathKey& key, std::uint64_t min_ms = tuning::retry_min_ms);
  void local_version_displaced(const PathKey& key, const DiskState& displaced,
                               const std::optional<OnDisk>& before);
  void put_off(FolderId folder, bool merely_large = false);
  void next_backlog();
  void touch_parent(FolderId folder, const std::string& path);
  void touch(const PathKey& directory);
  void restore_times();
  void time_restored(const PathKey& key, const Result<Fingerprint>& print);

  // replica_fetch.cpp
  void start_fetch(Fetch fetch, const NodeId& first);
  void choose_peer(Fetch& fetch);
  void ask(Fetch& fetch);
  void flush_wants();
  void on(Peer& peer, Want& m);
  void on(Peer& peer, Piece& m);
  void on(Peer& peer, Unavailable& m);
  void fetch_failed_at(Hash128 hash);
  void content_in_vain(const Fetch& f);
  bool all_members_in(const std::set<NodeId>& nodes) const;
  void version_in_vain(const Conflict& entry, const std::set<NodeId>& refused);
  NodeId node_of(const ActorId& actor) const;
  void take_piece(Fetch& f, const WantRef& ref, Piece& m);
  void ask_more(Peer& peer);
  void abandon_fetch(const PathKey& key, const Content& wanted);
  void drop_staged(FolderId folder, const Hash128& hash);
  void forget_wants(Fetch& f);
  void start_fetch_job(const Fetch& f, decltype(FileJob::work) work);
  void end_fetch(Hash128 hash, bool ok);
  void fetch_job_done(const FetchJob& job, FileOutcome& outcome);
  void serve(Peer& peer, const Want::Item& item);
  void served(const Serving& serving, const Result<Bytes>& bytes);
  void forget_peer(const NodeId& node);
  void fetch_timeouts();
  void cache_delta(const Hash128& base, const Hash128& hash, std::shared_ptr<const Bytes> bytes);

  // replica_wait.cpp
  void on(Peer& peer, Probe& m);
  void on(Peer& peer, ProbeAnswer& m);
  bool shows(FolderId folder, const std::string& path, const Dot& dot, Hlc hlc) const;
  void path_changed(FolderId folder, const std::string& path);
  void answer_probes();
  void ask_waits(const NodeId& node);
  void not_ready_any_more(const NodeId& node);
  void check_wait(std::uint64_t id, Wait& wait);
  void check_waits();

  // replica_find.cpp
  Finds finds;
  void begin_find(std::uint64_t id, Find& find);
  void judge_find(std::uint64_t id, Find& find, bool just_changed = false);
  void end_find(std::uint64_t id, Find& find, FindView::State state);
  void find_changed(const PathKey& key);
  void bring(Find& find);
  bool sought(const PathKey& key) const { return finds.first_row.contains(key); }
  bool missed_lately(const PathKey& key);
  void remember_miss(const PathKey& key);
  void tick_finds();
  std::uint64_t next_find_ms() const;

  // replica_lookup.cpp
  void ask_members(std::uint64_t id, Find& find);
  void ask_finds(const NodeId& node);
  void silence_finds(const NodeId& node);
  void on(Peer& peer, Lookup& m);
  void on(Peer& peer, LookupAnswer& m);
  void want_look(const PathKey& key, const DiskQuestion& question);
  void looked(FolderId folder, const Observation& observation);
  LookupAnswer judge_disk(const PathKey& key, const Observation& observation) const;
  void answer_question(const DiskQuestion& question, const LookupAnswer& answer);
  void flush_replies();
};

}  // namespace syncline

#pragma once
// The replica's state, shared by replica*.cpp and by nothing else. One idea a file:
//   replica.cpp          events in, effects out; views
//   replica_folders.cpp  folders that come and go while the node runs
//   replica_ready.cpp    readiness, and how far this node is behind
//   replica_drain.cpp    out of service: who else has everything
//   replica_gossip.cpp   links, vectors, the log's streams
//   replica_accept.cpp   versions heard of or written here, conflicts, repairs of the tree
//   replica_observe.cpp  what is on disk, turned into versions
//   replica_held.cpp     what is not to be: ignored paths, folders that only send or only receive
//   replica_work.cpp     bringing the tree to the live versions
//   replica_backlog.cpp  paths that cannot be begun yet
//   replica_times.cpp    mtimes of directories that our own changes disturb
//   replica_intents.cpp  what a run before was doing when it died
//   replica_power.cpp    what a loss of power has left on the disk
//   replica_fetch.cpp    contents from peers, and for them
//   replica_relay.cpp    large ones, passed on from member to member
//   replica_wait.cpp     the barrier
//   replica_find.cpp     fetch on miss: a path that a reader waits for
//   replica_lookup.cpp   fetch on miss: questions to the members, and looks at the disk for theirs
#include <deque>
#include <map>
#include <random>
#include <set>
#include <unordered_map>

#include "node/replica_find.h"
#include "node/replica_parts.h"
#include "node/replica_retries.h"
#include "protocol/packing.h"

namespace syncline {

bool same_but_for_mtime(const Content& a, const Content& b);  // replica_observe.cpp

struct Replica::Impl {
  Index& index;
  ReplicaOptions options;
  HlcClock clock;
  Now now;
  std::uint64_t ticked_ms = 0;  // when tick() ran last: what is due by time is counted from there, whoever else comes meanwhile
  std::mt19937_64 random;
  std::vector<Effect> effects;
  std::uint64_t started_ms = 0;
  bool started = false;

  // what this node writes
  std::uint64_t own_seq = 0;
  std::uint64_t pushed_seq = 0;
  std::vector<Entries::Item> push;  // of this step, seqs in (pushed_seq, own_seq]

  std::map<NodeId, Peer> links;
  std::uint64_t peers_due_ms = 0;  // when something is to be said to one of them at the earliest
  bool any_leads = false;          // no: Peer::leads is empty of all
  std::size_t wants_waiting = 0;   // in their outboxes
  std::map<ActorId, Stream> streams;
  std::map<ActorId, std::uint64_t> gaps;  // since when
  std::uint64_t risen_ms = 0;  // when the index's vector did last
  std::map<ActorId, std::uint64_t> refused_until;
  std::string clock_problem;

  std::map<PathKey, Work> works;
  Retries retries;
  std::map<PathKey, Publishing> publishing;
  std::map<Hash128, unsigned> vain_rounds;  // of a conflict's bytes that every member was asked for
  std::map<Hash128, Fetch> fetches;
  std::vector<Relay> relays;
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
  DueTimes touched;        // directories whose mtime an apply disturbed: when to set it back
  using Kept = std::pair<FolderId, Hash128>;
  std::set<Kept> kept;  // contents known to be in versions/ though no conflict says so
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
  std::set<FolderId> paused;  // of these, the ones that an administrator has stopped
  std::set<FolderId> scanned;
  std::map<PathKey, ProblemView> problems;
  bool fit = false;        // for readers, as the others have been told: their `wait` for all waits for this node
  bool confirmed = false;  // all have said that it does, and what they had until then is here: readers may come
  bool logged_ready = false;
  std::optional<std::uint64_t> cut_off_ms;  // when it was found last that this node has no majority
  Readiness readiness{.reason = "first scan under way"};  // as tick() has judged: what others are told and what balancers are told agree
  const VersionVector started_with;  // this index's vector
  struct Lag {
    std::uint64_t due_ms = 0;
    bool stale = false;  // something has happened since it was measured
    bool behind_start = true;  // by something that was known when the links came up, or the others began to count on us; until confirmed
    std::uint64_t missing = 0, missing_promised = 0;
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
  mutable std::optional<std::size_t> linked_known{};  // of these, as long as they are the same
  mutable std::string departed;  // why this node is no member any more, or empty

  struct Drop { std::uint64_t at_ms = 0; bool under_way = false; };
  std::map<Kept, Drop> drops;  // kept versions that nobody seems to need any more
  std::map<JobId, Kept> drop_jobs;
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
  void tick_peers();
  std::uint64_t next_tick() const;
  const std::vector<NodeId>& member_ids() const;
  const std::string& why_departed() const;
  void problem(const PathKey& key, std::string text);
  void problem(std::string text) { problem(PathKey{kClusterFolder, ""}, std::move(text)); }  // of the node as a whole
  void no_problem(const PathKey& key);
  void log(bool warning, std::string text) { effects.push_back(LogLine{warning, std::move(text)}); }
  JobId start_job(FolderId folder, std::string strand, bool bulk, decltype(FileJob::work) work);
  bool owns(FolderId folder) const;

  // replica_folders.cpp
  void abandon(const PathKey& key);
  void leave_folder(FolderId folder);

  // replica_ready.cpp
  std::size_t linked_members();
  Readiness fitness();
  void tick_ready();
  void log_ready();
  void confirm();
  void offer(Peer& peer);
  void on_echo(Peer& peer);
  Readiness not_synced() const;
  std::string not_found_yet() const;
  std::string looking_for() const;
  std::string too_far_behind(const Readiness& r) const;
  void stuck_at(const PathKey& key, std::string why, bool full = false);
  void measure_lag();
  void measure_missing();
  std::uint64_t oldest_ms(FolderId folder) const;
  bool is_behind_start() const;
  std::set<ActorId> unready_writers() const;
  std::uint64_t promised(FolderId folder) const;
  bool is_pending(const VersionVector& of, bool stuck_too) const;

  // replica_drain.cpp
  void load_drain();
  void ask_to_settle();
  void ask_to_settle(Peer& peer);
  void on(Peer& peer, Settle& m);
  void on(Peer& peer, Settled& m);
  bool has_all_of(const Settling& settling) const;
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
  void tell_news(Peer& peer);
  void plan_digest(Peer& peer);
  void send_digest(Peer& peer);
  void choose_near();
  void schedule_announcements(const ActorId& of);
  void push_if_level(Peer& peer);
  void heard(Peer& peer, const ActorId& actor, std::uint64_t seq);
  void look_for_gaps(Peer& peer, bool at_once);
  void judge_clock();
  bool is_understood() const;
  bool may_put_off(Peer& peer, std::uint64_t after) const;
  std::uint64_t gap_patience_ms(const Peer& peer, const ActorId& actor) const;
  void need(Peer& peer, const ActorId& actor);
  bool clock_acceptable(Peer& peer, const Entries& m);

  // replica_accept.cpp
  Dot next_dot();
  Hlc next_time(Hlc above) {
    clock.observe(above);
    return clock.tick(now.wall_ms);
  }
  void accept(Record record, std::optional<Entries::Attachment> attachment, const NodeId& from);
  void accept(Conflict entry, const NodeId& from);
  void keep_listed(const Record& record, std::shared_ptr<const Bytes> bytes);
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
  void look_for_kept(FolderId folder, const Hash128& content);
  void next_versions();
  void drop_version(FolderId folder, const Hash128& hash) {
    drops.try_emplace(Kept{folder, hash}, Drop{now.mono_ms + tuning::retry_max_ms, false});
  }
  void next_drops();

  // replica_observe.cpp
  void observed(FolderId folder, const Observation& observation, std::uint64_t as_of);
  bool is_stale(const PathKey& key, const Observation& observation, std::uint64_t as_of) const;
  bool is_applying_below(const PathKey& key) const;
  void disturb(const PathKey& key);
  bool is_our_doing(const PathKey& key, const Observation& observation, PathEntry& entry);
  void take_observation(const PathKey& key, const Observation& observation, PathEntry& entry);
  void give_way(const PathKey& key, const Observation& o, PathEntry& entry);
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
  bool has_spread(FolderId folder, const std::string& path, const Hash128& content) const;
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
  bool is_still_kept(const PathKey& key, const PathEntry& entry) const;
  bool is_below_unpublished(FolderId folder, const std::string& path) const;
  void wake_below(FolderId folder, const std::string& directory);
  void take_ignored(const PathKey& key, const Observation& o, PathEntry& entry);
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
  void keep_stray(const PathKey& key, const Hash128& hash);

  // replica_power.cpp
  bool recovering = false;    // from a loss of power: the first scan is not over, or not all members have told what they know
  bool heard_members = false;
  bool recovery_waits = false;  // for the first scan of some folder
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
  bool is_spared(const PathKey& key, const Record& live, const DiskState& disk) const;
  void begin_work(const PathKey& key, const PathEntry& entry, const NodeId& from, std::shared_ptr<const Bytes> bytes,
                  std::shared_ptr<const Bytes> delta);
  void apply_work(const PathKey& key, Work& work);
  void made_parent(FolderId folder, const std::string& path);
  void made_parents_of(const PathKey& key);
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
  NodeId node_of(const ActorId& actor) const;
  void take_piece(Fetch& f, const WantRef& ref, Piece& m);
  void ask_more(Peer& peer);
  void abandon_fetch(const PathKey& key, const Content& wanted);
  void drop_staged(FolderId folder, const Hash128& hash);
  void forget_wants(Fetch& f);
  void start_fetch_job(const Fetch& f, decltype(FileJob::work) work);
  void end_fetch(Hash128 hash, bool ok);
  void fetch_job_done(const FetchJob& job, FileOutcome& outcome);
  void serve(Peer& peer, const Want::Item& item, bool last_time);
  void served(const Serving& serving, const Result<Bytes>& bytes);
  NodeId before_in_line(const Fetch& fetch, const NodeId& first) const;
  bool relay(Peer& peer, const Want::Item& item, bool read_failed);
  void go_on_relaying(const Hash128& content, bool over);
  void end_relays();
  void forget_peer(const NodeId& node);
  void fetch_timeouts();
  void cache_delta(const Hash128& base, const Hash128& hash, std::shared_ptr<const Bytes> bytes);

  // replica_vain.cpp
  void content_in_vain(const Fetch& f);
  void version_in_vain(const Conflict& entry, const std::set<NodeId>& refused);
  bool answers_for(const NodeId& writer) const;
  bool all_members_in(const std::set<NodeId>& nodes) const;

  // replica_wait.cpp
  void on(Peer& peer, Probe& m);
  void on(Peer& peer, ProbeAnswer& m);
  bool shows(FolderId folder, const std::string& path, const Dot& dot, Hlc hlc) const;
  void path_changed(FolderId folder, const std::string& path);
  void answer_probes();
  void ask_waits(const NodeId& node);
  void not_ready_any_more(const NodeId& node);
  bool begin_wait(std::uint64_t id, Wait& wait);
  void ask_wait(const NodeId& node, std::uint64_t id, Wait& wait);
  void ask_members(std::uint64_t id, Wait& wait);
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

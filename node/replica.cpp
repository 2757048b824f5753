#include "node/replica.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/member.h"
#include "protocol/planted_fault.h"

namespace syncline {

Replica::Impl::Impl(Index& i, ReplicaOptions o)
    : index(i), options(std::move(o)), random(options.random_seed), started_with(i.vector()) {
  if (const auto saved = index.meta("hlc")) {
    Reader r(*saved);
    clock.observe({r.u64()});
  }
  load_intents();
  load_recovery();
  load_drain();
  for (const FolderId folder : options.folders) {
    if (index.counts(folder).pending > 0) backlog.insert(folder), crowded_since[folder] = 0;
    for (const Conflict& c : index.conflicts(folder, false, SIZE_MAX)) ensure_version(c);
  }
}

bool Replica::Impl::owns(FolderId folder) const {
  return std::find(options.folders.begin(), options.folders.end(), folder) != options.folders.end();
}

void Replica::Impl::step(const Event& event, Now at) {
  now = at;
  if (!started) started = true, started_ms = now.mono_ms, started_wall_ms = now.wall_ms;
  const Hlc before = clock.last();
  struct Visitor {
    Impl& r;
    void operator()(const LinkUp& e) { r.link_up(e.peer); }
    void operator()(const LinkPath& e) {
      if (const auto link = r.links.find(e.peer); link != r.links.end()) link->second.rtt_ms = e.rtt_ms;
    }
    void operator()(const LinkDown& e) { r.link_down(e.peer); }
    void operator()(const Received& e) { r.received(e.peer, e.message); }
    void operator()(const SendRefused& e) {
      const auto it = r.links.find(e.peer);
      if (it != r.links.end() && e.lane == Lane::small) it->second.pushing = false;  // until it has caught up by asking
    }
    void operator()(const LaneWritable& e) {
      const auto it = r.links.find(e.peer);
      if (it == r.links.end() || !it->second.greeted || it->second.pushing) return;
      r.send(e.peer, Lane::small, Entries{r.options.actor, 0, 0, {}});  // an answer may have been lost
      r.announce(it->second, true);                                     // it asks for what it missed
    }
    void operator()(const Observed& e) {
      r.observed(e.folder, e.observation, e.as_of);
      if (e.asked) r.looked(e.folder, e.observation);
    }
    void operator()(const FileDone& e) {
      FileOutcome outcome = e.outcome;
      r.job_done(e.id, outcome);
    }
    void operator()(const Durable& e) {
      r.durable = std::max(r.durable, e.batch);
      r.answer_probes();
      r.check_waits();
    }
    void operator()(const FolderStopped& e) {
      if (e.reason.empty()) {
        if (r.stopped.erase(e.folder) == 0) return;
        r.paused.erase(e.folder);
        r.backlog.insert(e.folder);
        // While it was away nobody could see whether their bytes are there.
        for (const Conflict& c : r.index.conflicts(e.folder, false, SIZE_MAX)) r.ensure_version(c);
      } else if (r.owns(e.folder) && r.stopped[e.folder] != e.reason) {
        r.stopped[e.folder] = e.reason;
        e.paused ? void(r.paused.insert(e.folder)) : void(r.paused.erase(e.folder));
        r.scanned.erase(e.folder);  // nobody looks meanwhile: what the next scan finds has happened at some time
        r.end_awaiting(e.folder);
      }
    }
    void operator()(const WroteLate& e) { r.wrote_late(e.folder, e.late); }
    void operator()(const KeptFound& e) {
      for (const Hash128& hash : e.contents) r.kept.emplace(e.folder, hash);
    }
    void operator()(const IgnoreChanged& e) { r.on_rules(e.folder, e.rules); }
    void operator()(const ScanFinished& e) {
      if (!r.clock_problem.empty()) return;  // nothing of it was taken: another follows when the clock is right
      if (!r.owns(e.folder) || r.stopped.contains(e.folder)) return;
      r.scanned.insert(e.folder);
      r.backlog.insert(e.folder);
      r.settle_held(e.folder);
      r.end_awaiting(e.folder);
      r.look_for_intents();
    }
    void operator()(const Tick&) {}
  };
  std::visit(Visitor{*this}, event);
  tick();
  flush_push();
  flush_replies();
  flush_wants();
  if (clock.last() != before) {
    Writer w;
    w.u64(clock.last().value);
    index.put_meta("hlc", w.data());
  }
}

// What is due by time or has become possible; cheap when there is nothing.
void Replica::Impl::tick() {
  ticked_ms = now.mono_ms;
  if (any_leads || now.mono_ms >= peers_due_ms) tick_peers();
  if (!touched.empty()) restore_times();
  fetch_timeouts();
  end_relays();
  next_versions();
  if (!drops.empty()) next_drops();
  for (const PathKey& key : retries.take_due(now.mono_ms)) {
    if (!works.contains(key)) start_work(key.folder, key.path);
    // Under way, it keeps its back-off until the path succeeds.
    if (!works.contains(key)) retries.later(key, now.mono_ms + 100);
  }
  tick_finds();
  if (!sweeps.empty()) sweep();
  next_backlog();
  if (recovering) tick_recovery();
  check_waits();
  if (now.mono_ms >= lag.due_ms)
    measure_lag();
  else
    lag.stale = true;
  tick_drain();
  tick_ready();
}

void Replica::Impl::tick_peers() {
  peers_due_ms = UINT64_MAX;
  any_leads = false;
  for (auto& [node, peer] : links) {
    if (!peer.greeted) continue;
    if (peer.announce_at != 0 && now.mono_ms >= peer.announce_at) tell_news(peer);
    if (now.mono_ms >= peer.digest_at) send_digest(peer);
    look_for_gaps(peer, false);
    peers_due_ms = std::min(peers_due_ms, peer.digest_at);
    if (peer.announce_at != 0) peers_due_ms = std::min(peers_due_ms, peer.announce_at);
    any_leads = any_leads || !peer.leads.empty();
  }
  if (problems.contains({kClusterFolder, ""}) && is_understood()) no_problem({kClusterFolder, ""});
}

std::uint64_t Replica::Impl::next_tick() const {
  std::uint64_t due = std::min(ticked_ms + 1000, peers_due_ms);
  if (!gaps.empty()) due = std::min(due, ticked_ms + tuning::gap_ms);
  for (const Relay& relay : relays) due = std::min(due, relay.until_ms);
  due = std::min(due, touched.next_ms());
  due = std::min(due, retries.next_ms());
  if (!backlog.empty()) due = std::min(due, backlog_at_ms);
  if (!sweeps.empty()) due = ticked_ms;
  due = std::min(due, next_find_ms());
  if (recovering && heard_members && !recovery_waits) due = ticked_ms + 10;
  due = std::min(due, next_drain_ms());
  for (const auto& [node, until_ms] : leaving_until) {
    if (!waits.empty() && until_ms > now.mono_ms) due = std::min(due, until_ms);
  }
  if (lag.stale) due = std::min(due, lag.due_ms);
  return std::max(due, ticked_ms + 1);
}

static constexpr const char* kLeft = "this node has left the cluster";
static constexpr const char* kEvicted = "this node was evicted from the cluster; to come back it joins with a new home";

// Empty: it is a member.
const std::string& Replica::Impl::why_departed() const {
  member_ids();
  return departed;
}

const std::vector<NodeId>& Replica::Impl::member_ids() const {
  if (members_known) return members;
  members_known = true;
  if (!planted(Fault::members_miscounted)) linked_known.reset();
  members = options.members;
  for (const auto& [path, entry] : index.below(kClusterFolder, "members", "", limits::members)) {
    if (!entry.live || entry.live->content.kind != Kind::value) continue;
    const auto raw = from_hex(std::string_view(path).substr(std::string_view("members/").size()));
    if (raw && raw->size() == NodeId::size) members.push_back(NodeId::from(*raw));
  }
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  departed.clear();
  for (const auto& [path, entry] : index.below(kClusterFolder, "gone", "", limits::members)) {
    if (!entry.live || entry.live->content.kind != Kind::value) continue;
    const auto gone = decode_departure(entry.live->content.target);
    if (!gone || departure_path(gone->node) != path) continue;
    std::erase(members, gone->node);
    if (gone->node == options.self) departed = gone->state == MemberState::left ? kLeft : kEvicted;
  }
  return members;
}

void Replica::Impl::problem(const PathKey& key, std::string text) {
  const auto it = problems.find(key);
  if (it != problems.end() ? it->second.text == text : problems.size() >= tuning::problems_max) return;
  problems[key] = {key.folder, key.path, text, now.wall_ms};
  log(true, key.path.empty() ? text : key.path + ": " + text);
}

void Replica::Impl::no_problem(const PathKey& key) { problems.erase(key); }

JobId Replica::Impl::start_job(FolderId folder, std::string strand, bool bulk, decltype(FileJob::work) work) {
  effects.push_back(StartJob{{next_job, folder, std::move(strand), bulk, std::move(work)}});
  return next_job++;
}

// ---- the public face
// --------------------------------------------------------------------------------------------------------

Replica::Replica(Index& index, ReplicaOptions options)
    : impl_(std::make_unique<Impl>(index, std::move(options))) {}
Replica::~Replica() = default;

std::vector<Effect> Replica::step(const Event& event, Now now) {
  impl_->step(event, now);
  return std::exchange(impl_->effects, {});
}

std::uint64_t Replica::next_tick_ms() const { return impl_->next_tick(); }

void Replica::put_value(const std::string& path, const std::optional<Bytes>& value, Now now) {
  Impl& r = *impl_;
  r.now = now;
  PathEntry entry = r.index.get(kClusterFolder, path).value_or(PathEntry{});
  Record record{.folder = kClusterFolder, .path = path};
  if (value) record.content = {.kind = Kind::value, .target = *value};
  if (entry.live) {
    if (entry.live->content == record.content) return;
    record.context = entry.live->context;
    record.context.raise(entry.live->dot);
  }
  record.hlc = r.next_time(entry.live ? entry.live->hlc : Hlc{});
  record.dot = r.next_dot();
  r.accept_own(std::move(record), std::move(entry), std::nullopt, std::nullopt);
  r.members_known = false;
  r.effects.push_back(MembersChanged{});
}

std::map<std::string, Bytes> Replica::values(const std::string& prefix) const {
  std::map<std::string, Bytes> out;
  for (const auto& [path, entry] : impl_->index.below(kClusterFolder, prefix, "", SIZE_MAX)) {
    if (entry.live && entry.live->content.kind == Kind::value) out[path] = entry.live->content.target;
  }
  return out;
}

std::vector<PeerView> Replica::peers() const {
  std::vector<PeerView> out;
  const VersionVector& own = impl_->index.vector();
  for (const auto& [node, peer] : impl_->links) {
    PeerView v{node, peer.name, peer.greeted, peer.ready, 0, 0};
    for (const auto& e : own.entries()) v.behind += e.seq - std::min(e.seq, peer.vector.get(e.actor));
    for (const auto& e : peer.vector.entries()) v.ahead += e.seq - std::min(e.seq, own.get(e.actor));
    out.push_back(std::move(v));
  }
  return out;
}

std::vector<TransferView> Replica::transfers() const {
  std::vector<TransferView> out;
  for (const auto& [hash, f] : impl_->fetches) {
    if (f.size > limits::range_bytes)
      out.push_back(
          {f.path.folder, f.path.path, f.total, f.encoding == Encoding::delta ? f.delta.size() : f.written, f.peer});
  }
  return out;
}

std::vector<ProblemView> Replica::problems() const {
  std::vector<ProblemView> out;
  if (!impl_->clock_problem.empty()) out.push_back({kClusterFolder, "", impl_->clock_problem, impl_->now.wall_ms});
  for (const auto& [folder, rules] : impl_->rules) {
    for (const IgnoreProblem& p : rules->problems())
      out.push_back({folder, std::string(kIgnoreFile), p.text, impl_->now.wall_ms});
  }
  for (const auto& [key, p] : impl_->problems) out.push_back(p);
  return out;
}

std::string Replica::folder_stopped(FolderId folder) const {
  const auto it = impl_->stopped.find(folder);
  return it == impl_->stopped.end() ? impl_->clock_problem : it->second;
}

bool Replica::idle() const {
  const Impl& r = *impl_;
  return !r.recovering && r.works.empty() && r.fetches.empty() && r.publishing.empty() && r.touched.empty() &&
         r.streams.empty() && r.gaps.empty() && r.sweeps.empty() && r.version_queue.empty() && r.version_jobs.empty();
}

bool Replica::recovering() const { return impl_->recovering || impl_->index.distrusts_any(); }

std::uint64_t Replica::looks_as_of() const { return impl_->applies_done; }

NodeId Replica::node_of(const ActorId& actor) const { return impl_->node_of(actor); }

NodeId Replica::Impl::node_of(const ActorId& actor) const {
  if (actor == options.actor) return options.self;
  const auto entry = index.get(kClusterFolder, actor_path(actor));
  if (!entry || !entry->live) return {};
  const auto certificate = decode_actor(entry->live->content.target);
  return certificate && certificate->actor == actor ? certificate->node : NodeId{};
}

}  // namespace syncline

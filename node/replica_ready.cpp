#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

constexpr const char* kBeenReady = "been ready";

// Where nothing is synced at all: state `stopped` with the reason, else state `ready`.
Readiness Replica::Impl::not_synced() const {
  Readiness r{.state = Readiness::State::stopped};
  for (const FolderId folder : options.folders) {
    FolderLag f{.folder = folder, .changes = index.counts(folder).pending, .promised = UINT64_MAX};
    if (const auto measured = lag.folders.find(folder); measured != lag.folders.end()) {
      f.changes -= std::min(f.changes, measured->second.changes);
      f.behind_ms = f.changes > 0 ? measured->second.behind_ms : 0, f.full = measured->second.full;
      f.promised = measured->second.promised;
    }
    f.promised = std::min(f.promised, f.changes);
    r.folders.push_back(f);
  }
  r.missing = lag.missing;
  r.missing_promised = lag.missing_promised;
  r.missing_ms = lag.mark.empty() ? 0 : now.mono_ms - std::min(now.mono_ms, lag.mark_ms);
  if (!why_departed().empty() && !planted(Fault::departed_is_ready)) {
    r.reason = departed;
  } else if (stopped.size() > paused.size()) {
    const auto by_itself = [this](const auto& s) { return !paused.contains(s.first); };
    r.reason = "stopped: " + std::find_if(stopped.begin(), stopped.end(), by_itself)->second;
  } else if (!clock_problem.empty()) {
    r.reason = clock_problem;
  } else if (!stopped.empty()) {
    r.state = Readiness::State::paused;
    r.reason = stopped.begin()->second;
  } else {
    const auto full = std::find_if(r.folders.begin(), r.folders.end(), [](const FolderLag& f) { return f.full > 0; });
    if (full != r.folders.end())
      r.reason = fmt::format("no space left on this node for {} files", full->full);
    else
      r.state = Readiness::State::ready;
  }
  return r;
}

// Why this node cannot know yet how far behind it is; empty: it can.
std::string Replica::Impl::not_found_yet() const {
  for (const FolderId folder : options.folders) {
    if (!scanned.contains(folder)) return "first scan under way";
  }
  return now.mono_ms < started_ms + tuning::start_grace_ms ? looking_for() : "";
}

// Who begins to take readers while a member is not linked is not waited for there. Empty: all are linked.
std::string Replica::Impl::looking_for() const {
  for (const NodeId& m : member_ids()) {
    const auto link = links.find(m);
    if (m != options.self && (link == links.end() || !link->second.greeted)) return "looking for the other members";
  }
  return "";
}

// Empty: not by more than may be.
std::string Replica::Impl::too_far_behind(const Readiness& r) const {
  if (!fit) {
    for (const auto& [node, peer] : links) {
      if (peer.greeted && !index.vector().covers(peer.start_vector)) return "catching up with " + peer.name;
    }
  }
  const ReadyLimits& most = options.limits;
  if (r.missing_promised > most.changes || (r.missing_promised > 0 && r.missing_ms > most.behind_ms))
    return fmt::format("{} changes not heard of yet, {} s behind", r.missing, r.missing_ms / 1000);
  const bool not_yet = !fit && (lag.behind_start || lag.stale);  // records may have come since
  for (const FolderLag& f : r.folders) {
    if ((not_yet && f.changes > 0) || f.promised > most.changes || (f.promised > 0 && f.behind_ms > most.behind_ms))
      return fmt::format("{} files on their way, {} s behind", f.changes, f.behind_ms / 1000);
  }
  return "";
}

// This one not counted. It is asked after every step. (Both lists ascend.)
std::size_t Replica::Impl::linked_members() {
  const std::vector<NodeId>& all = member_ids();
  if (linked_known) return *linked_known;
  std::size_t out = 0;
  auto link = links.begin();
  for (const NodeId& m : all) {
    while (link != links.end() && link->first < m) ++link;
    if (link == links.end()) break;
    out += link->first == m && m != options.self && link->second.greeted;
  }
  linked_known = out;
  return out;
}

// But for the others' knowing.
Readiness Replica::Impl::fitness() {
  using State = Readiness::State;
  Readiness r = not_synced();
  if (r.state != State::ready) return r;
  const auto is = [&r](State state, std::string why) {
    r.state = state, r.reason = std::move(why);
    return r;
  };
  if (draining.phase == DrainView::Phase::drained || draining.phase == DrainView::Phase::leaving)
    return is(State::drained, "out of service until `syncline resume`");
  if (std::string why = not_found_yet(); !why.empty()) return is(State::starting, std::move(why));
  const std::vector<NodeId>& known = member_ids();
  const auto linked = 1 + linked_members();
  if (linked == 1 && known.size() >= 2 && !index.meta(kBeenReady))  // two may go on without each other, but not begin
    return is(State::starting, "it has not caught up with the cluster yet, and no member is linked");
  if (!options.limits.without_majority && known.size() >= 3 && linked * 2 <= known.size()) {
    cut_off_ms = now.mono_ms;
    return is(State::cut_off, "linked to less than a majority of the members");
  }
  if (cut_off_ms && now.mono_ms < *cut_off_ms + tuning::start_grace_ms) {
    if (std::string why = looking_for(); !why.empty()) return is(State::catching_up, std::move(why));
  }
  if (std::string why = too_far_behind(r); !why.empty()) return is(State::catching_up, std::move(why));
  if (draining.phase == DrainView::Phase::spreading)
    return is(State::draining, "waiting until another member has everything");
  r.state = State::ready;
  return r;
}

// Readers come only when every linked member counts on this node in its `wait` for all, and once what such waits have passed by until
// then is here.
void Replica::Impl::tick_ready() {
  readiness = fitness();
  if (fit && !readiness.takes_readers() && lag.stale) measure_lag(), readiness = fitness();
  const bool is_fit = readiness.takes_readers();
  if (is_fit != fit) {
    fit = is_fit;
    confirmed = false;
    lag.behind_start = lag.stale = true;
    lag.due_ms = 0;
    for (auto& [node, peer] : links) {
      peer.counts_us = false;
      peer.echo_id = 0;
      if (!peer.greeted) continue;
      if (fit)
        offer(peer);
      else
        announce(peer, false);
    }
    if (fit) measure_lag();
  }
  if (fit && !confirmed) confirm();
  if (fit && confirmed && !index.meta(kBeenReady)) index.put_meta(kBeenReady, "1");
  if (fit && !confirmed) readiness.state = Readiness::State::catching_up, readiness.reason = "telling the other members";
  log_ready();
}

// Once, whatever it is unready for one after another.
void Replica::Impl::log_ready() {
  const bool ready = readiness.takes_readers();
  if (ready == logged_ready) return;
  logged_ready = ready;
  effects.push_back(LogLine{false, ready ? "readers may come" : "readers may not come: " + readiness.reason});
}

void Replica::Impl::confirm() {
  bool all = true;
  for (auto& [node, peer] : links) {
    if (!peer.greeted || peer.counts_us) continue;
    all = false;
    if (now.mono_ms >= peer.offer_again_ms) offer(peer);
  }
  if (!all || lag.behind_start || lag.stale) return;
  confirmed = std::all_of(links.begin(), links.end(), [this](const auto& l) {
    return !l.second.greeted || index.vector().covers(l.second.start_vector);
  });
}

// The peer answers in order, on one lane: from the first message on it counts on us; the answer to the second names all that it had by
// then, waits that have just ended included; a question of a folder that nobody syncs is answered at once, and tells that both were read.
void Replica::Impl::offer(Peer& peer) {
  if (peer.echo_id == 0) peer.echo_id = finds.next_id++;
  peer.offer_again_ms = now.mono_ms + tuning::offer_ms;
  announce(peer, false);
  send(peer.node, Lane::control, AskVector{});
  send(peer.node, Lane::control, Lookup{peer.echo_id, kClusterFolder, "members"});
}

void Replica::Impl::on_echo(Peer& peer) {
  peer.echo_id = 0;
  peer.counts_us = true;
  peer.start_vector = peer.vector;
  lag.behind_start = true;
  lag.due_ms = 0;
}

// A problem of a path that stays pending for as long as the problem does.
void Replica::Impl::stuck_at(const PathKey& key, std::string why, bool full) {
  problem(key, std::move(why));
  if (stuck.size() < tuning::problems_max || stuck.contains(key)) stuck[key] = full;
  lag.due_ms = 0;
}

// What takes a look at more than a few numbers; the rest is looked up when somebody asks.
void Replica::Impl::measure_lag() {
  lag.stale = false;
  lag.due_ms = now.mono_ms + (confirmed ? tuning::lag_ms : tuning::lag_unready_ms);
  std::erase_if(stuck, [this](const auto& s) {
    const auto entry = index.get(s.first.folder, s.first.path);
    const bool over = !entry || !entry->pending();
    if (over) no_problem(s.first);  // what could not be brought here was followed by what is here
    return over;
  });
  lag.folders.clear();
  for (const FolderId folder : options.folders) {
    FolderLag& f = lag.folders[folder];
    for (const auto& [key, full] : stuck) f.changes += key.folder == folder, f.full += full && key.folder == folder;
    f.behind_ms = index.counts(folder).pending == 0 ? 0 : now.mono_ms - oldest_ms(folder);
    f.promised = promised(folder);
  }
  if (!confirmed) lag.behind_start = is_behind_start();
  measure_missing();
}

// Linked members that take no readers themselves. Nobody was promised what they have written, so it makes no other unready: with a large
// tree that a member brings along when it comes, or comes back, none of all would be ready until it is everywhere.
std::set<ActorId> Replica::Impl::unready_writers() const {
  std::set<ActorId> out;
  for (const auto& [node, peer] : links) {
    if (peer.greeted && !peer.ready && !peer.actor.is_zero()) out.insert(peer.actor);
  }
  return out;
}

// How much of what is on its way was written by others than these; what is not looked through counts as theirs.
std::uint64_t Replica::Impl::promised(FolderId folder) const {
  const std::set<ActorId> unready = unready_writers();
  if (unready.empty()) return UINT64_MAX;
  const auto paths = index.pending(folder, "", tuning::promised_seen_max);
  const std::uint64_t pending = index.counts(folder).pending;
  std::uint64_t others = pending - std::min<std::uint64_t>(pending, paths.size());
  for (const std::string& path : paths) {
    const auto entry = index.get(folder, path);
    others += !entry || !entry->live || !unready.contains(entry->live->dot.actor);
  }
  return others;
}

// Whether something is not on disk yet that this index or a peer had when they were linked, large or not.
// What has come since may be as late as at any other time.
bool Replica::Impl::is_behind_start() const {
  const auto nothing_pending = [this](FolderId folder) { return index.counts(folder).pending == 0; };
  if (std::all_of(options.folders.begin(), options.folders.end(), nothing_pending)) return false;
  VersionVector start = started_with;
  for (const auto& [node, peer] : links) {
    if (peer.greeted) start.merge(peer.start_vector);
  }
  return is_pending(start, false);
}

// What has overwritten something of `of` and is not here either counts, too: readers may have been promised the one or the other.
bool Replica::Impl::is_pending(const VersionVector& of, bool stuck_too) const {
  const auto is_of = [&of](const Record& record) {
    const auto& seen = record.context.entries();
    return of.covers(record.dot) || std::any_of(seen.begin(), seen.end(), [&of](const auto& e) { return of.get(e.actor) >= e.seq; });
  };
  for (const FolderId folder : options.folders) {
    const auto paths = index.pending(folder, "", tuning::pending_seen_max + stuck.size() + 1);
    std::size_t others = 0;
    for (const std::string& path : paths) {
      if (!stuck_too && stuck.contains({folder, path})) continue;
      const auto entry = index.get(folder, path);
      if (entry && entry->live && is_of(*entry->live)) return true;
      if (++others > tuning::pending_seen_max) return true;
    }
  }
  return false;
}

// Since when something small has waited that could be brought here; now, if nothing does.
std::uint64_t Replica::Impl::oldest_ms(FolderId folder) const {
  std::uint64_t oldest = now.mono_ms;
  for (const auto& [key, work] : works) {
    if (key.folder == folder && !work.bulk && !stuck.contains(key)) oldest = std::min(oldest, work.since_ms);
  }
  retries.each([&](const PathKey& key, std::uint64_t since_ms) {
    if (key.folder == folder && !stuck.contains(key)) oldest = std::min(oldest, since_ms);
  });
  if (const auto crowded = crowded_since.find(folder); crowded != crowded_since.end())
    oldest = std::min(oldest, std::max(crowded->second, started_ms));
  return oldest;
}

// Peers' writers that this node refuses are left out: theirs is the wrong clock, and all others would stop
// serving for it. How long something has been missing is told by a mark: what was known at one moment, until
// the last of it is here.
void Replica::Impl::measure_missing() {
  const VersionVector& own = index.vector();
  VersionVector known;
  for (const auto& [node, peer] : links) {
    for (const ActorId& actor : peer.leads) known.raise(actor, peer.vector.get(actor));
  }
  lag.missing = lag.missing_promised = 0;
  const std::set<ActorId> unready = unready_writers();
  VersionVector missing;
  for (const auto& e : known.entries()) {
    const auto refused = refused_until.find(e.actor);
    if (refused != refused_until.end() && now.mono_ms < refused->second + tuning::refused_ms) continue;
    const std::uint64_t have = own.get(e.actor);
    if (e.seq <= have) continue;
    lag.missing += e.seq - have;
    if (!unready.contains(e.actor)) lag.missing_promised += e.seq - have;
    missing.raise(e.actor, e.seq);
  }
  VersionVector left;  // of the mark: what is here, or went with the only member that knew of it, is missing no longer
  for (const auto& e : lag.mark.entries()) {
    if (own.get(e.actor) < e.seq) left.raise(e.actor, std::min(e.seq, missing.get(e.actor)));
  }
  if (left.empty()) left = std::move(missing), lag.mark_ms = now.mono_ms;
  lag.mark = std::move(left);
}

const Readiness& Replica::readiness() const { return impl_->readiness; }

}  // namespace syncline

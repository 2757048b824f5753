#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

// Whether the tree here shows this version of the path or one that the total order puts above it.
bool Replica::Impl::shows(FolderId folder, const std::string& path, const Dot& dot, Hlc hlc) const {
  const auto entry = index.get(folder, path);
  if (!entry) return false;
  if (entry->held == Held::unpublished) return false;
  if (entry->disk && (entry->disk->dot == dot || entry->disk->context.covers(dot))) return true;
  return entry->live && !entry->behind() &&
         (entry->live->dot == dot || entry->live->hlc > hlc || entry->live->context.covers(dot));
}

void Replica::Impl::on(Peer& peer, Probe& m) {
  const std::pair key{peer.node, m.id};
  if (probes.size() >= tuning::probes_max) return;  // it counts as lacking: the asker's time-out says so
  const PathKey about{m.folder, m.path};  // the probe goes with its answer
  probes[key] = {peer.node, std::move(m), 0, now.mono_ms + tuning::probe_ms};
  path_changed(about.folder, about.path);
}

void Replica::Impl::path_changed(FolderId folder, const std::string& path) {
  wake_below(folder, path);
  bool flush = false;
  for (auto& [key, p] : probes) {
    if (p.durable_batch != 0 || p.probe.folder != folder || p.probe.path != path) continue;
    const bool known = planted(Fault::known_is_had) && index.vector().covers(p.probe.dot);
    if (!known && !shows(folder, path, p.probe.dot, p.probe.hlc)) {
      p.never = never_shows(folder, path, p.probe.dot);
      continue;
    }
    p.durable_batch = kThisCommit;
    flush |= p.probe.durable && !planted(Fault::durable_at_once);
  }
  if (flush) effects.push_back(FlushIndex{});
  if (!probes.empty()) answer_probes();
  find_changed({folder, path});
}

void Replica::Impl::answer_probes() {
  for (auto it = probes.begin(); it != probes.end();) {
    LocalProbe& p = it->second;
    const bool shown = p.durable_batch != 0 && (!p.probe.durable || durable >= p.durable_batch || planted(Fault::durable_at_once));
    const bool answered = shown || p.never;
    if (answered) send(p.peer, Lane::control, ProbeAnswer{p.probe.id, !shown});
    it = answered || now.mono_ms > p.expires_ms ? probes.erase(it) : std::next(it);
  }
}

void Replica::Impl::on(Peer& peer, ProbeAnswer& m) {
  const auto it = waits.find(m.id);
  if (it == waits.end()) return;
  (m.never ? it->second.never : it->second.have).insert(peer.node);
  check_wait(m.id, it->second);
}

// A member that becomes linked or ready while somebody waits is asked, too.
void Replica::Impl::ask_waits(const NodeId& node) {
  for (auto& [id, wait] : waits) {
    if (wait.over || !wait.begun || wait.have.contains(node)) continue;
    wait.never.erase(node);
    ask_wait(node, id, wait);
  }
}

// Balancers have not noticed yet: who waits for all must not be told that all have it while readers are still
// sent to this one.
void Replica::Impl::not_ready_any_more(const NodeId& node) {
  std::erase_if(leaving_until, [this](const auto& l) { return l.second <= now.mono_ms; });
  leaving_until[node] = now.mono_ms + tuning::leave_ms;
}

void Replica::Impl::check_waits() {
  for (auto& [id, wait] : waits) check_wait(id, wait);
}

// From now on it is about the version that the path has. False: what was seen of it is no version yet (a delta is being made), or an
// apply has it in hand.
bool Replica::Impl::begin_wait(std::uint64_t id, Wait& wait) {
  if (wait.begun || wait.over) return wait.begun;
  if (publishing.contains(wait.path) || works.contains(wait.path)) return false;
  const auto entry = index.get(wait.path.folder, wait.path.path);
  if (!entry || !entry->disk || entry->disk->dot.seq == 0) {  // it went meanwhile: nobody has it, nor will
    wait.over = true;
    effects.push_back(WaitOver{id});
    return false;
  }
  wait.begun = true;
  wait.dot = entry->disk->dot, wait.hlc = entry->disk->hlc;
  wait.own_durable_batch = kThisCommit;
  if (wait.goal.durable) effects.push_back(FlushIndex{});
  return true;
}

// All that are not known to have it: once, and again before they forget it, or where they had too many to remember.
void Replica::Impl::ask_members(std::uint64_t id, Wait& wait) {
  if (now.mono_ms < wait.ask_again_ms) return;
  wait.ask_again_ms = now.mono_ms + tuning::probe_again_ms;
  for (const auto& [node, peer] : links) {
    if (peer.greeted && !wait.have.contains(node) && !wait.never.contains(node)) ask_wait(node, id, wait);
  }
}

void Replica::Impl::ask_wait(const NodeId& node, std::uint64_t id, Wait& wait) {
  wait.asked.insert(node);
  send(node, Lane::control, Probe{id, wait.path.folder, wait.path.path, wait.dot, wait.hlc, wait.goal.durable});
}

void Replica::Impl::check_wait(std::uint64_t id, Wait& wait) {
  if (wait.over || !begin_wait(id, wait)) return;
  ask_members(id, wait);
  if (!wait.goal.durable || durable >= wait.own_durable_batch) wait.have.insert(options.self);
  std::set<NodeId> members{options.self};
  for (const NodeId& m : member_ids()) members.insert(m);
  wait.absent.clear();
  std::size_t reachable_lacking = 0;
  for (const NodeId& m : members) {
    if (wait.have.contains(m)) continue;
    const auto link = links.find(m);
    const bool willing = !wait.never.contains(m);
    const bool present = m == options.self || (link != links.end() && link->second.greeted);
    const auto leaving = leaving_until.find(m);
    const bool leaves = leaving != leaving_until.end() && now.mono_ms < leaving->second;
    const bool counts = m == options.self || leaves || (present && link->second.ready);
    const bool all = wait.goal.who == WaitGoal::Who::all;
    if (!willing || (all ? !counts : !present))
      wait.absent.insert(m);
    else
      ++reachable_lacking;
  }
  // Who has left since does not count any more.
  const auto have = static_cast<std::size_t>(std::count_if(wait.have.begin(), wait.have.end(), [&](const NodeId& m) { return members.contains(m); }));
  std::size_t goal = 0;
  const std::size_t majority = members.size() / 2 + 1;
  switch (wait.goal.who) {
    case WaitGoal::Who::all:  // who is cut off with a minority has no readers, and cannot speak for those that have
      goal = std::max(have + reachable_lacking, members.size() >= 3 && !options.limits.without_majority ? majority : 1);
      break;
    case WaitGoal::Who::majority:
      goal = majority;
      break;
    case WaitGoal::Who::count:
      goal = wait.goal.count;
      break;
  }
  wait.done = have >= goal;
  wait.over = wait.done || have + reachable_lacking < goal;  // it cannot succeed any more
  if (wait.over) effects.push_back(WaitOver{id});
}

Result<std::uint64_t> Replica::start_wait(FolderId folder, const std::string& path, const WaitGoal& goal,
                                          Now now) {
  Impl& r = *impl_;
  r.now = now;
  if (const auto stopped = r.stopped.find(folder); stopped != r.stopped.end())
    return fail(Error::Code::refused, "the folder is stopped: " + stopped->second);
  if (!r.why_departed().empty()) return fail(Error::Code::refused, r.departed);
  if (!r.clock_problem.empty()) return fail(Error::Code::refused, r.clock_problem);
  const auto entry = r.index.get(folder, path);
  if (r.is_ignored(folder, path, Kind::file))
    return fail(Error::Code::refused, path + ": is ignored by " + std::string(kIgnoreFile));
  if (entry && entry->held == Held::unpublished)
    return fail(Error::Code::refused, path + ": was changed here, and this folder only receives");
  if (!entry || !entry->disk || !entry->disk->state.present() || entry->disk->dot.seq == 0) {
    return fail(Error::Code::not_found, path + ": this node has no such path");
  }
  if (r.waits.size() >= tuning::probes_max) return fail(Error::Code::full, "too many waits at once");
  const std::uint64_t id = r.next_wait++;
  Wait& wait = r.waits[id];
  wait = {.path = {folder, path}, .goal = goal};
  r.check_wait(id, wait);
  return id;
}

WaitView Replica::wait_state(std::uint64_t id) const {
  WaitView view;
  const auto it = impl_->waits.find(id);
  if (it == impl_->waits.end()) return view;
  const Wait& wait = it->second;
  view.over = wait.over;
  view.done = wait.done;
  std::set<NodeId> members{impl_->options.self};
  for (const NodeId& m : impl_->member_ids()) members.insert(m);
  for (const NodeId& m : members) {
    (wait.have.contains(m) ? view.have : wait.absent.contains(m) ? view.absent : view.lacking).push_back(m);
  }
  return view;
}

void Replica::committed(std::uint64_t batch) {
  for (auto& [key, p] : impl_->probes) {
    if (p.durable_batch == Impl::kThisCommit) p.durable_batch = batch;
  }
  for (auto& [id, wait] : impl_->waits) {
    if (wait.own_durable_batch == Impl::kThisCommit) wait.own_durable_batch = batch;
  }
}

void Replica::end_wait(std::uint64_t id) { impl_->waits.erase(id); }

}  // namespace syncline

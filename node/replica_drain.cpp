#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

static constexpr const char* kDrainKey = "drain";

// A node that was taken out of service before it was stopped stays out of it.
void Replica::Impl::load_drain() {
  if (index.meta(kDrainKey).value_or("") == "1") draining.phase = DrainView::Phase::leaving;
}

// A round: who has everything that is here by now?
void Replica::Impl::ask_to_settle() {
  draining.round = next_wait++;
  draining.have.clear();
  for (auto& [node, peer] : links) {
    if (peer.greeted) ask_to_settle(peer);
  }
}

void Replica::Impl::ask_to_settle(Peer& peer) {
  announce(peer, true);  // of all, for a push that the lane refused counts as told
  Settle m{draining.round, {}};
  for (const FolderId folder : options.folders) {
    if (!paused.contains(folder)) m.folders.push_back(folder);
  }
  send(peer.node, Lane::control, m);
}

void Replica::Impl::on(Peer& peer, Settle& m) {
  settlings[peer.node] = {m.id, peer.vector, std::move(m.folders)};
  settle_due_ms = now.mono_ms;
}

void Replica::Impl::on(Peer& peer, Settled& m) {
  if (draining.round == 0 || m.id != draining.round) return;
  draining.have.insert(peer.node);
  using Phase = DrainView::Phase;
  if (draining.phase == Phase::spreading) {
    draining.phase = Phase::leaving;
    draining.left_ms = now.mono_ms;
    draining.round = 0;
    log(false, peer.name + " has everything that is here; no longer ready, until `syncline resume`");
  } else if (draining.phase == Phase::leaving) {
    draining.phase = Phase::drained;
    log(false, peer.name + " has what was written since, too: out of service");
  }
}

// All of it: records, and the bytes of live versions and of open conflicts.
bool Replica::Impl::has_all_of(const Settling& settling) const {
  if (!index.vector().covers(settling.vector)) return false;
  if (planted(Fault::records_are_enough)) return true;
  if (!std::all_of(settling.folders.begin(), settling.folders.end(), [this](FolderId folder) { return owns(folder); })) return false;
  const auto fetching = [](const auto& f) { return f.second.purpose == Fetch::For::version; };
  if (!version_queue.empty() || !version_jobs.empty() || !later_versions.empty()) return false;
  if (std::any_of(fetches.begin(), fetches.end(), fetching)) return false;
  const auto works_here = [this](FolderId folder) { return !stopped.contains(folder) && scanned.contains(folder); };
  // A path that is held here shows something else, or nothing.
  const auto holds = [this](FolderId folder) { return index.counts(folder).unapplied + index.counts(folder).unpublished > 0; };
  if (std::any_of(settling.folders.begin(), settling.folders.end(), holds)) return false;
  return std::all_of(options.folders.begin(), options.folders.end(), works_here) && !is_pending(settling.vector, true);
}

void Replica::Impl::tick_drain() {
  const bool due = !settlings.empty() && now.mono_ms >= settle_due_ms;
  for (auto it = settlings.begin(); due && it != settlings.end();) {
    const bool all = has_all_of(it->second);
    if (all) send(it->first, Lane::control, Settled{it->second.id});
    it = all ? settlings.erase(it) : std::next(it);
  }
  if (due) settle_due_ms = now.mono_ms + tuning::settle_ms;
  // What is read for its delta has no record yet that others could have.
  using Phase = DrainView::Phase;
  const bool asks = draining.phase == Phase::spreading ||
                    (draining.phase == Phase::leaving && now.mono_ms >= draining.left_ms + tuning::leave_ms);
  const bool all_written =
      publishing.empty() && std::all_of(options.folders.begin(), options.folders.end(),
                                        [this](FolderId folder) { return scanned.contains(folder) || paused.contains(folder); });
  if (asks && draining.round == 0 && all_written) ask_to_settle();
}

std::uint64_t Replica::Impl::next_drain_ms() const {
  std::uint64_t due = settlings.empty() ? UINT64_MAX : settle_due_ms;
  if (draining.phase == DrainView::Phase::leaving && draining.round == 0)
    due = std::min(due, draining.left_ms + tuning::leave_ms);
  return due;
}

Status Replica::drain(Now now) {
  Impl& r = *impl_;
  r.now = now;
  const auto& members = r.member_ids();
  if (std::all_of(members.begin(), members.end(), [&r](const NodeId& m) { return m == r.options.self; }))
    return fail(Error::Code::refused, "this node is the only member: nobody else has its files");
  r.index.put_meta(kDrainKey, "1");
  using Phase = DrainView::Phase;
  Drain& d = r.draining;
  d.phase = d.phase == Phase::off || d.phase == Phase::spreading ? Phase::spreading : Phase::leaving;
  d.round = 0;
  return {};
}

void Replica::resume(Now now) {
  impl_->now = now;
  impl_->index.put_meta(kDrainKey, "0");
  impl_->draining = {};
}

DrainView Replica::drain_view() const {
  const Impl& r = *impl_;
  DrainView view{.phase = r.draining.phase};
  for (const NodeId& m : r.member_ids()) {
    const auto link = r.links.find(m);
    if (m == r.options.self) continue;
    (r.draining.have.contains(m)                       ? view.have
     : link != r.links.end() && link->second.greeted ? view.lacking
                                                     : view.absent)
        .push_back(m);
  }
  return view;
}

}  // namespace syncline

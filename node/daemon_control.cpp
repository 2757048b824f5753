#include <fmt/format.h>

#include <algorithm>

#include "node/daemon.h"
#include "protocol/limits.h"

namespace syncline {

namespace {

std::uint64_t seconds_since(Clock::time_point t) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - t).count());
}

WallTime wall(std::uint64_t ms) { return {ms}; }

}  // namespace

void Daemon::handle(const ControlRequest& request, ControlAnswer answer) {
  if (const auto* w = std::get_if<WaitRequest>(&request)) return wait(*w, std::move(answer));
  if (const auto* d = std::get_if<DrainRequest>(&request)) return drain(*d, std::move(answer));
  if (const auto* v = std::get_if<VerifyRequest>(&request)) return verify(*v, std::move(answer));
  if (const auto* l = std::get_if<LeaveRequest>(&request)) return leave(*l, std::move(answer));
  if (std::holds_alternative<ResumeRequest>(request)) return resume(std::move(answer));
  if (const auto* r = std::get_if<FolderRemoveRequest>(&request)) return remove_folder(*r, std::move(answer));
  answer(std::visit(
      [this](const auto& r) -> Result<ControlReply> {
        if constexpr (!requires { this->on(r); })
          return Done{};
        else
          return on(r);
      },
      request));
}

Result<ControlReply> Daemon::on(const StatusRequest&) {
  StatusReply s;
  s.node = home_.config.name;
  s.id = home_.identity.node;
  s.cluster = home_.cluster.cluster;
  s.version = SYNCLINE_VERSION;
  const auto ready = std::get<ReadyReply>(*on(ReadyRequest{}));
  s.ready = ready.ready, s.state = ready.state, s.reason = ready.reason;
  s.healthy = ready.healthy, s.unhealthy = ready.unhealthy;
  s.listen = transport_->local_address();
  s.http = http_->local_address();
  s.now = wall(now().wall_ms);
  s.uptime_seconds = seconds_since(started_);
  const auto views = replica_->peers();
  for (const Member& m : members_) {
    if (m.node == home_.identity.node || m.state != MemberState::joined) continue;
    PeerStatus p;
    p.name = m.name;
    p.id = m.node;
    const LinkStats stats = transport_->stats(m.node);
    p.address = !stats.address.empty() ? stats.address : m.addresses.empty() ? "" : m.addresses.front();
    p.rtt_us = stats.rtt_us, p.sent_bytes = stats.sent_bytes, p.received_bytes = stats.received_bytes;
    s.totals.sent_bytes += stats.sent_bytes, s.totals.received_bytes += stats.received_bytes;
    const auto since = link_since_.find(m.node);
    p.since_seconds = seconds_since(since == link_since_.end() ? started_ : since->second);
    const auto view =
        std::find_if(views.begin(), views.end(), [&](const PeerView& v) { return v.node == m.node; });
    if (view != views.end()) p.linked = view->linked, p.ready = view->ready, p.behind = view->behind;
    s.peers.push_back(std::move(p));
  }
  for (const auto& f : folders_) {
    if (!f->runner) continue;
    s.folders.push_back(folder_status(*f));
    for (const FolderBehind& behind : ready.folders) {
      if (behind.name == f->home.name) s.folders.back().behind_seconds = behind.seconds;
    }
  }
  for (const ClusterFolder& f : cluster_folders()) {
    if (!folder_named(f.name)) s.elsewhere.push_back(f.name);
  }
  std::map<PathKey, Rate> rates;
  for (const TransferView& t : replica_->transfers()) {
    const PathKey key{t.folder, t.path};
    Rate rate = rates_.contains(key) ? rates_[key] : Rate{t.done, 0, Clock::now()};
    const auto elapsed = std::chrono::duration<double>(Clock::now() - rate.at).count();
    if (elapsed >= 0.5) {
      rate = {t.done,
              static_cast<std::uint64_t>(static_cast<double>(t.done - std::min(t.done, rate.done)) / elapsed),
              Clock::now()};
    }
    rates[key] = rate;
    if (s.transfers.size() < limits::status_transfers) {
      s.transfers.push_back(
          {folder_name(t.folder), t.path, t.size, t.done, rate.bytes_s, t.peer.is_zero() ? "" : name_of(t.peer)});
    }
  }
  rates_ = std::move(rates);
  for (const FolderStatus& f : s.folders) {
    s.totals.files += f.files, s.totals.bytes += f.bytes, s.totals.conflicts += f.conflicts, s.totals.pending += f.pending;
    if (f.state == FolderState::stopped || f.state == FolderState::paused) s.problems.push_back({f.name, "", f.reason, s.now});
  }
  for (const auto& f : folders_) {
    const std::string blind = f->runner ? f->runner->watch_problem() : "";
    if (!blind.empty()) s.problems.push_back({folders_.size() > 1 ? f->home.name : "", "", blind, s.now});
  }
  const auto problems = replica_->problems();
  s.totals.problems = s.problems.size() + problems.size();
  for (const ProblemView& p : problems) {
    if (s.problems.size() < limits::status_problems)
      s.problems.push_back({p.folder == kClusterFolder ? "" : folder_name(p.folder), p.path, p.text, wall(p.since_wall_ms)});
  }
  return s;
}

Result<ControlReply> Daemon::on(const MembersRequest&) {
  static constexpr const char* states[] = {"joined", "left", "evicted"};
  const auto views = replica_->peers();
  MembersReply reply;
  for (const Member& m : members_) {
    MemberStatus v;
    v.name = m.name, v.id = m.node, v.addresses = m.addresses, v.http = m.http;
    v.state = states[static_cast<int>(m.state)];
    v.self = m.node == home_.identity.node;
    v.linked = v.self || std::any_of(views.begin(), views.end(),
                                     [&](const PeerView& p) { return p.node == m.node && p.linked; });
    if (!m.admitted_by.is_zero()) v.admitted_by = name_of(m.admitted_by);
    reply.members.push_back(std::move(v));
  }
  return reply;
}

Result<ControlReply> Daemon::on(const InviteRequest& request) {
  const Member* self = member(home_.identity.node);
  auto reply =
      make_invitation(request, home_.cluster.cluster, home_.identity.link.public_key,
                      self && !self->addresses.empty() ? self->addresses : own_addresses(home_.config),
                      *invites_, wall(now().wall_ms));
  if (!reply) return tl::unexpected(reply.error());
  return *reply;
}

// ---- conflicts
// --------------------------------------------------------------------------------------------------------------

ConflictSide Daemon::side_of(const Record& record) const {
  ConflictSide side;
  side.node = writer_name(record.dot.actor);
  side.time = wall(record.hlc.ms());
  const Content& c = record.content;
  side.kind = c.kind, side.size = c.size, side.mode = c.mode, side.hash = c.hash, side.target = c.target;
  side.mtime = wall(static_cast<std::uint64_t>(std::max<std::int64_t>(c.mtime_ns, 0) / 1'000'000));
  return side;
}

ConflictEntry Daemon::entry_of(const Conflict& conflict) const {
  ConflictEntry e;
  e.id = conflict_id(conflict.loser);
  e.folder = folder_name(conflict.loser.folder);
  e.path = conflict.loser.path;
  const auto live = index_->get(conflict.loser.folder, conflict.loser.path);
  if (live && live->live) e.winner = side_of(*live->live);
  e.loser = side_of(conflict.loser);
  e.detected = wall(conflict.detected.ms());
  return e;
}

Result<ControlReply> Daemon::on(const ConflictsRequest& request) {
  if (!request.folder.empty() && !folder_named(request.folder)) return fail(Error::Code::not_found, "no folder named " + request.folder);
  ConflictsReply reply;
  for (const auto& f : folders_) {
    if (!request.folder.empty() && f->home.name != request.folder) continue;
    reply.total += index_->counts(f->id()).open_conflicts;
    for (const Conflict& c : index_->conflicts(f->id(), false, limits::conflicts_listed - reply.conflicts.size()))
      reply.conflicts.push_back(entry_of(c));
  }
  return reply;
}

Result<Conflict> Daemon::find_conflict(const std::string& id) const {
  std::vector<Conflict> found;
  for (const auto& f : folders_) {
    for (Conflict& c : index_->conflicts(f->id(), false, SIZE_MAX)) {
      if (conflict_id(c.loser).rfind(id, 0) == 0) found.push_back(std::move(c));
    }
  }
  if (found.size() > 1)
    return fail(Error::Code::invalid, id + " is the start of more than one conflict's id; give more digits");
  if (found.empty()) return fail(Error::Code::not_found, "no open conflict " + id + "; see: syncline conflicts");
  return std::move(found.front());
}

Result<ControlReply> Daemon::on(const ConflictShowRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  ConflictShowReply reply;
  reply.conflict = entry_of(*conflict);
  const FolderId id = conflict->loser.folder;
  const std::string root = this->folder(id)->path();
  const auto folder = open_folders_->get(id);
  const auto entry = index_->get(id, conflict->loser.path);
  if (entry && entry->disk && entry->disk->state.present()) reply.winner_file = root + "/" + conflict->loser.path;
  const Hash128& hash = conflict->loser.content.hash;
  if (folder && conflict->loser.content.kind == Kind::file && folder->folder->has_version(hash)) {
    reply.loser_file = root + "/.syncline/versions/" + to_hex(hash);
  }
  return reply;
}

Result<ControlReply> Daemon::on(const ConflictRestoreRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  std::string as = conflict->loser.path;
  const FolderId id = conflict->loser.folder;
  if (!request.as.empty()) {
    const auto place = place_of(folder_name(id), request.as);
    if (!place) return tl::unexpected(place.error());
    as = place->path;
  }
  const auto folder = open_folders_->get(id);
  const Content& content = conflict->loser.content;
  if (content.kind == Kind::file && content.size > 0 &&
      !(folder && folder->folder->has_version(content.hash))) {
    return fail(
        Error::Code::busy,
        "the bytes of this version have not reached this node yet; try again, or on the node that wrote it");
  }
  if (const Status s =
          replica_->restore_conflict(id, conflict->loser.path, conflict->loser.dot, as, now());
      !s) {
    return tl::unexpected(s.error());
  }
  tell(Tick{});
  return RestoreReply{as};
}

Result<ControlReply> Daemon::on(const ConflictDropRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  if (const Status s = replica_->drop_conflict(conflict->loser.folder, conflict->loser.path, conflict->loser.dot, now()); !s)
    return tl::unexpected(s.error());
  tell(Tick{});
  return Done{};
}

// ---- the barrier
// ------------------------------------------------------------------------------------------------------------

void Daemon::wait(const WaitRequest& request, ControlAnswer answer) {
  const auto place = place_of(request.folder, request.path);
  if (!place) return answer(tl::unexpected(place.error()));
  const auto deadline = Clock::now() + std::chrono::milliseconds(request.timeout_ms);
  // It is about what is on the disk now, noticed by the watcher or not.
  place->folder->runner->look_now(place->path, [this, folder = place->folder->id(), path = place->path, request, deadline,
                                                answer = std::move(answer)]() mutable {
    loop_.post([this, folder, path = std::move(path), request, deadline, answer = std::move(answer)]() mutable {
      process();
      start_wait(folder, path, request, deadline, std::move(answer));
    });
  });
}

void Daemon::start_wait(FolderId folder, const std::string& path, const WaitRequest& request, Clock::time_point deadline,
                        ControlAnswer answer) {
  WaitGoal goal;
  goal.durable = request.durable;
  goal.count = request.nodes.count;
  goal.who = request.nodes.what == WaitFor::What::all        ? WaitGoal::Who::all
             : request.nodes.what == WaitFor::What::majority ? WaitGoal::Who::majority
                                                             : WaitGoal::Who::count;
  const auto id = replica_->start_wait(folder, path, goal, now());
  if (!id) return answer(tl::unexpected(id.error()));
  waits_[*id] = {std::move(answer), deadline};
  tell(Tick{});
  check_wait_deadlines();
}

void Daemon::end_wait(std::uint64_t id) {
  const auto it = waits_.find(id);
  if (it == waits_.end()) return;
  const WaitView view = replica_->wait_state(id);
  WaitReply reply;
  reply.done = view.done;
  for (const NodeId& n : view.have) reply.have.push_back(name_of(n));
  for (const NodeId& n : view.lacking) reply.lacking.push_back(name_of(n));
  for (const NodeId& n : view.absent) reply.absent.push_back(name_of(n));
  const ControlAnswer answer = std::move(it->second.answer);
  waits_.erase(it);
  replica_->end_wait(id);
  answer(reply);
}

void Daemon::check_wait_deadlines() {
  const auto now = Clock::now();
  auto next = Clock::time_point::max();
  std::vector<std::uint64_t> over;
  for (const auto& [id, wait] : waits_) {
    if (wait.deadline <= now)
      over.push_back(id);
    else
      next = std::min(next, wait.deadline);
  }
  for (const std::uint64_t id : over) end_wait(id);
  wait_alarm_->set(next);
}

}  // namespace syncline

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

constexpr FolderId kFolder = 1;

}  // namespace

void Daemon::handle(const ControlRequest& request, ControlAnswer answer) {
  if (const auto* w = std::get_if<WaitRequest>(&request)) return wait(*w, std::move(answer));
  if (const auto* d = std::get_if<DrainRequest>(&request)) return drain(*d, std::move(answer));
  if (const auto* v = std::get_if<VerifyRequest>(&request)) return verify(*v, std::move(answer));
  if (const auto* l = std::get_if<LeaveRequest>(&request)) return leave(*l, std::move(answer));
  if (std::holds_alternative<ResumeRequest>(request)) return resume(std::move(answer));
  answer(std::visit(
      [this](const auto& r) -> Result<ControlReply> {
        if constexpr (!requires { this->on(r); })
          return Done{};
        else
          return on(r);
      },
      request));
}

FolderStatus Daemon::folder_status() const {
  FolderStatus f;
  f.name = home_.cluster.folders.front().name;
  f.path = home_.config.folder.path;
  const IndexCounts c = index_->counts(kFolder);
  f.files = c.files, f.bytes = c.bytes, f.directories = c.directories, f.pending = c.pending,
  f.conflicts = c.open_conflicts;
  f.mode = mode_name(home_.config.folder.mode);
  f.rules = folder_->rules();
  f.unpublished = c.unpublished, f.unapplied = c.unapplied;
  for (HeldView& held : replica_->held(kFolder, limits::status_held))
    f.held.push_back({std::move(held.path), held.held == Held::unpublished});
  const std::string stopped = replica_->folder_stopped(kFolder);
  if (commit_blocked_) {
    f.state = FolderState::stopped;
    f.reason = "no space left for the index";
  } else if (!stopped.empty()) {
    f.state = FolderState::stopped;
    f.reason = stopped;
  } else if (folder_->scanning()) {
    f.state = FolderState::scanning;
    f.reason = "comparing the folder with the index";
  } else if (c.pending > 0) {
    f.state = FolderState::catching_up;
    f.reason = fmt::format("{} files on their way", c.pending);
  }
  return f;
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
  s.folders.push_back(folder_status());
  s.folders.back().behind_seconds = ready.folders.front().seconds;
  std::map<std::string, Rate> rates;
  for (const TransferView& t : replica_->transfers()) {
    Rate rate = rates_.contains(t.path) ? rates_[t.path] : Rate{t.done, 0, Clock::now()};
    const auto elapsed = std::chrono::duration<double>(Clock::now() - rate.at).count();
    if (elapsed >= 0.5) {
      rate = {t.done,
              static_cast<std::uint64_t>(static_cast<double>(t.done - std::min(t.done, rate.done)) / elapsed),
              Clock::now()};
    }
    rates[t.path] = rate;
    if (s.transfers.size() < limits::status_transfers) {
      s.transfers.push_back(
          {s.folders[0].name, t.path, t.size, t.done, rate.bytes_s, t.peer.is_zero() ? "" : name_of(t.peer)});
    }
  }
  rates_ = std::move(rates);
  auto problems = replica_->problems();
  if (!folder_->watch_problem().empty())
    problems.insert(problems.begin(), {"", folder_->watch_problem(), now().wall_ms});
  s.totals.problems = problems.size() + (s.folders[0].state == FolderState::stopped);
  if (s.folders[0].state == FolderState::stopped)
    s.problems.push_back({s.folders[0].name, "", s.folders[0].reason, s.now});
  for (const ProblemView& p : problems) {
    if (s.problems.size() < limits::status_problems) {
      s.problems.push_back({p.path.empty() ? "" : s.folders[0].name, p.path, p.text, wall(p.since_wall_ms)});
    }
  }
  s.totals.files = s.folders[0].files, s.totals.bytes = s.folders[0].bytes;
  s.totals.conflicts = s.folders[0].conflicts, s.totals.pending = s.folders[0].pending;
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
  e.folder = home_.cluster.folders.front().name;
  e.path = conflict.loser.path;
  const auto live = index_->get(conflict.loser.folder, conflict.loser.path);
  if (live && live->live) e.winner = side_of(*live->live);
  e.loser = side_of(conflict.loser);
  e.detected = wall(conflict.detected.ms());
  return e;
}

Result<ControlReply> Daemon::on(const ConflictsRequest& request) {
  if (!request.folder.empty() && request.folder != home_.cluster.folders.front().name) {
    return fail(Error::Code::not_found, "no folder named " + request.folder);
  }
  ConflictsReply reply;
  reply.total = index_->counts(kFolder).open_conflicts;
  for (const Conflict& c : index_->conflicts(kFolder, false, limits::conflicts_listed))
    reply.conflicts.push_back(entry_of(c));
  return reply;
}

Result<Conflict> Daemon::find_conflict(const std::string& id) const {
  std::optional<Conflict> found;
  for (Conflict& c : index_->conflicts(kFolder, false, SIZE_MAX)) {
    if (conflict_id(c.loser).rfind(id, 0) != 0) continue;
    if (found)
      return fail(Error::Code::invalid,
                  id + " is the start of more than one conflict's id; give more digits");
    found = std::move(c);
  }
  if (!found) return fail(Error::Code::not_found, "no open conflict " + id + "; see: syncline conflicts");
  return *found;
}

Result<ControlReply> Daemon::on(const ConflictShowRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  ConflictShowReply reply;
  reply.conflict = entry_of(*conflict);
  const auto folder = folder_->open();
  const auto entry = index_->get(kFolder, conflict->loser.path);
  if (entry && entry->disk && entry->disk->state.present())
    reply.winner_file = home_.config.folder.path + "/" + conflict->loser.path;
  const Hash128& hash = conflict->loser.content.hash;
  if (folder && conflict->loser.content.kind == Kind::file && folder->folder->has_version(hash)) {
    reply.loser_file = home_.config.folder.path + "/.syncline/versions/" + to_hex(hash);
  }
  return reply;
}

Result<ControlReply> Daemon::on(const ConflictRestoreRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  std::string as = conflict->loser.path;
  if (!request.as.empty()) {
    const auto path = relative_path(request.as);
    if (!path) return tl::unexpected(path.error());
    as = *path;
  }
  const auto folder = folder_->open();
  const Content& content = conflict->loser.content;
  if (content.kind == Kind::file && content.size > 0 &&
      !(folder && folder->folder->has_version(content.hash))) {
    return fail(
        Error::Code::busy,
        "the bytes of this version have not reached this node yet; try again, or on the node that wrote it");
  }
  if (const Status s =
          replica_->restore_conflict(kFolder, conflict->loser.path, conflict->loser.dot, as, now());
      !s) {
    return tl::unexpected(s.error());
  }
  tell(Tick{});
  return RestoreReply{as};
}

Result<ControlReply> Daemon::on(const ConflictDropRequest& request) {
  const auto conflict = find_conflict(request.id);
  if (!conflict) return tl::unexpected(conflict.error());
  if (const Status s = replica_->drop_conflict(kFolder, conflict->loser.path, conflict->loser.dot, now()); !s)
    return tl::unexpected(s.error());
  tell(Tick{});
  return Done{};
}

// ---- folders
// ------------------------------------------------------------------------------------------------------------

Result<ControlReply> Daemon::on(const RevertRequest& request) {
  if (!request.folder.empty() && request.folder != home_.cluster.folders.front().name)
    return fail(Error::Code::not_found, "no folder named " + request.folder);
  std::string path;
  if (!request.path.empty()) {
    const auto relative = relative_path(request.path);
    if (!relative) return tl::unexpected(relative.error());
    path = *relative;
  }
  const auto reverted = replica_->revert(kFolder, path, now());
  if (!reverted) return tl::unexpected(reverted.error());
  tell(Tick{});
  return RevertReply{*reverted};
}

// ---- the barrier
// ------------------------------------------------------------------------------------------------------------

Result<std::string> Daemon::relative_path(const std::string& given) const {
  std::string path = given;
  if (path.rfind('/', 0) == 0) {
    const std::string& root = home_.config.folder.path;
    if (path.rfind(root + "/", 0) != 0) return fail(Error::Code::not_found, path + " is not inside " + root);
    path.erase(0, root.size() + 1);
  }
  while (path.rfind("./", 0) == 0) path.erase(0, 2);
  while (!path.empty() && path.back() == '/') path.pop_back();
  if (!is_canonical_path(path) || path == kRootPath || path == ".syncline" ||
      path.rfind(".syncline/", 0) == 0) {
    return fail(Error::Code::invalid, given + " is not a path of a file in the folder");
  }
  return path;
}

void Daemon::wait(const WaitRequest& request, ControlAnswer answer) {
  if (!request.folder.empty() && request.folder != home_.cluster.folders.front().name) {
    return answer(fail(Error::Code::not_found, "no folder named " + request.folder));
  }
  const auto path = relative_path(request.path);
  if (!path) return answer(tl::unexpected(path.error()));
  const auto deadline = Clock::now() + std::chrono::milliseconds(request.timeout_ms);
  // It is about what is on the disk now, noticed by the watcher or not.
  folder_->look_now(*path, [this, path = *path, request, deadline, answer = std::move(answer)]() mutable {
    loop_.post([this, path = std::move(path), request, deadline, answer = std::move(answer)]() mutable {
      process();
      start_wait(path, request, deadline, std::move(answer));
    });
  });
}

void Daemon::start_wait(const std::string& path, const WaitRequest& request, Clock::time_point deadline,
                        ControlAnswer answer) {
  WaitGoal goal;
  goal.durable = request.durable;
  goal.count = request.nodes.count;
  goal.who = request.nodes.what == WaitFor::What::all        ? WaitGoal::Who::all
             : request.nodes.what == WaitFor::What::majority ? WaitGoal::Who::majority
                                                             : WaitGoal::Who::count;
  const auto id = replica_->start_wait(kFolder, path, goal, now());
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

#include <fmt/format.h>

#include <algorithm>

#include "node/daemon.h"

// What balancers are told, and `syncline drain`.
namespace syncline {

namespace {

// An agent's "drain" lasts until "ready", which would also undo what an administrator told the balancer by
// hand: it is said for a while only, and every balancer asks more often than that.
constexpr std::chrono::seconds kSayReady{60};
constexpr std::chrono::seconds kResumed{2};  // for the others to say that they count on this node again

NodeState state_of(Readiness::State state) {
  switch (state) {
    case Readiness::State::ready:
      return NodeState::ready;
    case Readiness::State::draining:
      return NodeState::draining;
    case Readiness::State::drained:
      return NodeState::drained;
    case Readiness::State::starting:
      return NodeState::starting;
    case Readiness::State::catching_up:
      return NodeState::catching_up;
    case Readiness::State::cut_off:
      return NodeState::cut_off;
    case Readiness::State::paused:
      return NodeState::paused;
    case Readiness::State::stopped:
      break;
  }
  return NodeState::stopped;
}

}  // namespace

// What will not pass by itself; empty: nothing.
std::string Daemon::unhealthy() {
  if (commit_blocked_) return "no space left for the index";
  for (const auto& f : folders_) {
    if (!f->runner || f->runner->paused()) continue;
    const std::string stopped = replica_->folder_stopped(f->id());
    const std::string why = stopped.empty() ? f->runner->blind() : "stopped: " + stopped;
    if (!why.empty()) return folders_.size() == 1 ? why : fmt::format("{}: {}", f->home.name, why);
  }
  return "";
}

// Something that was noticed should have been looked at a while ago.
bool Daemon::overdue() const {
  return std::any_of(folders_.begin(), folders_.end(), [](const auto& f) { return f->runner && f->runner->overdue(); });
}

Result<ControlReply> Daemon::on(const ReadyRequest&) {
  const Readiness& r = replica_->readiness();
  ReadyReply reply;
  reply.unhealthy = unhealthy();
  if (reply.unhealthy.empty() && r.state == Readiness::State::stopped) reply.unhealthy = r.reason;
  reply.healthy = reply.unhealthy.empty();
  reply.ready = reply.healthy && r.takes_readers();
  reply.state = reply.healthy ? state_of(r.state) : NodeState::stopped;
  reply.reason = reply.healthy ? r.reason : reply.unhealthy;
  reply.missing = r.missing;
  for (const FolderLag& f : r.folders)
    reply.folders.push_back({folder_name(f.folder), f.changes, f.behind_ms / 1000});
  return reply;
}

// One line of HAProxy's agent-check.
std::string Daemon::agent_line() {
  const auto reply = std::get<ReadyReply>(*on(ReadyRequest{}));
  if (reply.ready) {
    if (!ready_since_) ready_since_ = Clock::now();
    return Clock::now() < *ready_since_ + kSayReady ? "up ready 100%" : "up 100%";
  }
  if (reply.state == NodeState::drained) return "up drain";
  return fmt::format("down # {}: {}", state_name(reply.state), printable(reply.reason));
}

std::vector<Daemon::PendingWait> Daemon::take_ended(std::vector<PendingWait>& waiting, bool all, Loop::Alarm& alarm,
                                                   Clock::time_point next) {
  const auto at = Clock::now();
  std::vector<PendingWait> ended;
  std::erase_if(waiting, [&](PendingWait& w) {
    const bool ends = all || w.deadline <= at;
    if (ends)
      ended.push_back(std::move(w));
    else
      next = std::min(next, w.deadline);
    return ends;
  });
  if (!waiting.empty()) alarm.set(next);
  return ended;
}

// ---- drain
// ------------------------------------------------------------------------------------------------------------------

void Daemon::drain(const DrainRequest& request, ControlAnswer answer) {
  if (const Status s = replica_->drain(now()); !s) return answer(tl::unexpected(s.error()));
  drains_.push_back({std::move(answer), Clock::now() + std::chrono::milliseconds(request.timeout_ms)});
  tell(Tick{});
}

// Answered when readers may come, or soon: why they may not yet is in the answer.
void Daemon::resume(ControlAnswer answer) {
  replica_->resume(now());
  ready_since_.reset();
  resumes_.push_back({std::move(answer), Clock::now() + kResumed});
  resume_alarm_->set(resumes_.front().deadline);
  tell(Tick{});
}

void Daemon::check_resumes() {
  if (resumes_.empty()) return;
  const bool ready = replica_->readiness().takes_readers();
  for (const PendingWait& r : take_ended(resumes_, ready, *resume_alarm_)) r.answer(on(ReadyRequest{}));
}

// Others can only have what this node has looked at: if it is late with that, they are asked once more.
bool Daemon::drained_by_now() {
  if (replica_->drain_view().phase != DrainView::Phase::drained) return false;
  drain_was_early_ |= overdue();
  if (!drain_was_early_) return true;
  if (!overdue() && replica_->drain(now())) drain_was_early_ = false, tell(Tick{});
  return false;
}

DrainReply Daemon::drain_reply() const {
  const DrainView view = replica_->drain_view();
  using Phase = DrainView::Phase;
  DrainReply reply;
  reply.done = view.phase == Phase::drained;
  reply.state = view.phase == Phase::spreading ? NodeState::draining : NodeState::drained;
  for (const NodeId& n : view.have) reply.have.push_back(name_of(n));
  for (const NodeId& n : view.lacking) reply.lacking.push_back(name_of(n));
  for (const NodeId& n : view.absent) reply.absent.push_back(name_of(n));
  return reply;
}

void Daemon::check_drains() {
  if (drains_.empty()) return;
  const bool resumed = replica_->drain_view().phase == DrainView::Phase::off;
  const bool all = resumed || drained_by_now();
  const auto again = drain_was_early_ ? Clock::now() + kOverdueAgain : Clock::time_point::max();
  for (const PendingWait& d : take_ended(drains_, all, *drain_alarm_, again)) {
    if (resumed)
      d.answer(fail(Error::Code::refused, "the node was told to resume"));
    else
      d.answer(drain_reply());
  }
}

}  // namespace syncline

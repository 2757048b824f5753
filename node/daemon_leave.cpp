#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "node/daemon.h"
#include "protocol/limits.h"

// Out of the cluster: `syncline cluster leave` and `evict`.
namespace syncline {

namespace {

constexpr const char* kTold = "told of leaving";
constexpr std::size_t kIdDigits = 4;  // of an id that names a member

}  // namespace

bool Daemon::is_gone() const {
  const Member* self = member(home_.identity.node);
  return self && self->state != MemberState::joined;
}

// The links stay until somebody knows that this node has left; who was evicted has none.
bool Daemon::keeps_links() const {
  const Member* self = member(home_.identity.node);
  return !is_gone() || (self->state == MemberState::left && !index_->meta(kTold));
}

void Daemon::put_departure(const NodeId& node, MemberState state, const NodeId& by) {
  replica_->put_value(departure_path(node), encode_departure({node, state, by}), now());
  tell(Tick{});
}

void Daemon::leave(const LeaveRequest& request, ControlAnswer answer) {
  if (is_gone()) return answer(fail(Error::Code::refused, "this node is not a member any more"));
  if (const Status s = replica_->drain(now()); !s) return answer(tl::unexpected(s.error()));
  leaves_.push_back({std::move(answer), Clock::now() + std::chrono::milliseconds(request.timeout_ms)});
  leave_alarm_->set(leaves_.front().deadline);
  tell(Tick{});
}

// Out of service first; then the others are told, and one of them has read it.
void Daemon::check_leaves() {
  const bool waits_to_be_heard = is_gone() && keeps_links();
  if (leaves_.empty() && !waits_to_be_heard) return;
  const auto peers = replica_->peers();
  const auto has_heard = [](const PeerView& p) { return p.linked && p.behind == 0; };
  const bool told = is_gone() && std::any_of(peers.begin(), peers.end(), has_heard);
  if (told && waits_to_be_heard) {
    index_->put_meta(kTold, "1");
    members_changed_ = true;
    tell(Tick{});
    spdlog::info("this node has left the cluster");
  }
  const bool resumed = !is_gone() && replica_->drain_view().phase == DrainView::Phase::off;
  if (!leaves_.empty() && !resumed && !is_gone() && drained_by_now()) put_departure(home_.identity.node, MemberState::left, home_.identity.node);
  const auto again = drain_was_early_ ? Clock::now() + kOverdueAgain : Clock::time_point::max();
  for (const PendingWait& l : take_ended(leaves_, told || resumed, *leave_alarm_, again)) {
    DrainReply reply = drain_reply();
    reply.done = told;
    if (is_gone()) reply.state = NodeState::stopped;
    if (resumed)
      l.answer(fail(Error::Code::refused, "the node was told to resume"));
    else
      l.answer(reply);
  }
}

Result<ControlReply> Daemon::on(const EvictRequest& request) {
  if (is_gone()) return fail(Error::Code::refused, "this node is not a member any more");
  const Member* found = nullptr;
  for (const Member& m : members_) {
    const bool by_id = request.node.size() >= kIdDigits && to_hex(m.node).starts_with(request.node);
    if (m.name != request.node && !by_id) continue;
    // A name may have been that of one who is gone.
    if (found && found->state == MemberState::joined && m.state == MemberState::joined)
      return fail(Error::Code::invalid, request.node + " is more than one member; give more digits of the id");
    if (!found || m.state == MemberState::joined) found = &m;
  }
  if (!found) return fail(Error::Code::not_found, "no member " + request.node + "; see: syncline cluster members");
  if (found->node == home_.identity.node)
    return fail(Error::Code::refused, found->name + " is this node; it goes with: syncline cluster leave");
  if (found->state != MemberState::joined) return fail(Error::Code::refused, found->name + " is not a member any more");
  const EvictReply reply{found->name, found->node};
  put_departure(found->node, MemberState::evicted, home_.identity.node);
  process();
  if (commit_blocked_) return fail(Error::Code::full, "no space left for the index; it is done once there is");
  spdlog::info("{} was evicted from here", reply.name);
  return reply;
}

// The others may have been too quick in ending the links to tell of it.
void Daemon::disowned(const NodeId& peer) {
  const Member* by = member(peer);
  if (is_gone() || !by || by->state != MemberState::joined) return;
  spdlog::warn("{} does not list this node as a member any more: it was evicted", name_of(peer));
  put_departure(home_.identity.node, MemberState::evicted, peer);
}

}  // namespace syncline

#include "tests/sim/membership.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/member.h"

namespace syncline::sim {
namespace {

constexpr std::uint64_t kLookUs = 250'000;

}  // namespace

void Membership::perform(const Step& step) {
  const std::size_t target = step.verb == Verb::leave ? step.node : static_cast<std::size_t>(step.number);
  Node& by = *nodes_[step.node];
  if (evictors_.contains(target)) return;
  if (target == 0 || target >= nodes_.size() || going_.contains(target) || going_.contains(step.node) || going_.size() + 2 >= nodes_.size()) return;
  if (!by.linkable() || by.paused() || (step.verb == Verb::evict && target == step.node)) return;
  if (step.verb == Verb::leave) {
    if (!by.idle() || !by.has_folder() || by.is_written_to() || !by.replica().drain(by.now())) return;
    by.set_leaving();
  } else {
    by.put_departure({node_id(target), MemberState::evicted, node_id(step.node)});
    evictors_.insert(step.node);
  }
  if (going_.empty()) world_.queue.after(kLookUs, [this] { watch(); });
  going_[target] = {step.verb, step.node};
  by.feed(Tick{});
}

bool Membership::may_link(std::size_t a, std::size_t b) const {
  return going_.empty() || (nodes_[a]->lists(b) && nodes_[b]->lists(a) && nodes_[a]->keeps_links() && nodes_[b]->keeps_links());
}

void Membership::watch() {
  for (const auto& [number, going] : going_) {
    Node& node = *nodes_[number];
    // A loss of power may take the news of it: then it is said again.
    if (Node& by = *nodes_[going.by]; going.how == Verb::evict && by.linkable() && by.lists(number))
      by.put_departure({node_id(number), MemberState::evicted, node_id(going.by)}), by.feed(Tick{});
    if (node.gone()) continue;
    if (going.how == Verb::leave && node.linkable()) go_on_leaving(node);
    hang_up(node);
    bool linked = false;
    for (const auto& other : nodes_) linked = linked || (other.get() != &node && network_.is_linked(number, other->number()));
    if (!linked && node.running() && node.departure() && !node.keeps_links()) declare_gone(node, going.how == Verb::evict);
  }
  world_.queue.after(kLookUs, [this] { watch(); });
}

// Out of service first; then it says so, and stays linked until somebody has read it.
void Membership::go_on_leaving(Node& node) {
  if (!node.departure()) {
    if (node.replica().drain_view().phase == DrainView::Phase::off) (void)node.replica().drain(node.now());
    if (node.replica().drain_view().phase == DrainView::Phase::drained && node.idle())
      node.put_departure({node_id(node.number()), MemberState::left, node_id(node.number())});
    return node.feed(Tick{});
  }
  const auto peers = node.replica().peers();
  if (std::any_of(peers.begin(), peers.end(), [](const PeerView& p) { return p.linked && p.behind == 0; })) node.set_told();
}

// Those who know that a member was evicted end its links, and let it know when it calls again.
void Membership::hang_up(Node& node) {
  for (const auto& other : nodes_) {
    if (other.get() == &node || !other->running()) continue;
    const bool evicted = going_.at(node.number()).how == Verb::evict && !other->lists(node.number());
    if (!evicted && (!node.running() || node.keeps_links())) continue;
    network_.reset(node.number(), other->number());
    if (evicted && !other->gone() && node.linkable() && !node.departure() && network_.passes(other->number(), node.number()))
      node.put_departure({node_id(node.number()), MemberState::evicted, node_id(other->number())}), node.feed(Tick{});
  }
}

void Membership::declare_gone(Node& node, bool evicted) {
  world_.trace(fmt::format("{} has gone", node.name()));
  node.set_gone();
  gone_us_[node.number()] = world_.queue.now_us();
  // What nobody had heard of by then is its own alone, and so is what its applications do from now on.
  world_.history.set_back(node.number(), 0, [&](const std::string& path, const std::optional<State>& state) {
    const auto shown = node.shown(path);
    const bool untold = state && shown && shown->state == *state && !node.is_told(path, *state);
    if (!evicted) return !untold;
    return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) { return !other->gone() && other->knows(path, state); });
  });
  world_.history.set_receive_only(node.number());
}

bool Membership::is_settled() const {
  return std::all_of(going_.begin(), going_.end(), [this](const auto& g) {
    if (!nodes_[g.first]->gone()) return false;
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& n) { return n->gone() || (n->running() && !n->lists(g.first)); });
  });
}

void Membership::check() const {
  for (const auto& [number, gone_us] : gone_us_) {
    Node& node = *nodes_[number];
    if (node.running() && node.replica().readiness().takes_readers())
      world_.violation("who has gone is out of service", fmt::format("{} takes readers", node.name()));
    const auto& writes = world_.history.writes();
    for (const auto& [path, shown] : node.tree()) {
      if (shown.state.type == FileType::directory) continue;
      const bool had = std::any_of(writes.begin(), writes.end(), [&, number = number, gone_us = gone_us](const Write& w) {
        return w.path == path && w.after && w.after->content == shown.state.content && w.after->target == shown.state.target &&
               (w.node == number || w.at_us <= gone_us);
      });
      if (!had)
        world_.violation("who has gone gets nothing", fmt::format("{} shows {} at {}", node.name(), world_.history.describe(shown.state), path));
    }
  }
}

}  // namespace syncline::sim

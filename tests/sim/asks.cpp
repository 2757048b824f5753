#include "tests/sim/asks.h"

#include <fmt/format.h>

#include <algorithm>

namespace syncline::sim {
namespace {

constexpr std::uint64_t kSecondUs = 1'000'000;
constexpr std::uint64_t kLookUs = kSecondUs / 50;
constexpr unsigned kLooksForIt = 100;
constexpr std::uint64_t kWaitUs = 5 * kSecondUs;
constexpr std::uint64_t kDrainLookUs = kSecondUs / 4;
constexpr unsigned kDrainLooks = 120;
constexpr std::uint64_t kOldUs = 6 * kSecondUs;  // longer than a watcher, a writer and a group take

bool is_above(std::string_view directory, std::string_view path) {
  return directory != path && is_below(path, directory);
}

bool same_file(const std::optional<State>& a, const std::optional<State>& b) {
  return a && b ? a->type == b->type && a->content == b->content && a->target == b->target : !a && !b;
}

}  // namespace

bool Asks::does(Verb verb) { return verb >= Verb::wait && verb <= Verb::unpause; }

void Asks::perform(const Step& step) {
  Node& node = *nodes_[step.node];
  if (!node.linkable()) return;
  switch (step.verb) {
    case Verb::wait:
      return wait(step.node, step.path, step.number, kLooksForIt);
    case Verb::find:
      return find(node, step.path);
    case Verb::drain:
      return drain(node);
    case Verb::resume:
      node.replica().resume(node.now());
      return node.feed(Tick{});
    case Verb::pause:
      return node.pause();
    default:
      return node.unpause();
  }
}

void Asks::heal() {
  for (const auto& node : nodes_) {
    if (!node->running()) continue;
    if (node->linkable() && !node->leaving()) node->replica().resume(node->now());
    node->unpause();
  }
}

void Asks::answered(std::size_t number, const Effect& effect) {
  if (const auto* over = std::get_if<WaitOver>(&effect)) return end_wait(number, over->wait, true);
  const std::uint64_t id = std::get<FindOver>(effect).find;
  const auto asked = finds_.find({number, id});
  if (asked == finds_.end()) return;
  const std::vector<Find> finds = std::move(asked->second);
  finds_.erase(asked);
  Node& node = *nodes_[number];
  const FindView view = node.replica().find_state(id);
  node.replica().end_find(id);
  for (const Find& find : finds) judge(node, find, view);
}

// ---- fetch on miss

std::optional<State> Asks::file_at(Node& node, const std::string& path) {
  const auto shown = node.shown(path);
  if (!shown || shown->state.type != FileType::file || node.is_being_written(path)) return std::nullopt;
  return shown->state;
}

void Asks::find(Node& node, const std::string& path) {
  Find find{path, node.starts(), {}};
  std::vector<NodeId> joined;
  for (const auto& other : nodes_) {
    if (other.get() == &node) continue;
    joined.push_back(node_id(other->number()));
    if (other->gone() || !other->has_folder()) continue;
    if (const auto state = file_at(*other, path)) find.holders.emplace_back(other->number(), *state);
  }
  const auto id = node.replica().start_find(1, path, joined, node.now());
  if (!id) return;
  std::vector<Find>& same = finds_[{node.number(), *id}];
  if (!same.empty() && same.front().starts != node.starts())
    same.clear();  // of a process that has died since
  same.push_back(std::move(find));
  node.feed(Tick{});
}

// Nothing was ever done to the path but that files were written there, in directories that stayed such.
bool Asks::only_written(const std::string& path) const {
  return std::all_of(world_.history.writes().begin(), world_.history.writes().end(), [&](const Write& w) {
    if (is_above(path, w.path)) return false;
    if (is_above(w.path, path)) return w.after && w.after->type == FileType::directory;
    return w.path != path || w.unfinished ||
           (w.after && w.after->type == FileType::file && !w.forgiven && !w.by_crash);
  });
}

void Asks::judge(Node& node, const Find& find, const FindView& view) {
  if (!only_written(find.path)) return;
  if (view.state == FindView::State::here && !node.shown(find.path))
    world_.violation("honest answers",
                     fmt::format("{} says that {} is here, and it is not", node.name(), find.path));
  if (view.state != FindView::State::nowhere) return;
  for (const auto& [holder, state] : find.holders) {
    if (nodes_[holder]->gone() || !nodes_[holder]->has_folder() || !same_file(file_at(*nodes_[holder], find.path), state)) continue;
    world_.violation("honest answers", fmt::format("{} says that {} is nowhere, and n{} had it all the time",
                                                   node.name(), find.path, holder));
  }
}

// ---- the barrier

// Nobody but this node's applications has ever touched the path, what is above it or below.
bool Asks::only_by(std::size_t writer, const std::string& path, bool whatever_power_took) const {
  return std::all_of(world_.history.writes().begin(), world_.history.writes().end(), [&](const Write& w) {
    const bool concerns = w.path == path || is_above(w.path, path) || is_above(path, w.path);
    if (!concerns) return true;
    if (whatever_power_took) return w.by_crash || w.node == writer;
    return w.node == writer && !w.forgiven && !w.by_crash;
  });
}

// `kind`: 0 all, -1 a majority, else so many; 10 more: durable.
void Asks::wait(std::size_t number, const std::string& path, std::int64_t kind, unsigned looks) {
  Node& node = *nodes_[number];
  if (!node.linkable()) return;
  const auto state = file_at(node, path);
  const bool knows_members =
      node.replica().values("members").size() == nodes_.size();  // a newcomer's records have come
  if (!state || !knows_members) return;
  if (!node.is_told(path, *state)) {  // nobody has looked yet
    if (looks > 0)
      world_.queue.after(kLookUs, [this, number, path, kind, looks] { wait(number, path, kind, looks - 1); });
    return;
  }
  WaitGoal goal{WaitGoal::Who::all, 0, kind >= 10};
  const std::int64_t count = kind >= 10 ? kind - 10 : kind;
  if (count < 0) goal.who = WaitGoal::Who::majority;
  if (count > 0) goal.who = WaitGoal::Who::count, goal.count = static_cast<std::size_t>(count);
  const auto id = node.replica().start_wait(1, path, goal, node.now());
  if (!id) return;
  Wait wait{path, node.starts(), *state, world_.history.writes().size(), goal, {}};
  for (const auto& other : nodes_) wait.power_losses.push_back(other->power_losses());
  waits_[{node.number(), *id}] = std::move(wait);
  world_.queue.after(kWaitUs, [this, number = node.number(), id = *id, starts = node.starts()] {
    const auto late = waits_.find({number, id});
    if (late != waits_.end() && late->second.starts == starts) end_wait(number, id, false);
  });
  node.feed(Tick{});
}

void Asks::end_wait(std::size_t number, std::uint64_t id, bool over) {
  const auto asked = waits_.find({number, id});
  if (asked == waits_.end()) return;
  const Wait wait = std::move(asked->second);
  waits_.erase(asked);
  Node& node = *nodes_[number];
  if (!node.running() || node.starts() != wait.starts) return;
  const WaitView view = node.replica().wait_state(id);
  node.replica().end_wait(id);
  if (over && view.done) judge(node, wait, view);
}

// Whether the node shows this state of the path, or one that its only writer has made since.
bool Asks::shows_no_older(Node& node, std::size_t writer, const std::string& path, const State& state,
                          std::size_t since) {
  const auto shown = node.shown(path);
  const std::optional<State> at = shown ? std::optional(shown->state) : std::nullopt;
  if (same_file(at, state)) return true;
  const auto& writes = world_.history.writes();
  return std::any_of(writes.begin() + static_cast<std::ptrdiff_t>(since), writes.end(), [&](const Write& w) {
    if (w.node != writer) return false;
    return (w.path == path && same_file(w.after, at)) || (!at && is_above(w.path, path));
  });
}

void Asks::judge(Node& node, const Wait& wait, const WaitView& view) {
  const auto members = static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [&](const auto& n) { return node.lists(n->number()); }));
  const std::size_t wanted = wait.goal.who == WaitGoal::Who::majority ? members / 2 + 1 : wait.goal.count;
  if (view.have.size() < wanted)
    world_.violation("honest answers", fmt::format("{} says that {} has spread, to {} of {} nodes",
                                                   node.name(), wait.path, view.have.size(), wanted));
  if (!only_by(node.number(), wait.path)) return;
  for (const auto& other : nodes_) {
    if (std::find(view.have.begin(), view.have.end(), node_id(other->number())) == view.have.end()) continue;
    if (other->is_being_written(wait.path)) continue;  // anew, since it had it
    const bool same_power = other->power_losses() == wait.power_losses[other->number()];
    if (same_power && !shows_no_older(*other, node.number(), wait.path, wait.state, wait.writes))
      world_.violation("honest answers", fmt::format("{} says that {} has {}, and it has not", node.name(),
                                                     other->name(), wait.path));
    if (same_power && wait.goal.durable)
      promises_.push_back({other->number(), node.number(), wait.path, wait.state, wait.writes});
  }
}

void Asks::check_durable(std::size_t number) {
  for (const Promise& promise : promises_) {
    if (promise.node != number || !only_by(promise.writer, promise.path, true)) continue;
    if (shows_no_older(*nodes_[number], promise.writer, promise.path, promise.state, promise.writes))
      continue;
    world_.violation(
        "durability",
        fmt::format("n{} has lost {} with its power, and had said that it is durable", number, promise.path));
  }
}

// ---- out of service

void Asks::drain(Node& node) {
  if (!node.replica().drain(node.now())) return;
  node.feed(Tick{});
  watch_drain(node.number(), node.starts(), 0);
}

void Asks::watch_drain(std::size_t number, std::uint64_t starts, unsigned looks) {
  Node& node = *nodes_[number];
  if (!node.running() || node.starts() != starts || looks > kDrainLooks) return;
  switch (node.replica().drain_view().phase) {
    case DrainView::Phase::off:
      return;
    case DrainView::Phase::drained: {
      const bool safe = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) {
        return other.get() != &node && has_all_of(*other, node);
      });
      if (!safe)
        world_.violation("honest answers",
                         fmt::format("{} is drained, and nobody else has all that it has", node.name()));
      return;
    }
    default:
      world_.queue.after(kDrainLookUs,
                         [this, number, starts, looks] { watch_drain(number, starts, looks + 1); });
  }
}

// Of what only the node's own applications wrote, and not just now.
bool Asks::has_all_of(Node& other, Node& node) {
  const auto& writes = world_.history.writes();
  if (node.has_lost_events() || node.paused()) return true;  // a paused folder is left out
  for (const auto& [path, shown] : node.tree()) {
    if (shown.state.type != FileType::file || node.is_being_written(path) || !only_by(node.number(), path))
      continue;
    const bool fresh = std::any_of(writes.begin(), writes.end(), [&](const Write& w) {
      return w.node == node.number() && (w.path == path || is_above(w.path, path)) &&
             w.at_us + kOldUs > world_.queue.now_us();
    });
    if (!fresh && !shows_no_older(other, node.number(), path, shown.state, writes.size())) return false;
  }
  return true;
}

}  // namespace syncline::sim

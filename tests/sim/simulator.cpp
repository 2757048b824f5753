#include "tests/sim/simulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/messages.h"
#include "tests/sim/status.h"
#include "tests/sim/trace.h"

namespace syncline::sim {
namespace {

constexpr std::uint64_t kSecondUs = 1'000'000;
constexpr std::uint64_t kConvergeUs = 300 * kSecondUs;  // from healing to one tree
constexpr std::uint64_t kQuietUs = 12 * kSecondUs;      // longer than any back-off of a replica
constexpr std::uint64_t kSettleUs = 600 * kSecondUs;
constexpr std::uint64_t kNewsUs = 30 * kSecondUs;  // until everybody knows what everybody has, where a few are told
constexpr unsigned kVerifyRounds = 5;
// Liveness in messages: what healing may take, for each write and pair of nodes, plus gossip.
constexpr std::uint64_t kMessagesPerWrite = 60, kMessagesPerPair = 4000;

bool is_gossip(const Message& m) {
  return std::holds_alternative<Digest>(m) || std::holds_alternative<AskVector>(m) ||
         std::holds_alternative<Announce>(m);
}

// Conflicts are resolved whose bytes no member could find. The first thing that a process says is who it is, and then that.
class EndedSearches {
 public:
  void take(const LogItem& item) {
    if (const auto* conflict = std::get_if<Conflict>(&item)) {
      others_ = others_ || !conflict->resolved;
      ++resolved_;
      return;
    }
    const Record& record = std::get<Record>(item);
    others_ = others_ || record.folder != kClusterFolder || record.path != "actors/" + to_hex(record.dot.actor) || record.dot.seq != 1;
  }
  bool only() const { return !others_ && resolved_ > 0; }

 private:
  bool others_ = false;
  std::size_t resolved_ = 0;
};

bool ends_searches(const Message& m) {
  const auto* entries = std::get_if<Entries>(&m);
  EndedSearches seen;
  if (entries) std::ranges::for_each(entries->items, [&](const Entries::Item& item) { seen.take(item.entry); });
  return seen.only();
}

bool only_ended_searches(const Index& index, const VersionVector& since) {
  EndedSearches seen;  // of all: two may resolve the same one, and the log keeps the later
  for (const auto& e : index.vector().entries())
    std::ranges::for_each(index.log(e.actor, since.get(e.actor), SIZE_MAX, SIZE_MAX), [&](const LogEntry& entry) { seen.take(entry.item); });
  return seen.only();
}

}  // namespace

Simulator::Simulator(const Schedule& schedule, bool trace)
    : world_(schedule, trace), network_(world_, schedule.nodes, *this), asks_(world_, nodes_), membership_(world_, network_, nodes_), claims_checked_(schedule.nodes) {
  for (std::size_t n = 0; n < schedule.nodes; ++n)
    nodes_.push_back(std::make_unique<Node>(world_, n, network_));
  for (std::size_t n = 0; n < schedule.nodes; ++n) {
    nodes_[n]->answered = [this, n](const Effect& effect) { asks_.answered(n, effect); };
    nodes_[n]->on_power_loss = [this, n] { asks_.check_durable(n); };
  }
}

void Simulator::link_up(std::size_t node, std::size_t peer) {
  debts_.forget(node, peer);
  if (nodes_[node]->running()) nodes_[node]->feed(LinkUp{node_id(peer)});
  if (nodes_[node]->running() && relays_contents(world_.schedule)) nodes_[node]->feed(LinkPath{node_id(peer), 1});
}

void Simulator::link_down(std::size_t node, std::size_t peer) {
  if (nodes_[node]->running()) nodes_[node]->feed(LinkDown{node_id(peer)});
}

void Simulator::writable(std::size_t node, std::size_t peer, Lane lane) {
  if (nodes_[node]->running()) nodes_[node]->feed(LaneWritable{node_id(peer), lane});
}

// What the checkers learn of a message on its way.
void Simulator::watch(std::size_t from, std::size_t to, const Message& message) {
  if (const auto* entries = std::get_if<Entries>(&message)) {
    for (const auto& item : entries->items) {
      dots_.saw(world_, nodes_[from]->name(), item);
      const auto* record = std::get_if<Record>(&item.entry);
      if (record != nullptr && world_.rotten.contains(record->content.hash))
        world_.violation("rot is not published", fmt::format("n{} tells of {} as it rotted", from, record->path));
    }
  } else if (const auto* want = std::get_if<Want>(&message)) {
    debts_.asked(world_, from, to, *want);
  } else if (const auto* piece = std::get_if<Piece>(&message)) {
    debts_.answered(to, from, piece->id);
  } else if (const auto* no = std::get_if<Unavailable>(&message)) {
    debts_.answered(to, from, no->id);
  } else if (std::holds_alternative<Hello>(message) && nodes_[from]->running() &&
             claims_checked_[from] != nodes_[from]->starts()) {
    claims_checked_[from] = nodes_[from]->starts();
    dots_.check_claims(world_, nodes_[from]->name(), nodes_[from]->index());
  }
}

void Simulator::received(std::size_t node, std::size_t peer, Lane, Bytes message) {
  if (!nodes_[node]->running()) return;
  ++world_.stats.messages;
  world_.stats.bytes += message.size();
  world_.mix(message);
  const auto decoded = decode(message);
  if (decoded)
    watch(peer, node, *decoded);
  else
    world_.violation("well-formed messages", decoded.error().message);
  if (decoded && is_gossip(*decoded)) {
    ++world_.stats.gossip;
  } else {
    world_.last_activity_us = world_.queue.now_us();
    const bool search =
        decoded && (std::holds_alternative<Want>(*decoded) || std::holds_alternative<Unavailable>(*decoded));
    // That a node is counted on again is asked and answered whenever it has caught up, and who goes out of service hears of those who have
    // all when they have: no change is behind it.
    const bool handshake = decoded && (std::holds_alternative<Lookup>(*decoded) || std::holds_alternative<LookupAnswer>(*decoded) ||
                                       std::holds_alternative<Settled>(*decoded));
    if (quiescent_ && !handshake && !((search || (decoded && ends_searches(*decoded))) && bytes_gone_)) {
      world_.violation("quiescence", fmt::format("n{} told n{} when nothing had changed: {}", peer, node,
                                                 message_text(message)));
    }
  }
  nodes_[node]->feed(Received{node_id(peer), std::move(message)});
}

// ---- the schedule

void Simulator::perform(const Step& step) {
  Node& node = *nodes_[step.node];
  world_.trace("==== " + to_text(step));
  if (Application::does(step.verb)) return node.run_application(step);
  if (Asks::does(step.verb)) return asks_.perform(step);
  if (Membership::does(step.verb)) return membership_.perform(step);
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(step.number, 0));
  const std::size_t peer = std::min(static_cast<std::size_t>(ms), nodes_.size() - 1);
  const auto elsewhere = [&](const std::string& path, const std::optional<State>& state) {
    return std::any_of(nodes_.begin(), nodes_.end(),
                       [&](const auto& n) { return n.get() != &node && n->knows(path, state); });
  };
  switch (step.verb) {
    case Verb::ambush:
      return node.ambush(ms);
    case Verb::restore:
      return node.resolve(step.path, true);
    case Verb::drop:
      return node.resolve(step.path, false);
    case Verb::revert:
      return node.revert(step.path);
    case Verb::cut:
      network_.block(step.node, peer), network_.block(peer, step.node);
      return;
    case Verb::mute:
      return network_.block(step.node, peer);
    case Verb::mend:
      return network_.mend(step.node, peer);
    case Verb::reset:
      return network_.reset(step.node, peer);
    case Verb::slow:
      return network_.slow(step.node, peer);
    case Verb::image:
      return node.take_image();
    case Verb::rewind:
      return node.return_to_image(elsewhere);
    case Verb::clone:
      return node.become_copy_of(*nodes_[peer], elsewhere);
    case Verb::crash:
      return node.crash(false, ms);
    case Verb::power:
      return node.crash(true, ms);
    case Verb::start:
      return node.start();
    case Verb::clock:
      return node.jump_clock(step.number);
    case Verb::lose:
      return node.lose_events(ms);
    case Verb::full:
      return node.disk_full(ms);
    case Verb::broken:
      return node.disk_broken(ms, step.path);
    case Verb::rescan:
      return node.rescan();
    case Verb::glitch:
      return node.glitch(ms);
    case Verb::rot:
      return node.rot(step.path, [&](const std::string& path, const State& state) {
        return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& n) {
          const auto shown = n.get() == &node ? std::nullopt : n->shown(path);
          return shown && shown->state == state;
        });
      });
    case Verb::verify:
      return node.verify();
    case Verb::give_up:
      return node.give_up();
    case Verb::take_up:
      return node.take_up();
    case Verb::settle:
      return settle();
    default:
      return expect(step);
  }
}

void Simulator::settle() {
  const std::uint64_t begin = world_.queue.now_us();
  world_.last_activity_us = begin;
  while (world_.queue.now_us() < world_.last_activity_us + kQuietUs || network_.carries_contents()) {
    world_.queue.run_until(world_.queue.now_us() + kSecondUs / 4);
    if (world_.queue.now_us() < begin + kSettleUs) continue;
    world_.violation("liveness", "does not settle");
    break;
  }
  stopped_us_ += world_.queue.now_us() - begin;
}

void Simulator::expect(const Step& step) {
  for (const auto& node : nodes_) {
    if (!node->running() || (step.verb == Verb::shows && node->number() != step.node)) continue;
    const NodeView view = node->view();
    const auto is = [&](const std::optional<State>& s) {
      if (step.to == "-") return !s;
      if (step.to == "/") return s && s->type == FileType::directory;
      return s && s->type == FileType::file && world_.history.bytes(s->content) == step.to + "\n";
    };
    const auto at = view.tree.find(step.path);
    const auto open = std::count_if(view.conflicts.begin(), view.conflicts.end(),
                                    [](const auto& c) { return !c.resolved; });
    bool ok = true;
    switch (step.verb) {
      case Verb::expect:
      case Verb::shows:
        ok = is(at == view.tree.end() ? std::nullopt : std::optional(at->second.state));
        break;
      case Verb::conflict:
        ok = std::any_of(view.conflicts.begin(), view.conflicts.end(), [&](const ConflictView& c) {
          return !c.resolved && c.path == step.path && is(c.loser);
        });
        break;
      default:
        ok = open == step.number;
    }
    if (!ok) world_.violation("expectation", fmt::format("{}: {}", view.name, to_text(step)));
  }
}

std::vector<Node*> Simulator::members() const {
  std::vector<Node*> out;
  for (const auto& node : nodes_) {
    if (!node->gone()) out.push_back(node.get());
  }
  return out;
}

bool Simulator::together() const {
  const std::vector<Node*> all = members();
  return membership_.is_settled() && std::all_of(all.begin(), all.end(), [this](const Node* node) {
    return node->idle() && node->pending() == 0 && node->vector() == nodes_.front()->vector();
  });
}

void Simulator::heal() {
  world_.trace("==== heal");
  network_.heal();
  asks_.heal();
  for (const auto& node : nodes_) {
    if (world_.weather.modes_end != 0) node->end_mode();
    node->heal();
  }
  world_.queue.run_until(world_.queue.now_us() + 15 * kSecondUs);  // lost events, crashes under way, busy files
  for (const auto& node : nodes_) {
    node->heal();
    node->rescan();
    if (!world_.rotten.empty()) node->verify();
  }
  asks_.heal();
}

bool Simulator::converge(std::uint64_t begin) {
  std::uint64_t steady = 0;
  while (steady < 4) {
    world_.queue.run_until(world_.queue.now_us() + kSecondUs / 2);
    const bool have_bytes =
        std::ranges::all_of(members(), [](const Node* node) { return node->has_conflict_bytes(); });
    steady = together() && have_bytes && !network_.carries_contents() ? steady + 1 : 0;
    if (world_.queue.now_us() > begin + kConvergeUs) {
      std::string why;
      for (const auto& node : nodes_) why += "\n    " + node->why_busy();
      world_.violation(have_bytes ? "liveness" : "restorable conflicts",
                       fmt::format("not together {} s after healing:{}", kConvergeUs / kSecondUs, why));
      return false;
    }
  }
  return true;
}

// Administrators have everything read again until nothing is damaged any more.
void Simulator::mend_rot() {
  for (unsigned round = 0; round < kVerifyRounds; ++round) {
    const std::uint64_t damaged = world_.stats.damaged;
    const std::uint64_t begin = world_.queue.now_us();
    for (const auto& node : nodes_) node->verify();
    world_.queue.run_until(begin + 5 * kSecondUs);
    if (!converge(begin)) return;
    const bool rotten = std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return !node->gone() && node->has_rot(); });
    if (world_.stats.damaged == damaged && !rotten) return;
  }
  world_.violation("rot is repaired", fmt::format("something is damaged still after {} rounds of verify", kVerifyRounds));
}

void Simulator::heal_and_converge() {
  const std::uint64_t begin = world_.queue.now_us();
  const std::uint64_t messages = world_.stats.messages - world_.stats.gossip;
  heal();
  if (!converge(begin)) return;
  world_.stats.converged_us = world_.queue.now_us() - begin;
  const std::uint64_t took = world_.stats.messages - world_.stats.gossip - messages;
  const std::uint64_t bound = kMessagesPerPair * nodes_.size() * nodes_.size() +
                              kMessagesPerWrite * nodes_.size() * world_.history.writes().size();
  if (took > bound)
    world_.violation("liveness", fmt::format("{} messages after healing, more than {}", took, bound));
  if (!world_.rotten.empty()) mend_rot();
}

// A scan of trees that nobody has changed finds nothing, and nobody has anything to say.
void Simulator::check_quiescence() {
  std::vector<VersionVector> before;
  const std::vector<Node*> all = members();
  for (const Node* node : all) before.push_back(node->vector());
  quiescent_ = true;
  for (const Node* node : all) bytes_gone_ = bytes_gone_ || node->searches_in_vain();
  world_.trace("==== quiescence");
  for (const auto& node : nodes_) node->rescan();
  world_.queue.run_until(world_.queue.now_us() + kQuietUs);
  for (std::size_t n = 0; n < all.size(); ++n) {
    if (all[n]->running() && all[n]->vector() == before[n]) continue;
    if (all[n]->running() && bytes_gone_ && only_ended_searches(all[n]->index(), before[n])) continue;
    world_.violation("quiescence", fmt::format("{} made a version when nothing had changed", all[n]->name()));
  }
}

std::vector<NodeView> Simulator::views() {
  std::vector<NodeView> out;
  for (Node* node : members()) out.push_back(node->view());
  return out;
}

Outcome Simulator::run() {
  const std::size_t late = std::min<std::size_t>(world_.weather.late_nodes, nodes_.size() - 1);
  for (std::size_t n = 0; n + late < nodes_.size(); ++n) nodes_[n]->start();
  for (const Step& step : world_.schedule.steps) {
    world_.queue.run_until(step.at_ms * 1000 + stopped_us_);
    perform(step);
    check_status(world_, nodes_);
  }
  world_.queue.run_until(world_.queue.now_us() + kSecondUs / 2);
  heal_and_converge();
  if (world_.violations.empty()) {
    const auto nodes = views();
    check_all(world_, nodes);
    for (const Node* node : members()) dots_.check_claims(world_, node->name(), node->index());
    membership_.check();
    for (Node* node : members()) {
      for (const std::string& path : node->given_away())
        world_.violation("files belong to the site", fmt::format("{}: {} does not", node->name(), path));
    }
    for (const ConflictView& c : nodes.front().conflicts) world_.stats.conflicts += !c.resolved;
  }
  if (world_.violations.empty()) check_quiescence();
  if (world_.weather.one_near != 0) world_.queue.run_until(world_.queue.now_us() + kNewsUs);
  if (world_.violations.empty()) check_quiet_status(world_, nodes_);
  const std::size_t bound = std::max<std::size_t>(world_.weather.lane_bytes_max, 16 << 20);
  if (network_.queued_bytes_max() > bound)
    world_.violation("bounded queues", "a lane held more than its bound");
  world_.stats.writes = world_.history.writes().size();
  return {world_.violations, world_.trace_hash, world_.stats, std::move(world_.trace_lines)};
}

Outcome simulate(const Schedule& schedule, bool trace) { return Simulator(schedule, trace).run(); }

}  // namespace syncline::sim

#include "tests/sim/checkers.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/exemptions.h"
#include "tests/sim/trace.h"

namespace syncline::sim {
namespace {

std::string path_difference(const World& world, const std::string& path, const Tree& a, const Tree& b) {
  const auto x = a.find(path), y = b.find(path);
  const auto text = [&](const Tree& t, Tree::const_iterator it) {
    if (it == t.end()) return std::string("nothing");
    return fmt::format("{} of {}", world.history.describe(it->second.state), it->second.mtime_ns);
  };
  return fmt::format("{}: {} / {}", path, text(a, x), text(b, y));
}

bool same(const Shown& a, const Shown& b) {
  return a.state == b.state && (a.state.type != FileType::file || a.mtime_ns == b.mtime_ns);
}

// A folder that only sends need not be like the others', one that only receives where it was changed (exemptions.h).
void check_trees(World& world, const std::vector<NodeView>& nodes, const Exemptions& exemptions) {
  for (const NodeView& other : nodes) {
    if (other.mode == FolderMode::send_only) continue;
    const Tree &a = nodes.front().tree, &b = other.tree;
    std::set<std::string> paths;
    for (const auto& [path, shown] : a) paths.insert(path);
    for (const auto& [path, shown] : b) paths.insert(path);
    for (const std::string& path : paths) {
      const auto x = a.find(path), y = b.find(path);
      if (x != a.end() && y != b.end() && same(x->second, y->second)) continue;
      if (exemptions.is_exempt(path, other)) continue;
      world.violation("convergence of trees", fmt::format("{} / {}: {}", nodes.front().name, other.name,
                                                          path_difference(world, path, a, b)));
    }
  }
}

void check_conflict_lists(World& world, const std::vector<NodeView>& nodes) {
  std::map<std::string, bool> first;
  for (const ConflictView& c : nodes.front().conflicts) first[c.key] = c.resolved;
  for (const NodeView& other : nodes) {
    std::map<std::string, bool> theirs;
    for (const ConflictView& c : other.conflicts) theirs[c.key] = c.resolved;
    if (theirs == first) continue;
    for (const auto& [key, resolved] : first) {
      if (!theirs.contains(key) || theirs[key] != resolved) {
        world.violation("convergence of conflicts",
                        fmt::format("{} / {}: {}", nodes.front().name, other.name, key));
      }
    }
    for (const auto& [key, resolved] : theirs) {
      if (!first.contains(key))
        world.violation("convergence of conflicts", fmt::format("only {}: {}", other.name, key));
    }
  }
}

void check_logs(World& world, const std::vector<NodeView>& nodes) {
  for (const NodeView& other : nodes) {
    std::vector<std::string> difference;
    std::set_symmetric_difference(nodes.front().log.begin(), nodes.front().log.end(), other.log.begin(),
                                  other.log.end(), std::back_inserter(difference));
    if (!difference.empty()) {
      world.violation("convergence of logs",
                      fmt::format("{} / {}: {}", nodes.front().name, other.name, difference.front()));
    }
  }
}

// Whether `state` is the version that `w` made; where an application raced with an apply, with whatever mode.
bool is_version(const Write& w, const State& state, bool any_mode = false) {
  State other = state;
  if (w.racing || any_mode) other.mode = w.after->mode;
  return other == *w.after;
}

bool listed(const NodeView& node, const Write& w) {
  return std::any_of(node.conflicts.begin(), node.conflicts.end(), [&](const ConflictView& c) {
    return !c.resolved && c.path == w.path && c.loser && is_version(w, *c.loser);
  });
}

// Whether the bytes of `w` were put there once more, with this mode: who overwrites that has overwritten them.
bool uploaded_again(const History& history, const Write& w, const State& state) {
  const auto& all = history.writes();
  return std::any_of(all.begin(), all.end(), [&](const Write& o) {
    return o.id != w.id && o.path == w.path && o.after == state && !(o.before && o.before->content == state.content);
  });
}

bool overwritten(const History& history, const Write& w) {
  const auto& all = history.writes();
  // A writer that brings back what was there, before anybody looked, has done nothing: then it counts from
  // when it first was there.
  std::size_t since = w.id;
  const auto brought_back = [&w](const Write& e) {
    return e.id < w.id && e.node == w.node && e.path == w.path && e.before == w.after && e.after != w.after;
  };
  if (std::any_of(all.begin(), all.end(), brought_back)) {
    since = std::find_if(all.begin(), all.end(), [&w](const Write& e) {
              return e.path == w.path && e.after == w.after;
            })->id;
  }
  return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(since) + 1, all.end(),
                     [&](const Write& later) {
                       return later.path == w.path && !later.by_crash && !later.unpublished && later.before &&
                              is_version(w, *later.before, later.racing || uploaded_again(history, w, *later.before)) && later.after != w.after &&
                              (later.node != w.node || later.id > w.id);
                     });
}

// The very bytes of a version that another node had made before, by somebody who had nothing of the others before him: the two are one, and go
// together.
bool passes_for_another(const History& history, const Write& write) {
  const auto& writes = history.writes();
  const bool had_others = std::none_of(writes.begin(), writes.end(), [&](const Write& w) {
    return w.id < write.id && w.node == write.node && w.path == write.path && w.after == write.before;
  });
  const bool nothing_yet = !write.before && std::none_of(writes.begin(), writes.end(), [&](const Write& w) {
    return w.id < write.id && w.path == write.path && !w.after;
  });
  if (had_others && !nothing_yet && !write.unwatched) return false;
  return std::any_of(writes.begin(), writes.end(), [&](const Write& w) {
    return w.id < write.id && w.node != write.node && w.path == write.path && w.after == write.after;
  });
}

// Somebody's new mode and somebody else's new bytes become one version where a node had not yet looked at the bytes when it set the mode
// (a watcher that lost events): both are there.
bool joined(const History& history, const Write& w, const State& live) {
  const auto mode_only = [](const Write& m) {
    return m.before && m.after && m.before->type == FileType::file && m.after->type == FileType::file && m.before->content == m.after->content;
  };
  const auto& all = history.writes();
  const bool written = std::any_of(all.begin(), all.end(), [&](const Write& o) { return o.path == w.path && o.after == live; });
  if (written || live.type != FileType::file || w.after->type != FileType::file) return false;
  if (mode_only(w)) return w.after->mode == live.mode;
  return w.after->content == live.content && std::any_of(all.begin(), all.end(), [&](const Write& m) {
           return m.path == w.path && mode_only(m) && m.after->mode == live.mode;
         });
}

void check_lost_writes(World& world, const std::vector<NodeView>& nodes, const Exemptions& exemptions) {
  for (const Write& w : world.history.writes()) {
    if (!w.after || w.forgiven || w.after->type == FileType::directory || w.after->type == FileType::other)
      continue;
    if (w.unpublished || exemptions.was_ignored(w.path)) continue;
    if (world.history.is_let_go(w.path, *w.after) || overwritten(world.history, w)) continue;
    // A chmod of a file that an apply is just replacing: its content is the former version's, and no news.
    const bool mode_only = w.racing && w.before && is_version(w, *w.before);
    if (mode_only || passes_for_another(world.history, w)) continue;
    const auto is_live = [&](const NodeView& node) {
      const auto live = node.tree.find(w.path);
      return live != node.tree.end() && (is_version(w, live->second.state) || joined(world.history, w, live->second.state));
    };
    if (is_live(nodes.front())) continue;
    if (exemptions.is_exempt(w.path, nodes.front()) && std::any_of(nodes.begin(), nodes.end(), is_live)) continue;
    for (const NodeView& node : nodes) {
      if (listed(node, w)) continue;
      world.violation(
          "no lost write",
          fmt::format("{} wrote {} at n{}, {:.6f} s: neither live, nor overwritten, nor listed by {}", w.path,
                      world.history.describe(w.after), w.node, static_cast<double>(w.at_us) / 1e6,
                      node.name));
      break;
    }
  }
}

// What somebody removed or overwrote with his eyes open does not come back.
void check_resurrection(World& world, const NodeView& node, const Exemptions& exemptions) {
  for (const auto& [path, shown] : node.tree) {
    if (exemptions.was_ignored(path)) continue;
    if (shown.state.type != FileType::file && shown.state.type != FileType::symlink) continue;
    const Write* made = nullptr;
    std::size_t count = 0;
    for (const Write& w : world.history.writes()) {
      if (w.path == path && w.after == shown.state) made = &w, ++count;
    }
    // None: check_fabricated; several: nobody can tell which one this is.
    if (count != 1 || made->imaged_untold) continue;
    for (const Write& w : world.history.writes()) {
      if (w.forgiven || w.by_crash || w.of_untold || w.unpublished || w.id <= made->id || w.path != path || w.before != shown.state ||
          w.after == shown.state)
        continue;
      world.violation("no resurrection",
                      fmt::format("{}: {} shows {}, which n{} replaced by {} at {:.6f} s", node.name, path,
                                  world.history.describe(shown.state), w.node,
                                  world.history.describe(w.after), static_cast<double>(w.at_us) / 1e6));
      break;
    }
  }
}

// The one write that made this state of the path; null where there were none or several, or where a crash or a
// race makes it uncertain what the writer saw.
const Write* sole_write(const History& history, const std::string& path, const std::optional<State>& state) {
  const Write* made = nullptr;
  for (const Write& w : history.writes()) {
    if (w.path != path || w.after != state) continue;
    if (made != nullptr) return nullptr;
    made = &w;
  }
  const bool certain = made != nullptr && !made->racing && !made->unpublished && !made->forgiven && !made->by_crash && !made->of_untold &&
                       !made->imaged_untold;
  return certain ? made : nullptr;
}

// Who overwrites what he has before his eyes makes no conflict, nor does anybody after him. (Followed through files
// only: the others say of what they replaced its number, not what it was, so that a file may stay listed that gave
// way to a directory before its deletion was heard of.)
// A node that was killed may be unsure of what a writer had seen: then it lists. So does everybody where the version in between was itself
// overwritten on its node before the others heard of it (ARCHITECTURE.md, Known to fail).
constexpr std::uint64_t kUnheardUs = 2'000'000;

void check_conflicts_are_concurrent(World& world, const NodeView& node, const Exemptions& exemptions) {
  if (world.stats.crashes > 0) return;
  for (const ConflictView& c : node.conflicts) {
    if (exemptions.was_ignored(c.path)) continue;
    if (c.resolved || !c.loser || c.loser->type != FileType::file) continue;
    if (sole_write(world.history, c.path, c.loser) == nullptr) continue;
    const auto live = node.tree.find(c.path);
    auto state = live == node.tree.end() ? std::nullopt : std::optional(live->second.state);
    std::size_t since = SIZE_MAX, by = SIZE_MAX;  // who wrote what came after,
    std::uint64_t next_us = 0;                    // and when
    while (const Write* w = sole_write(world.history, c.path, state)) {
      if (w->id >= since || !w->after || w->after->type != FileType::file) break;
      since = w->id;
      if (w->before == c.loser && (w->node != by || next_us > w->at_us + kUnheardUs)) {
        world.violation("conflict only between concurrent versions",
                        fmt::format("{} lists {} of {}, which n{} had before him when he wrote {} at {:.6f} s", node.name,
                                    world.history.describe(c.loser), c.path, w->node, world.history.describe(w->after),
                                    static_cast<double>(w->at_us) / 1e6));
        break;
      }
      state = w->before, by = w->node, next_us = w->at_us;
    }
  }
}

void check_fabricated(World& world, const std::vector<NodeView>& nodes) {
  for (const NodeView& node : nodes) {
    for (const auto& [path, shown] : node.tree) {
      if (shown.state.type == FileType::directory || world.history.was_written(path, shown.state)) continue;
      world.violation("no fabricated content", fmt::format("{}: {} is {}, which nobody wrote", node.name,
                                                           path, world.history.describe(shown.state)));
    }
    for (const ConflictView& c : node.conflicts) {
      if (c.resolved || (!c.loser && c.forgiven)) continue;
      if (!c.loser) {
        world.violation("restorable conflicts",
                        fmt::format("{}: the bytes of {} cannot be had", node.name, c.key));
      } else if (!world.history.was_written(c.path, *c.loser)) {
        world.violation("no fabricated content",
                        fmt::format("{} lists {} of {}, which nobody wrote", node.name,
                                    world.history.describe(c.loser), c.path));
      }
    }
    for (const std::string& stray : node.strays) {
      world.violation("no stray file", fmt::format("{}: {}", node.name, stray));
    }
  }
}

}  // namespace

static bool same_entry(const LogItem& a, const LogItem& b) {
  if (a.index() != b.index()) return false;
  if (const auto* record = std::get_if<Record>(&a)) return *record == std::get<Record>(b);
  const Conflict &x = std::get<Conflict>(a), &y = std::get<Conflict>(b);
  return x.loser == y.loser && x.winner == y.winner && x.resolved == y.resolved;
}

void DotRegister::saw(World& world, const std::string& node, const Entries::Item& item) {
  const Dot dot = std::visit([](const auto& e) { return e.dot; }, item.entry);
  const auto [it, fresh] = seen_.try_emplace(dot, item.entry);
  if (fresh || same_entry(it->second, item.entry)) return;
  world.violation("no dot used twice", fmt::format("{} sends {}:{} with another content than before", node,
                                                   to_hex(dot.actor).substr(0, 8), dot.seq));
}

// Whether the index has this version or one that stands above it.
static bool holds(const Index& index, const Record& r) {
  const auto entry = index.get(r.folder, r.path);
  if (!entry || !entry->live) return false;
  const Record& live = *entry->live;
  return std::pair(live.hlc.value, live.dot) >= std::pair(r.hlc.value, r.dot);
}

static bool holds(const Index& index, const Conflict& c) {
  const auto known = index.conflict(c.loser.folder, c.loser.path, c.loser.dot);
  return known && (known->resolved || !c.resolved);
}

// Logs are compacted: who streams an actor's log leaves out what another actor has overwritten, and the overwriting version comes with that
// one's log. Until then the claim is early, but the node's vector says that it lacks something.
bool DotRegister::lacks_what_overwrote(const Index& index, const Record& r) const {
  return std::any_of(seen_.begin(), seen_.end(), [&](const auto& seen) {
    const Record* other = std::get_if<Record>(&seen.second);
    return other != nullptr && other->folder == r.folder && other->path == r.path &&
           std::pair(other->hlc.value, other->dot) > std::pair(r.hlc.value, r.dot) &&
           index.vector().get(seen.first.actor) < seen.first.seq;
  });
}

bool DotRegister::lacks_what_overwrote(const Index& index, const Conflict& c) const {
  return std::any_of(seen_.begin(), seen_.end(), [&](const auto& seen) {
    const Conflict* other = std::get_if<Conflict>(&seen.second);
    return other != nullptr && other->loser.folder == c.loser.folder && other->loser.path == c.loser.path && other->loser.dot == c.loser.dot &&
           index.vector().get(seen.first.actor) < seen.first.seq;
  });
}

void DotRegister::check_claims(World& world, const std::string& node, const Index& index) const {
  for (const auto& [dot, item] : seen_) {
    if (index.vector().get(dot.actor) < dot.seq) continue;
    if (std::visit([&](const auto& e) { return holds(index, e); }, item)) continue;
    if (std::visit([&](const auto& e) { return lacks_what_overwrote(index, e); }, item)) continue;
    world.violation("vector truthfulness",
                    fmt::format("{} claims {}:{} and does not have it: {}", node, to_hex(dot.actor).substr(0, 8), dot.seq,
                                std::visit([](const auto& e) { return to_text(e); }, item)));
  }
}

// What a node may ask of another: small_wants_max, bulk_credit_bytes and one piece more (node/replica_impl.h).
constexpr std::size_t kWantsMax = 256;
constexpr std::uint64_t kWantedBytesMax = (8 << 20) + 256 * 1024;

void DebtRegister::asked(World& world, std::size_t asker, std::size_t of, const Want& want) {
  Debt& debt = open_[{asker, of}];
  for (const Want::Item& item : want.items) {
    debt.bytes[item.id] = item.length;
    debt.total += item.length;
  }
  if (debt.bytes.size() <= kWantsMax && debt.total <= kWantedBytesMax) return;
  world.violation("bounded queues", fmt::format("n{} has asked n{} for {} pieces of {} bytes at once", asker, of,
                                                debt.bytes.size(), debt.total));
}

void DebtRegister::answered(std::size_t asker, std::size_t by, std::uint64_t want) {
  const auto debt = open_.find({asker, by});
  if (debt == open_.end()) return;
  const auto it = debt->second.bytes.find(want);
  if (it == debt->second.bytes.end()) return;
  debt->second.total -= it->second;
  debt->second.bytes.erase(it);
}

void check_all(World& world, std::vector<NodeView> nodes) {
  // The one whose tree stands for all.
  std::stable_partition(nodes.begin(), nodes.end(), [](const NodeView& n) { return n.mode == FolderMode::send_receive; });
  const Exemptions exemptions(world, nodes.front());
  check_trees(world, nodes, exemptions);
  exemptions.check(nodes);
  check_conflict_lists(world, nodes);
  check_logs(world, nodes);
  check_fabricated(world, nodes);
  const bool one_tree = world.violations.empty();
  for (const NodeView& node : nodes) {
    if (node.mode == FolderMode::send_receive) check_resurrection(world, node, exemptions);
  }
  if (!one_tree) return;
  check_lost_writes(world, nodes, exemptions);
  for (const NodeView& node : nodes) {
    if (node.mode == FolderMode::send_receive) check_conflicts_are_concurrent(world, node, exemptions);
  }
}

}  // namespace syncline::sim

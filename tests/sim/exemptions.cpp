#include "tests/sim/exemptions.h"

#include <fmt/format.h>

#include <algorithm>

namespace syncline::sim {

Exemptions::Exemptions(World& world, const NodeView& reference) : world_(world), reference_(reference) {
  for (const Step& step : world.schedule.steps) {
    if (step.verb == Verb::ignore) rules_.push_back(IgnoreRules::parse(rules_of(step.to)));
  }
  const auto file = reference.tree.find(std::string(kIgnoreFile));
  if (file != reference.tree.end() && file->second.state.type == FileType::file)
    last_ = IgnoreRules::parse(world.history.bytes(file->second.state.content));
}

bool Exemptions::was_ignored(const std::string& path) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const IgnoreRules& r) { return r.ignores_either(path); });
}

// It or something in it: a directory that was deleted elsewhere stays for that.
bool Exemptions::has_ignored(const Tree& tree, const std::string& path) const {
  if (last_.empty()) return false;
  return std::any_of(tree.begin(), tree.end(), [&](const auto& at) {
    return is_below(at.first, path) && last_.ignores(at.first, at.second.state.type == FileType::directory);
  });
}

bool Exemptions::is_exempt(const std::string& path, const NodeView& node) const {
  if (last_.ignores_either(path) || has_ignored(node.tree, path) || has_ignored(reference_.tree, path)) return true;
  const auto& writes = world_.history.writes();
  // Also where it was done to something above or below: a directory gives way to a file only with all that is in it.
  return node.mode == FolderMode::receive_only && std::any_of(writes.begin(), writes.end(), [&](const Write& w) {
           return w.node == node.number && (is_below(w.path, path) || is_below(path, w.path));
         });
}

const Write* Exemptions::last_write(std::size_t node, const std::string& path) const {
  const Write* out = nullptr;
  for (const Write& w : world_.history.writes()) {
    if (w.node == node && w.path == path) out = &w;
  }
  return out;
}

void Exemptions::check_sender(const NodeView& node) const {
  for (const auto& [path, shown] : node.tree) {
    if (shown.state.type == FileType::directory) continue;
    const Write* w = last_write(node.number, path);
    if (w != nullptr && (w->after == shown.state || w->racing)) continue;
    world_.violation("a sender keeps to itself", fmt::format("{}, which only sends, shows {} at {}, where its applications had left {}", node.name,
                                                             world_.history.describe(shown.state), path,
                                                             world_.history.describe(w == nullptr ? std::nullopt : w->after)));
  }
  for (const Write& w : world_.history.writes()) {
    if (w.node != node.number || !w.after || w.after->type == FileType::directory || last_write(node.number, w.path) != &w || w.racing) continue;
    if (node.tree.contains(w.path)) continue;
    world_.violation("a sender keeps to itself",
                     fmt::format("{}, which only sends, lacks {} at {}", node.name, world_.history.describe(w.after), w.path));
  }
}

// Where it shows something else than the others, that is what its own applications left.
void Exemptions::check_receiver(const NodeView& node) const {
  for (const Write& w : world_.history.writes()) {
    if (w.node != node.number || last_write(node.number, w.path) != &w || w.racing || w.forgiven || w.by_crash) continue;
    if (last_.ignores_either(w.path) || w.unfinished) continue;
    if ((w.after && w.after->type == FileType::directory) || (w.before && w.before->type == FileType::directory)) continue;
    const auto here = node.tree.find(w.path), there = reference_.tree.find(w.path);
    const auto is = here == node.tree.end() ? std::nullopt : std::optional(here->second.state);
    const auto others = there == reference_.tree.end() ? std::nullopt : std::optional(there->second.state);
    if (is == w.after || is == others || (is && is->type == FileType::directory)) continue;  // a directory may have been made for what is in it
    world_.violation("a receiver keeps its changes", fmt::format("{}, which only receives, shows {} at {}, where its applications had left {}", node.name,
                                                                 world_.history.describe(is), w.path, world_.history.describe(w.after)));
  }
}

// What was only ever made in a folder that receives.
void Exemptions::check_leaks(const NodeView& node) const {
  const auto leaked = [&](const std::string& path, const State& state) {
    bool made = false;
    for (const Write& w : world_.history.writes()) {
      if (w.path != path || w.after != state) continue;
      if (!w.unpublished) return false;
      made = true;
    }
    return made;
  };
  for (const auto& [path, shown] : node.tree) {
    if (node.mode == FolderMode::receive_only || shown.state.type == FileType::directory || !leaked(path, shown.state)) continue;
    world_.violation("a receiver publishes nothing",
                     fmt::format("{} shows {} at {}", node.name, world_.history.describe(shown.state), path));
  }
  for (const ConflictView& c : node.conflicts) {
    if (c.resolved || !c.loser || !leaked(c.path, *c.loser)) continue;
    world_.violation("a receiver publishes nothing", fmt::format("{} lists {} of {}", node.name, world_.history.describe(*c.loser), c.path));
  }
}

void Exemptions::check_ignored(const NodeView& node, const std::vector<NodeView>& nodes) const {
  for (const Write& w : world_.history.writes()) {
    if (w.node != node.number || w.at_us <= node.rules_since_us || !last_.ignores_both(w.path) || last_write(w.node, w.path) != &w) continue;
    if (w.racing || w.forgiven || w.by_crash || w.unfinished || (w.after && w.after->type == FileType::directory)) continue;
    const auto here = node.tree.find(w.path);
    const auto is = here == node.tree.end() ? std::nullopt : std::optional(here->second.state);
    if (is != w.after)
      world_.violation("ignored paths are left alone", fmt::format("{} shows {} at {}, where its applications had left {}", node.name,
                                                                  world_.history.describe(is), w.path, world_.history.describe(w.after)));
    for (const NodeView& other : nodes) {
      const auto there = other.tree.find(w.path);
      if (!w.after || there == other.tree.end() || there->second.state != *w.after) continue;
      const auto& writes = world_.history.writes();
      if (std::count_if(writes.begin(), writes.end(), [&](const Write& o) { return o.path == w.path && o.after == w.after; }) > 1) continue;
      if (&other == &node) continue;
      world_.violation("ignored paths are left alone", fmt::format("{} shows {} at {}, which was written on {}", other.name,
                                                                  world_.history.describe(w.after), w.path, node.name));
    }
  }
}

void Exemptions::check(const std::vector<NodeView>& nodes) const {
  for (const NodeView& node : nodes) {
    if (node.mode == FolderMode::send_only) check_sender(node);
    if (node.mode == FolderMode::receive_only) check_receiver(node);
    check_leaks(node);
    if (node.mode != FolderMode::send_only) check_ignored(node, nodes);  // it goes by rules of its own
  }
}

}  // namespace syncline::sim

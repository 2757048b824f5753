#include "tests/sim/status.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/ignore.h"

namespace syncline::sim {
namespace {

// Versions that `a` holds and `b` does not.
std::uint64_t missing(const VersionVector& a, const VersionVector& b) {
  std::uint64_t out = 0;
  for (const auto& e : a.entries()) out += e.seq - std::min(e.seq, b.get(e.actor));
  return out;
}

}  // namespace

void check_status(World& world, const std::vector<std::unique_ptr<Node>>& nodes) {
  for (const auto& node : nodes) {
    if (!node->running()) continue;
    for (const PeerView& view : node->replica().peers()) {
      for (const auto& peer : nodes) {
        // A peer whose disk was set back has had more than it has.
        if (node_id(peer->number()) != view.node || !peer->running() || peer->power_losses() + peer->images() > 0) continue;
        const std::uint64_t lacks = missing(node->vector(), peer->vector());
        if (view.behind >= lacks) continue;
        world.violation("honest status", fmt::format("{} says that {} lacks {} versions of its own, and it lacks {}", node->name(), peer->name(),
                                                     view.behind, lacks));
      }
    }
    for (const TransferView& transfer : node->replica().transfers()) {
      if (transfer.done > transfer.size)
        world.violation("honest status", fmt::format("{} has {} of {} bytes of {}", node->name(), transfer.done, transfer.size, transfer.path));
    }
  }
}

void check_quiet_status(World& world, const std::vector<std::unique_ptr<Node>>& nodes) {
  for (const auto& node : nodes) {
    if (!node->running() || node->gone()) continue;
    for (const PeerView& view : node->replica().peers()) {
      if (view.linked && view.behind == 0 && view.ahead == 0) continue;
      world.violation("honest status", fmt::format("{} says {} of a peer: {} behind, {} ahead", node->name(), view.linked ? "linked" : "not linked",
                                                   view.behind, view.ahead));
    }
    for (const TransferView& transfer : node->replica().transfers())
      world.violation("honest status", fmt::format("{} still speaks of a transfer of {}", node->name(), transfer.path));
    for (const ProblemView& problem : node->replica().problems()) {
      if (problem.path == kIgnoreFile) continue;  // torn by a loss of power, and so it stays
      if (!node->shown(problem.path)) continue;  // went before a look at it succeeded (ARCHITECTURE.md, Known to fail)
      world.violation("honest status", fmt::format("{} still has a problem: {}: {}", node->name(), problem.path, problem.text));
    }
    if (const std::string why = node->replica().folder_stopped(1); !why.empty())
      world.violation("honest status", fmt::format("{} says that its folder is stopped: {}", node->name(), why));
    if (const auto state = node->replica().readiness().state; state != Readiness::State::ready)
      world.violation("honest status", fmt::format("{} is not ready: {}", node->name(), node->replica().readiness().reason));
  }
}

}  // namespace syncline::sim

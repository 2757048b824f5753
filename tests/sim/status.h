#pragma once
#include <memory>
#include <vector>

#include "tests/sim/node.h"

namespace syncline::sim {

// What nodes tell administrators of themselves and of each other (`status`), judged by what the nodes are. Whenever: no peer passes for having
// more than it has, no transfer for further than its end.
void check_status(World& world, const std::vector<std::unique_ptr<Node>>& nodes);
// Once nothing moves any more: nobody is behind, nothing is on its way, no problem is left.
void check_quiet_status(World& world, const std::vector<std::unique_ptr<Node>>& nodes);

}  // namespace syncline::sim

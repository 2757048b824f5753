#pragma once
#include <vector>

#include "protocol/ignore.h"
#include "tests/sim/checkers.h"

namespace syncline::sim {

// What need not be alike on all nodes, and what must be true of it all the same: paths that ignore rules leave out, and those that a node
// holds back because its folder only sends or only receives. Judged by the history; of the rules it takes Syncline's own word, which a property
// test compares with rsync.
class Exemptions {
 public:
  // `reference`: a node that sends and receives. Both must live as long.
  Exemptions(World& world, const NodeView& reference);

  // By any rules that the schedule has written: what was done there may have been nobody's business at the time.
  bool was_ignored(const std::string& path) const;
  // Whether `node` may show something else at the path than the reference.
  bool is_exempt(const std::string& path, const NodeView& node) const;
  // A folder that only sends shows what was done there and nothing else; what was done in one that only receives is there still, and nowhere
  // else. What was done to an ignored path once its node went by the rules is there, and nowhere else.
  void check(const std::vector<NodeView>& nodes) const;

 private:
  bool has_ignored(const Tree& tree, const std::string& path) const;
  const Write* last_write(std::size_t node, const std::string& path) const;
  void check_sender(const NodeView& node) const;
  void check_receiver(const NodeView& node) const;
  void check_leaks(const NodeView& node) const;
  void check_ignored(const NodeView& node, const std::vector<NodeView>& nodes) const;

  World& world_;
  const NodeView& reference_;
  std::vector<IgnoreRules> rules_;  // of the schedule
  IgnoreRules last_;                // that all have in the end
};

}  // namespace syncline::sim

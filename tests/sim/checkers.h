#pragma once
#include "storage/index.h"
#include "tests/sim/world.h"

// Judges a finished simulation by the history alone. Shares no code with merge or replica: what a node
// believes is only compared with what other nodes believe, or with what applications did.
namespace syncline::sim {

struct ConflictView {
  std::string path, key;  // key: folder, path and the loser's dot
  bool resolved = false;
  std::optional<State> loser;  // nullopt: its bytes cannot be had
  bool forgiven = false;       // as a loss of power may have it
};

// What one node shows at the end.
struct NodeView {
  std::string name;
  std::size_t number = 0;
  Tree tree;
  std::vector<ConflictView> conflicts;  // resolved ones too
  std::vector<std::string> log;         // every live entry of every actor, as text, sorted
  std::vector<std::string> strays;      // what it keeps in .syncline and nobody needs
};

void check_all(World& world, const std::vector<NodeView>& nodes);

// Watches every version that leaves a node: no two versions may have one dot.
class DotRegister {
 public:
  // `entry` is what the dot names, in any form that is equal for equal versions.
  void saw(World& world, const std::string& node, const Dot& dot, std::string entry);

 private:
  std::map<Dot, std::string> seen_;
};

}  // namespace syncline::sim

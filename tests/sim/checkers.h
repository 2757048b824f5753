#pragma once
#include "node/folder_mode.h"
#include "protocol/messages.h"
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
  FolderMode mode = FolderMode::send_receive;
  std::uint64_t rules_since_us = 0;  // when it began to go by the ignore rules that it has
  Tree tree;
  std::vector<ConflictView> conflicts;  // resolved ones too
  std::vector<std::string> log;         // every live entry of every actor, as text, sorted
  std::vector<std::string> strays;      // what it keeps in .syncline and nobody needs
};

void check_all(World& world, std::vector<NodeView> nodes);

// Watches every version that leaves a node: no two versions may have one dot, and nobody may claim what he does
// not hold.
class DotRegister {
 public:
  void saw(World& world, const std::string& node, const Entries::Item& item);
  // What the index' vector covers of all that was ever sent must be there, or what has taken its place, or the vector says that this
  // lacks.
  void check_claims(World& world, const std::string& node, const Index& index) const;

 private:
  bool lacks_what_overwrote(const Index& index, const Record& r) const;
  bool lacks_what_overwrote(const Index& index, const Conflict& c) const;

  std::map<Dot, LogItem> seen_;
};

// Watches what nodes have asked each other for and not been answered yet: without a bound on it, queues would
// grow with what there is to fetch.
class DebtRegister {
 public:
  void asked(World& world, std::size_t asker, std::size_t of, const Want& want);
  void answered(std::size_t asker, std::size_t by, std::uint64_t want);
  void forget(std::size_t asker, std::size_t of) { open_.erase({asker, of}); }  // the link has broken

 private:
  struct Debt {
    std::map<std::uint64_t, std::uint64_t> bytes;  // by want
    std::uint64_t total = 0;
  };
  std::map<std::pair<std::size_t, std::size_t>, Debt> open_;
};

}  // namespace syncline::sim

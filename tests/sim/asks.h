#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/events.h"
#include "tests/sim/node.h"

namespace syncline::sim {

// What upload handlers, readers and administrators ask of nodes: the barrier, fetch on miss, drain, pause.
// Judges the answers by what the disks show, and by what applications did.
class Asks {
 public:
  Asks(World& world, std::vector<std::unique_ptr<Node>>& nodes) : world_(world), nodes_(nodes) {}

  static bool does(Verb verb);
  void perform(const Step& step);
  void answered(std::size_t node, const Effect& effect);  // WaitOver, FindOver
  // The power of this node has failed; its disk is as it came out of that.
  void check_durable(std::size_t node);
  void heal();  // nobody is out of service any more

 private:
  struct Find {
    std::string path;
    std::uint64_t starts = 0;                            // of the node that was asked
    std::vector<std::pair<std::size_t, State>> holders;  // whose disks had it at that time
  };
  struct Wait {
    std::string path;
    std::uint64_t starts = 0;
    State state;             // what was waited for
    std::size_t writes = 0;  // of the history, then
    WaitGoal goal;
    std::vector<std::uint64_t> power_losses;  // of each node, then
  };
  struct Promise {
    std::size_t node = 0, writer = 0;
    std::string path;
    State state;
    std::size_t writes = 0;
  };
  using Key = std::pair<std::size_t, std::uint64_t>;  // node, id

  void find(Node& node, const std::string& path);
  void wait(std::size_t number, const std::string& path, std::int64_t kind, unsigned looks);
  void drain(Node& node);
  void watch_drain(std::size_t number, std::uint64_t starts, unsigned looks);
  void judge(Node& node, const Find& find, const FindView& view);
  void judge(Node& node, const Wait& wait, const WaitView& view);
  void end_wait(std::size_t number, std::uint64_t id, bool over);
  bool has_all_of(Node& other, Node& node);
  bool only_written(const std::string& path) const;
  bool only_by(std::size_t writer, const std::string& path, bool whatever_power_took = false) const;
  bool shows_no_older(Node& node, std::size_t writer, const std::string& path, const State& state,
                      std::size_t since);
  std::optional<State> file_at(Node& node, const std::string& path);

  World& world_;
  std::vector<std::unique_ptr<Node>>& nodes_;
  std::map<Key, std::vector<Find>> finds_;
  std::map<Key, Wait> waits_;
  std::vector<Promise> promises_;
};

}  // namespace syncline::sim

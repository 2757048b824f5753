#pragma once
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "tests/sim/network.h"
#include "tests/sim/node.h"

namespace syncline::sim {

// Members that leave, and such as are evicted: what the daemon does about that (node/daemon_leave.cpp), and what must be true of those who
// have gone. Node 0 stays, and two do in any case.
class Membership {
 public:
  Membership(World& world, Network& network, std::vector<std::unique_ptr<Node>>& nodes) : world_(world), network_(network), nodes_(nodes) {}

  static bool does(Verb verb) { return verb == Verb::leave || verb == Verb::evict; }
  void perform(const Step& step);
  bool may_link(std::size_t a, std::size_t b) const;
  // Who was to go has gone; those who stay are to come together.
  bool is_settled() const;
  // After the end: who has gone is out of service, and shows nothing that was written elsewhere since.
  void check() const;

 private:
  void watch();
  void go_on_leaving(Node& node);
  void hang_up(Node& node);
  void declare_gone(Node& node, bool evicted);

  World& world_;
  Network& network_;
  std::vector<std::unique_ptr<Node>>& nodes_;
  std::set<std::size_t> evictors_;               // stay, so that they are heard
  struct Going {
    Verb how;
    std::size_t by;
  };
  std::map<std::size_t, Going> going_;  // who is to go
  std::map<std::size_t, std::uint64_t> gone_us_;  // when it was over
};

}  // namespace syncline::sim

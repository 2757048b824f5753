#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/asks.h"
#include "tests/sim/membership.h"
#include "tests/sim/node.h"

namespace syncline::sim {

struct Outcome {
  std::vector<Violation> violations;
  std::uint64_t trace_hash = 0;
  Stats stats;
  std::vector<std::string> trace;  // if asked for
};

// A cluster in one process, under one schedule: carries it out, then heals everything, waits for the nodes to
// come together, and judges. Reads no clock and no random numbers but those of the schedule's seed.
class Simulator : private Network::User {
 public:
  Simulator(const Schedule& schedule, bool trace);
  Outcome run();

 private:
  bool linkable(std::size_t node) const override { return node < nodes_.size() && nodes_[node]->linkable(); }
  bool may_link(std::size_t a, std::size_t b) const override { return membership_.may_link(a, b); }
  void link_up(std::size_t node, std::size_t peer) override;
  void link_down(std::size_t node, std::size_t peer) override;
  void received(std::size_t node, std::size_t peer, Lane lane, Bytes message) override;
  void writable(std::size_t node, std::size_t peer, Lane lane) override;

  void watch(std::size_t from, std::size_t to, const Message& message);
  void perform(const Step& step);
  void settle();
  void expect(const Step& step);
  bool together() const;
  std::vector<Node*> members() const;  // those who have not gone
  void heal();
  bool converge(std::uint64_t begin);  // from then on it has its time; false: it has run out
  void mend_rot();
  void heal_and_converge();
  void check_quiescence();
  std::vector<NodeView> views();

  World world_;
  Network network_;
  std::vector<std::unique_ptr<Node>> nodes_;
  Asks asks_;
  Membership membership_;
  DotRegister dots_;
  DebtRegister debts_;
  std::vector<std::uint64_t> claims_checked_;  // of each node: for which of its starts
  std::uint64_t stopped_us_ = 0;  // time that settles have taken out of the schedule
  bool quiescent_ = false;        // nothing but gossip may be said
  bool bytes_gone_ = false;       // but for the search for what a loss of power has taken
};

Outcome simulate(const Schedule& schedule, bool trace = false);
// Drops steps, and makes the weather better, as long as the same checker still objects. `runs` bounds the
// attempts.
Schedule shrink(const Schedule& schedule, const std::string& checker, std::size_t runs);
// What to print of a failure: violations, the shrunk schedule, the trace of it.
std::string report(const Schedule& schedule, std::size_t shrink_runs = 400);

}  // namespace syncline::sim

#pragma once
#include <string>

#include "tests/scale/cluster.h"

// What is measured. Each is deterministic, and gives what a line of figures holds.
namespace syncline::scale {

// A converged cluster in which nothing happens, over some minutes.
struct Idle {
  std::size_t nodes = 0, records = 0, vector_entries = 0;
  double bytes_peer_minute = 0;  // sent by one node to one other
  double messages_peer_minute = 0;
  double bytes_node_minute = 0;  // sent by one node to all
};
Idle measure_idle(Cluster& cluster, std::size_t records, std::uint64_t minutes);

// One file written at one node.
struct Spread {
  std::size_t nodes = 0;
  double ms = 0;                  // until the last node shows it
  std::uint64_t rounds = 0;       // the same in one-way trips
  Traffic until_all{}, in_all{};  // `in_all`: all that would not have been said otherwise
  double busiest = 0;             // sent by one node, bytes
};
Spread measure_spread(Cluster& cluster);

// One file written at a node that dies when half of the others have been told of it.
struct Death {
  std::size_t nodes = 0;
  bool level = false;
  double ms = 0;  // from the death until all others show it
  Traffic in_all{};
};
Death measure_death(Cluster& cluster);

// A node comes back that has missed `missed` changes.
struct CatchUp {
  std::size_t nodes = 0, records = 0, missed = 0;
  bool level = false;
  double ms = 0;  // from the links until it shows all
  Traffic until_level{}, in_all{};
};
CatchUp measure_catch_up(Cluster& cluster, std::size_t records, std::size_t missed);

// A node starts again, with a fresh actor, and writes.
struct Start {
  std::size_t nodes = 0, vector_entries = 0;
  double ms = 0;  // until it is ready
  Traffic traffic{};
};
Start measure_start(Cluster& cluster);

// A cluster of which every node has the tree and takes readers.
std::unique_ptr<Cluster> make_cluster(std::size_t nodes, std::size_t records, std::size_t starts = 1);

}  // namespace syncline::scale

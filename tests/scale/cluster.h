#pragma once
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

#include "node/replica.h"
#include "tests/scale/shared_kv.h"
#include "tests/scale/traffic.h"
#include "tests/sim/random.h"
#include "tests/sim/world.h"

namespace syncline::scale {

inline constexpr std::uint64_t kOneWayUs = 10'000;  // a message's way, at least
inline constexpr std::uint64_t kJitterUs = 500;     // and at most that much more
inline constexpr std::uint64_t kMinuteMs = 60'000;

// Nodes that are replicas and indexes and nothing else, under one seed: disks do what they are told at once,
// links have a delay and no width. Each node takes a fresh actor when the cluster is made.
class Cluster {
 public:
  Cluster(std::shared_ptr<const Image> image, std::size_t nodes, std::size_t starts, std::uint64_t seed = 1);

  std::size_t size() const { return machines_.size(); }
  void link(std::size_t a, std::size_t b);
  void link_node(std::size_t node);  // with all others
  void link_all();                   // within a second
  void cut(std::size_t a, std::size_t b);
  void cut_node(std::size_t node);
  void restart(std::size_t node);  // its links are down

  void run_ms(std::uint64_t ms) { queue_.run_until(queue_.now_us() + ms * 1000); }
  // False: not within that time. `silent`: a node that is left out, size() for none.
  bool run_until_level(std::uint64_t ms_max, std::size_t silent);
  bool run_until_ready(std::uint64_t ms_max);

  void write(std::size_t node, const std::string& path, std::uint64_t version, std::uint64_t size);
  void remove(std::size_t node, const std::string& path);

  std::uint64_t now_us() const { return queue_.now_us(); }
  std::uint64_t last_apply_us() const { return last_apply_us_; }
  std::size_t vector_entries(std::size_t node) const {
    return machines_[node].index->vector().entries().size();
  }
  std::uint64_t sent_by(std::size_t node) const { return machines_[node].sent_bytes; }
  Traffic traffic;

 private:
  struct Machine {
    std::unique_ptr<SharedKv> kv;
    std::unique_ptr<Index> index;
    std::unique_ptr<Replica> replica;
    std::size_t starts = 0;
    std::uint64_t life = 0;
    std::uint64_t tick_at_us = UINT64_MAX;
    std::uint64_t sent_bytes = 0;
  };
  struct Way {
    std::uint64_t session = 0;  // odd: it is up
    std::array<std::uint64_t, kLanes> arrives_us{};
  };

  Way& way(std::size_t from, std::size_t to) { return ways_[from * machines_.size() + to]; }
  Now now() const { return {queue_.now_us() / 1000, wall_ms()}; }
  std::uint64_t wall_ms() const;
  void start(std::size_t node);
  void later(std::size_t node, std::uint64_t us, std::function<void()> what);
  void feed(std::size_t node, const Event& event);
  void carry_out(std::size_t node, std::vector<Effect> effects);
  void send(std::size_t from, Send& effect);
  void start_job(std::size_t node, const FileJob& job);
  void plan_tick(std::size_t node);
  bool is_level(std::size_t silent) const;

  sim::EventQueue queue_;
  sim::Random random_;
  std::vector<Machine> machines_;
  std::vector<Way> ways_;
  std::unordered_map<NodeId, std::size_t> numbers_;
  std::vector<NodeId> members_;
  std::uint64_t last_apply_us_ = 0;
};

}  // namespace syncline::scale

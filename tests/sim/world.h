#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/content_hash.h"
#include "tests/sim/history.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {

// Simulated time, and what is to happen in it: in order of time, then of being planned.
class EventQueue {
 public:
  std::uint64_t now_us() const { return now_us_; }
  void at(std::uint64_t us, std::function<void()> what) {
    events_.emplace(std::pair(std::max(us, now_us_), next_++), std::move(what));
  }
  void after(std::uint64_t us, std::function<void()> what) { at(now_us_ + us, std::move(what)); }
  void run_until(std::uint64_t us) {
    while (!events_.empty() && events_.begin()->first.first <= us) {
      auto first = events_.extract(events_.begin());
      now_us_ = first.key().first;
      first.mapped()();
    }
    now_us_ = us;
  }

 private:
  std::uint64_t now_us_ = 0, next_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> events_;
};

struct Violation {
  std::string checker;
  std::string text;
};

struct Stats {
  std::uint64_t messages = 0, bytes = 0;  // delivered
  std::uint64_t gossip = 0;               // of them, digests
  std::uint64_t steps = 0, jobs = 0, applies = 0, looks = 0, crashes = 0, refusals = 0, ambushes = 0, damaged = 0;
  std::uint64_t converged_us = 0;  // from the end of the schedule
  std::uint64_t writes = 0, conflicts = 0;
};

// What all parts of one simulation share.
struct World {
  explicit World(const Schedule& s, bool tracing)
      : schedule(s), weather(s.weather), trace_on(tracing), hash_key(Key32{}) {}

  void trace(const std::string& line);
  // What goes into it must not depend on anything but the schedule (DeterminismTest).
  void mix(std::uint64_t value) { trace_hash = (trace_hash ^ value) * 0x100000001b3; }
  void mix(std::string_view bytes);
  void violation(std::string checker, std::string text);

  const Schedule& schedule;
  Weather weather;
  EventQueue queue;
  History history;
  Stats stats;
  std::vector<Violation> violations;
  std::set<Hash128> rotten;  // contents that nobody wrote
  std::uint64_t trace_hash = 0xcbf29ce484222325;
  bool trace_on;
  std::vector<std::string> trace_lines;
  HashKey hash_key;
  std::uint64_t last_activity_us = 0;  // of anything but gossip
};

}  // namespace syncline::sim

#pragma once
#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {

// Few names, so that nodes meet; among them a file and a directory that want the same name.
inline const std::vector<std::string> kPaths = {"a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "e", "e/a"};

// Puts the step behind `place` others, at the time of the last of them.
inline void put_at(Schedule& out, std::size_t place, Step step) {
  step.at_ms = place == 0 ? 0 : out.steps[place - 1].at_ms;
  out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(place), std::move(step));
}

// Somewhere among the others,
inline void put_in(Random& random, Schedule& out, Step step) { put_at(out, random.below(out.steps.size() + 1), std::move(step)); }

// and on some node.
inline void put_in_anywhere(Random& random, Schedule& out, Step step) {
  const std::size_t place = random.below(out.steps.size() + 1);
  step.node = random.below(out.nodes);
  put_at(out, place, std::move(step));
}

}  // namespace syncline::sim

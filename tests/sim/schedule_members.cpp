// Members that leave or are evicted, put into schedules of the common kind.
#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {

Schedule make_members_schedule(std::uint64_t seed) {
  Schedule out = make_wide_schedule(seed);
  Random random(seed, 8);  // apart from what the schedule is made of
  for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
    const std::size_t place = random.below(out.steps.size() + 1);
    Step s;
    s.node = random.below(out.nodes);
    s.at_ms = place == 0 ? 0 : out.steps[place - 1].at_ms;
    s.verb = random.chance(400) ? Verb::evict : Verb::leave;
    if (s.verb == Verb::evict) s.number = static_cast<std::int64_t>(random.below(out.nodes));
    out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(place), std::move(s));
  }
  return out;
}

}  // namespace syncline::sim

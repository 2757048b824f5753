// Members that leave, are evicted, or do without the folder for a while, put into schedules of the common kind.
#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {

static const std::vector<std::string> kAsked = {"a", "b", "c", "d/a", "u0", "u1"};

static void put_in(Random& random, Schedule& out, Step step) {
  const std::size_t place = random.below(out.steps.size() + 1);
  step.node = random.below(out.nodes);
  step.at_ms = place == 0 ? 0 : out.steps[place - 1].at_ms;
  out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(place), std::move(step));
}

Schedule make_members_schedule(std::uint64_t seed) {
  Schedule out = make_wide_schedule(seed);
  Random random(seed, 8);  // apart from what the schedule is made of
  out.weather.owners = random.below(2);
  for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
    Step s;
    s.verb = random.chance(400) ? Verb::evict : Verb::leave;
    if (s.verb == Verb::evict) s.number = static_cast<std::int64_t>(random.below(out.nodes));
    put_in(random, out, std::move(s));
  }
  for (std::uint64_t i = random.below(4); i > 0; --i) {
    Step s;
    s.verb = random.chance(600) ? Verb::give_up : Verb::take_up;
    put_in(random, out, std::move(s));
  }
  for (std::uint64_t i = random.below(8); i > 0; --i) {
    Step s;
    s.verb = random.chance(600) ? Verb::find : Verb::wait;
    s.path = random.pick(kAsked);
    if (s.verb == Verb::wait) s.number = static_cast<std::int64_t>(random.below(3)) - 1;
    put_in(random, out, std::move(s));
  }
  return out;
}

}  // namespace syncline::sim

// Members that leave, are evicted, or do without the folder for a while, put into schedules of the common kind.
#include "tests/sim/schedule_parts.h"

namespace syncline::sim {

static const std::vector<std::string> kAsked = {"a", "b", "c", "d/a", "u0", "u1"};

Schedule make_members_schedule(std::uint64_t seed) {
  Schedule out = make_wide_schedule(seed);
  Random random(seed, 8);  // apart from what the schedule is made of
  out.weather.owners = random.below(2);
  for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
    Step s;
    s.verb = random.chance(400) ? Verb::evict : Verb::leave;
    if (s.verb == Verb::evict) s.number = static_cast<std::int64_t>(random.below(out.nodes));
    put_in_anywhere(random, out, std::move(s));
  }
  for (std::uint64_t i = random.below(4); i > 0; --i) {
    Step s;
    s.verb = random.chance(600) ? Verb::give_up : Verb::take_up;
    put_in_anywhere(random, out, std::move(s));
  }
  for (std::uint64_t i = random.below(8); i > 0; --i) {
    Step s;
    s.verb = random.chance(600) ? Verb::find : Verb::wait;
    s.path = random.pick(kAsked);
    if (s.verb == Verb::wait) s.number = static_cast<std::int64_t>(random.below(3)) - 1;
    put_in_anywhere(random, out, std::move(s));
  }
  return out;
}

}  // namespace syncline::sim

// What befalls a cluster once in years, put into schedules of the common kind.
#include <algorithm>

#include "tests/sim/schedule_parts.h"

namespace syncline::sim {
namespace {

constexpr std::int64_t kYearMs = std::int64_t{365} * 24 * 3600 * 1000;

Step rare_step(Random& random, std::size_t nodes) {
  Step s;
  s.node = random.below(nodes);
  const auto peer = static_cast<std::int64_t>(random.below(nodes));
  const std::uint64_t k = random.below(100);
  if (k < 20)
    s.verb = Verb::image;
  else if (k < 45)
    s.verb = Verb::rewind;
  else if (k < 55)
    s.verb = Verb::clone, s.number = peer;
  else if (k < 65)
    s.verb = Verb::slow, s.number = peer;
  else if (k < 80)
    s.verb = Verb::swap, s.path = random.pick(kPaths), s.to = random.pick(kPaths);
  else if (k < 90)
    s.verb = Verb::broken, s.path = random.pick(kPaths), s.number = static_cast<std::int64_t>(random.between(1, 5'000));
  else if (k < 97)
    s.verb = Verb::clock, s.number = -kYearMs * static_cast<std::int64_t>(random.between(1, 20));
  else
    s.verb = Verb::unpack, s.path = random.chance(500) ? "d/u" : "u", s.number = static_cast<std::int64_t>(random.between(10, 300));
  return s;
}

// Who is still writing cannot be told there, so that half a file may pass for a whole one.
void without_leases(Schedule& schedule) {
  schedule.weather.no_leases = 1;
  std::erase_if(schedule.steps, [](const Step& s) { return s.verb == Verb::crash || s.verb == Verb::power; });
  for (Step& s : schedule.steps) {
    if (s.verb == Verb::hold) s.verb = Verb::linger;
  }
}

}  // namespace

Schedule make_rare_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 3);  // apart from what the schedule is made of
  const std::uint64_t disks = random.below(100);
  if (disks < 10) {
    without_leases(out);
  } else if (disks < 20) {
    out.weather.no_exchange = 1;
    // An application's rename within the apply is lost there (storage/folder_apply.h).
    out.weather.ambush_per_mille = 0;
    std::erase_if(out.steps, [](const Step& s) { return s.verb == Verb::ambush; });
  }
  if (random.chance(200)) out.weather.late_nodes = random.between(1, out.nodes - 1);
  for (std::uint64_t i = random.between(1, 5); i > 0; --i) {
    Step step = rare_step(random, out.nodes);
    const auto place = out.steps.begin() + static_cast<std::ptrdiff_t>(random.below(out.steps.size() + 1));
    step.at_ms = place == out.steps.begin() ? 0 : std::prev(place)->at_ms;
    if (step.verb == Verb::rewind) {  // to a moment before it
      Step image = step;
      image.verb = Verb::image;
      const auto earlier = random.below(static_cast<std::uint64_t>(place - out.steps.begin()) + 1);
      image.at_ms = earlier == 0 ? 0 : out.steps[earlier - 1].at_ms;
      out.steps.insert(place, std::move(step));
      out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(earlier), std::move(image));
      continue;
    }
    out.steps.insert(place, std::move(step));
  }
  return out;
}

Schedule make_large_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 6);  // apart from what the schedule is made of
  for (Step& step : out.steps) {
    if (step.verb == Verb::write || step.verb == Verb::save) step.number = random.chance(700) ? 70'000 : 400'000;
    if (step.verb == Verb::touch || step.verb == Verb::chmod || (step.verb == Verb::append && random.chance(500))) step.verb = Verb::patch;
  }
  return out;
}

Schedule make_fair(Schedule schedule) {
  schedule.weather.ambush_per_mille = 0;
  std::erase_if(schedule.steps,
                [](const Step& step) { return step.verb == Verb::ambush || step.verb == Verb::power; });
  return schedule;
}

}  // namespace syncline::sim

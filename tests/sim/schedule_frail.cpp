// Disks that are going bad, put into schedules of the common kind: bits that flip, operations that fail.
#include <algorithm>

#include "tests/sim/schedule_parts.h"

namespace syncline::sim {
namespace {

void add_rot(Random& random, Schedule& out) {
  // After a loss of power or a kill in the midst of an apply nobody can tell a rotten file from one that an application has written to.
  std::erase_if(out.steps, [](const Step& s) { return s.verb == Verb::power || (s.verb == Verb::crash && s.number > 0); });
  for (std::uint64_t i = random.between(3, 12); i > 0; --i) {
    Step s;
    s.verb = Verb::rot, s.path = random.pick(kPaths);
    put_in_anywhere(random, out, std::move(s));
  }
  for (std::uint64_t i = random.below(4); i > 0; --i) {
    Step s;
    s.verb = Verb::verify;
    put_in_anywhere(random, out, std::move(s));
  }
}

void add_glitches(Random& random, Schedule& out) {
  for (std::uint64_t i = random.below(10); i > 0; --i) {
    Step s;
    s.verb = i % 2 == 0 ? Verb::crash : Verb::start;
    if (s.verb == Verb::crash) s.number = static_cast<std::int64_t>(random.between(1, 30));
    put_in_anywhere(random, out, std::move(s));
  }
  for (std::uint64_t i = random.between(3, 15); i > 0; --i) {
    Step s;
    s.verb = Verb::glitch, s.number = static_cast<std::int64_t>(random.between(1, 40));
    put_in_anywhere(random, out, std::move(s));
  }
}

// What shows a failing disk most: files, directories and links in each other's place, little room, administrators.
void add_changes(Random& random, Schedule& out) {
  const std::vector<Verb> verbs = {Verb::to_dir, Verb::to_file, Verb::to_file, Verb::mkdir, Verb::symlink, Verb::symlink, Verb::remove, Verb::drop, Verb::full};
  for (std::uint64_t i = random.between(5, 20); i > 0; --i) {
    Step s;
    s.verb = random.pick(verbs), s.path = random.pick(kPaths);
    if (s.verb == Verb::symlink) s.to = random.chance(500) ? "a" : "c";
    if (s.verb == Verb::full) s.number = static_cast<std::int64_t>(random.between(1, 3'000));
    put_in_anywhere(random, out, std::move(s));
  }
}

}  // namespace

Schedule make_outage_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 9);  // apart from what the schedule is made of
  for (std::uint64_t i = random.between(2, 6); i > 0; --i) {
    Step s;
    s.verb = Verb::power, s.number = static_cast<std::int64_t>(random.below(30));
    put_in_anywhere(random, out, std::move(s));
    s = {};
    s.verb = Verb::start;
    put_in_anywhere(random, out, std::move(s));
  }
  return out;
}

Schedule make_frail_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 7);  // apart from what the schedule is made of
  const std::uint64_t kind = random.below(3);
  if (kind == 0) {
    add_rot(random, out);
    return out;
  }
  add_glitches(random, out);
  add_changes(random, out);
  if (kind == 1) return out;
  out.weather.no_exchange = 1;
  // An application's rename within the apply is lost there (storage/folder_apply.h).
  out.weather.ambush_per_mille = 0;
  std::erase_if(out.steps, [](const Step& s) { return s.verb == Verb::ambush; });
  return out;
}

}  // namespace syncline::sim

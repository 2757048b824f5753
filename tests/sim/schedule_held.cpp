// Paths that are not synced, and nodes that only send or only receive, put into schedules of the common kind.
#include <algorithm>

#include "tests/sim/schedule_parts.h"

namespace syncline::sim {
namespace {

const std::vector<std::string> kRules = {"a,", "d/,", "/d/a,", "+_d/b,d/*,", "e,", "e/,", "*b,", ",", ",", "+_/e/a,a,"};
const std::vector<std::string> kReverted = {"a", "b", "c", "d", "d/a", "d/b", "d/e", "e", "e/a", ""};

bool is_administrators(Verb verb) { return verb == Verb::restore || verb == Verb::drop; }

}  // namespace

std::string rules_of(const std::string& word) {
  std::string out = word;
  std::replace(out.begin(), out.end(), ',', '\n');
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

Schedule make_held_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 5);  // apart from what the schedule is made of
  Weather& w = out.weather;
  const std::uint64_t modes = random.below(4);  // node 0, the founder, does both
  if (modes % 2 == 1) w.receive_only = random.between(2, out.nodes);
  if (modes >= 2) w.send_only = random.between(2, out.nodes);
  if (w.send_only == w.receive_only) w.send_only = 0;
  w.modes_end = random.below(2);
  const auto does_both = [&](std::size_t node) { return node + 1 != w.receive_only && node + 1 != w.send_only; };
  std::erase_if(out.steps, [&](const Step& s) { return is_administrators(s.verb) && !does_both(s.node); });
  if (modes == 0 || random.chance(300)) {
    for (std::uint64_t i = random.between(1, 4); i > 0; --i) {
      Step s;
      s.verb = Verb::ignore, s.to = random.pick(kRules);
      do s.node = random.below(out.nodes);
      while (!does_both(s.node));
      put_in(random, out, std::move(s));
    }
  }
  if (w.receive_only == 0) return out;
  for (std::uint64_t i = random.below(4); i > 0; --i) {
    Step s;
    s.node = w.receive_only - 1, s.verb = Verb::revert, s.path = random.pick(kReverted);
    if (s.path.empty()) s.path = ".";
    put_in(random, out, std::move(s));
  }
  return out;
}

}  // namespace syncline::sim

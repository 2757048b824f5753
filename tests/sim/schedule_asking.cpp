// Schedules in which nodes are asked things: by upload handlers, readers and administrators.
#include <algorithm>

#include "tests/sim/random.h"
#include "tests/sim/schedule.h"

namespace syncline::sim {
namespace {

const std::vector<std::string> kPaths = {"a", "b", "c", "d/a", "d/b", "e", "u0", "u1", "u2", "v/u3"};

Step ask(Random& random, std::size_t nodes) {
  Step s;
  s.node = random.below(nodes);
  s.path = random.pick(kPaths);
  const std::uint64_t k = random.below(100);
  if (k < 40)
    s.verb = Verb::find;
  else if (k < 75)
    s.verb = Verb::wait,
    s.number = static_cast<std::int64_t>(random.below(4)) - 1 + (random.chance(400) ? 10 : 0);
  else if (k < 82)
    s.verb = Verb::drain;
  else if (k < 89)
    s.verb = Verb::resume;
  else if (k < 94)
    s.verb = Verb::pause;
  else
    s.verb = Verb::unpause;
  return s;
}

// An upload of one node, asked for at once.
void add_upload(Random& random, Schedule& out, std::size_t place) {
  Step upload;
  upload.node = random.below(out.nodes);
  upload.at_ms = place == 0 ? 0 : out.steps[place - 1].at_ms;
  upload.verb = random.chance(500) ? Verb::write : Verb::save;
  upload.path = "u" + std::to_string(upload.node % 3);  // mostly nobody else's
  upload.number = static_cast<std::int64_t>(random.chance(900) ? random.between(1, 5'000)
                                                               : random.between(300'000, 700'000));
  Step asked = ask(random, out.nodes);
  asked.path = upload.path;
  asked.at_ms = upload.at_ms;
  if (asked.verb == Verb::wait) asked.node = upload.node;
  out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(place),
                   {std::move(upload), std::move(asked)});
}

}  // namespace

Schedule make_asking_schedule(std::uint64_t seed) {
  Schedule out = make_schedule(seed);
  Random random(seed, 4);  // apart from what the schedule is made of
  for (std::uint64_t i = random.between(3, 15); i > 0; --i) {
    const std::size_t place = random.below(out.steps.size() + 1);
    if (random.chance(600)) {
      add_upload(random, out, place);
      continue;
    }
    Step step = ask(random, out.nodes);
    step.at_ms = place == 0 ? 0 : out.steps[place - 1].at_ms;
    out.steps.insert(out.steps.begin() + static_cast<std::ptrdiff_t>(place), std::move(step));
  }
  return out;
}

}  // namespace syncline::sim

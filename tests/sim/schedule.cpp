#include <algorithm>

#include "tests/sim/schedule_parts.h"

namespace syncline::sim {
namespace {

Weather make_weather(Random& random) {
  Weather w;
  switch (random.below(4)) {
    case 0:
      break;
    case 1:
      w.latency_us_min = 20'000, w.latency_us_max = 25'000;
      break;
    case 2:
      w.latency_us_min = 100, w.latency_us_max = 200'000;
      break;
    default:
      w.latency_us_min = 300'000, w.latency_us_max = 900'000, w.rate_bytes_ms = 100;
      break;
  }
  if (random.chance(250)) w.lane_bytes_max = random.between(300'000, 1'000'000);
  if (random.chance(500)) w.job_us_max = random.between(1, 300'000);
  if (random.chance(500)) w.watch_us_max = random.between(1, 800'000);
  if (random.chance(500)) w.skew_ms_max = random.between(1, 10'000);
  if (random.chance(300)) w.drift_ppm_max = random.between(1, 5'000);
  if (random.chance(400)) w.ambush_per_mille = random.between(1, 300);
  w.sync_ms = random.between(1, 2'000);
  return w;
}

// Mostly small; now and then beyond what rides with its record, or large enough for a delta.
std::int64_t file_size(Random& random) {
  const std::uint64_t k = random.below(100);
  if (k < 4) return 0;
  if (k < 90) return static_cast<std::int64_t>(random.between(1, 3'000));
  if (k < 97) return static_cast<std::int64_t>(random.between(60'000, 120'000));
  return static_cast<std::int64_t>(random.between(256 * 1024, 700'000));
}

struct Maker {
  Random& random;
  Schedule& out;
  bool faults = true, crashes = true, clocks = true;

  std::string path() { return random.pick(kPaths); }

  Step application_step() {
    Step s;
    s.path = path();
    const std::uint64_t k = random.below(100);
    if (k < 18)
      s.verb = Verb::write, s.number = file_size(random);
    else if (k < 28)
      s.verb = Verb::save, s.number = file_size(random);
    else if (k < 32)
      s.verb = Verb::put, s.to = random.chance(500) ? "same" : "other";
    else if (k < 38)
      s.verb = Verb::append, s.number = static_cast<std::int64_t>(random.between(1, 500));
    else if (k < 42)
      s.verb = Verb::patch;
    else if (k < 44)
      s.verb = Verb::sneak;
    else if (k < 49)
      s.verb = Verb::hold, s.number = static_cast<std::int64_t>(random.between(1, 4'000));
    else if (k < 53)
      s.verb = Verb::chmod, s.number = random.chance(500) ? 0640 : 0755;
    else if (k < 56)
      s.verb = Verb::touch;
    else if (k < 68)
      s.verb = Verb::remove;
    else if (k < 74)
      s.verb = Verb::mkdir;
    else if (k < 78)
      s.verb = Verb::symlink, s.to = random.chance(500) ? "a" : "d/b";
    else if (k < 90)
      s.verb = Verb::rename, s.to = path();
    else if (k < 93)
      s.verb = Verb::to_dir;
    else if (k < 96)
      s.verb = Verb::to_file;
    else
      s.verb = Verb::ambush, s.number = 5'000;
    return s;
  }

  Step fault_step() {
    Step s;
    const std::uint64_t k = random.below(100);
    const auto peer = static_cast<std::int64_t>(random.below(out.nodes));
    const auto ms = static_cast<std::int64_t>(random.between(1, 3'000));
    if (k < 20)
      s.verb = Verb::cut, s.number = peer;
    else if (k < 26)
      s.verb = Verb::mute, s.number = peer;
    else if (k < 44)
      s.verb = Verb::mend, s.number = peer;
    else if (k < 56)
      s.verb = Verb::reset, s.number = peer;
    else if (k < 64)
      s.verb = crashes ? Verb::crash : Verb::reset,
      s.number = crashes ? static_cast<std::int64_t>(random.below(12)) : peer;
    else if (k < 68)
      s.verb = crashes ? Verb::power : Verb::mend,
      s.number = crashes ? static_cast<std::int64_t>(random.below(12)) : peer;
    else if (k < 76)
      s.verb = Verb::start;
    else if (k < 80)
      s.verb = clocks ? Verb::clock : Verb::rescan,
      s.number = static_cast<std::int64_t>(random.between(0, 20'000)) - 10'000;
    else if (k < 85)
      s.verb = Verb::lose, s.number = ms;
    else if (k < 88)
      s.verb = Verb::full, s.number = ms;
    else if (k < 91)
      s.verb = Verb::broken, s.path = kPaths[static_cast<std::size_t>(ms) % kPaths.size()], s.number = ms;
    else if (k < 94)
      s.verb = Verb::rescan;
    else
      s.verb = random.chance(700) ? Verb::restore : Verb::drop, s.path = path();
    return s;
  }
};

}  // namespace

static Schedule make_schedule(std::uint64_t seed, std::size_t nodes_min, std::size_t nodes_max, std::uint64_t steps_max) {
  Schedule out;
  out.seed = seed;
  Random random(seed, 1);
  out.nodes = random.between(nodes_min, nodes_max);
  out.weather = make_weather(random);
  out.weather.one_near = Random(seed, 3).below(2);
  Maker maker{random, out, random.chance(800), random.chance(600), random.chance(500)};
  const std::uint64_t steps = random.between(5, steps_max);
  const std::uint64_t pace_ms = std::uint64_t{1} << random.below(11);
  std::uint64_t at_ms = random.below(3'000);
  for (std::uint64_t i = 0; i < steps; ++i) {
    Step step = maker.faults && random.chance(250) ? maker.fault_step() : maker.application_step();
    step.node = random.below(out.nodes);
    step.at_ms = at_ms += random.below(2 * pace_ms);
    out.steps.push_back(std::move(step));
  }
  return out;
}

Schedule make_schedule(std::uint64_t seed) { return make_schedule(seed, 3, 5, 70); }
Schedule make_wide_schedule(std::uint64_t seed) { return make_schedule(seed, 5, 7, 30); }

}  // namespace syncline::sim

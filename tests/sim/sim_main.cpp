// The simulator by hand (scripts/sim, scripts/sim-soak).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>

#include "tests/sim/simulator.h"

namespace {

using namespace syncline::sim;

struct Totals {
  std::uint64_t runs = 0, failures = 0, steps = 0, writes = 0, conflicts = 0, crashes = 0, ambushes = 0,
                messages = 0;

  void add(const Outcome& o) {
    ++runs;
    failures += !o.violations.empty();
    steps += o.stats.steps, writes += o.stats.writes, conflicts += o.stats.conflicts;
    crashes += o.stats.crashes, ambushes += o.stats.ambushes, messages += o.stats.messages;
  }
};

int run_one(const Schedule& schedule, bool trace) {
  if (!trace) {
    fmt::print("{}", report(schedule));
    return simulate(schedule).violations.empty() ? 0 : 1;
  }
  const Outcome o = simulate(schedule, true);
  fmt::print("{}", to_text(schedule));
  for (const std::string& line : o.trace) fmt::print("{}\n", line);
  for (const Violation& v : o.violations) fmt::print("{}: {}\n", v.checker, v.text);
  return o.violations.empty() ? 0 : 1;
}

using Make = std::function<Schedule(std::uint64_t seed)>;

int run_many(const Make& make, std::uint64_t first, std::uint64_t count, double minutes, std::uint64_t failures_max) {
  using clock = std::chrono::steady_clock;
  const auto begin = clock::now();
  Totals totals;
  for (std::uint64_t seed = first;; ++seed) {
    const double seconds = std::chrono::duration<double>(clock::now() - begin).count();
    if (minutes > 0 ? seconds >= minutes * 60 : seed >= first + count) break;
    const Outcome o = simulate(make(seed));
    totals.add(o);
    if (o.violations.empty()) continue;
    fmt::print("seed {}: {}: {}\n", seed, o.violations.front().checker, o.violations.front().text);
    std::fflush(stdout);
    if (totals.failures >= failures_max) break;
  }
  const double seconds = std::chrono::duration<double>(clock::now() - begin).count();
  fmt::print(
      "{} schedules from seed {} in {:.1f} s: {} failed; {} replica steps, {} writes, {} conflicts, {} "
      "crashes, {} ambushes, {} messages\n",
      totals.runs, first, seconds, totals.failures, totals.steps, totals.writes, totals.conflicts,
      totals.crashes, totals.ambushes, totals.messages);
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs simulated clusters and judges them.");
  std::uint64_t seed = 0, first = 1, count = 2000, failures = 10;
  double minutes = 0;
  bool trace = false, fair = false, rare = false, wide = false, asking = false, held = false, large = false, frail = false, members = false, outages = false;
  std::string file;
  auto* one = app.add_option("--seed", seed, "run this seed; shrink and explain it if it fails");
  app.add_option("--file", file, "run this schedule");
  app.add_flag("--trace", trace, "print everything that happens, do not shrink");
  app.add_flag("--fair", fair, "no loss of power, no application that writes in the midst of an apply");
  app.add_flag("--rare", rare, "with old images, copied machines, joins, weaker disks, clocks years behind");
  app.add_flag("--wide", wide, "five to seven nodes, not three to five");
  app.add_flag("--asking", asking, "with waits, fetch on miss, and nodes and folders out of service");
  app.add_flag("--held", held, "with ignore rules, and nodes that only send or only receive");
  app.add_flag("--large", large, "with files that travel as deltas, and are changed in part");
  app.add_flag("--frail", frail, "with files that rot, and disks that fail now and then");
  app.add_flag("--members", members, "with members that leave or are evicted");
  app.add_flag("--outages", outages, "with power that fails again and again");
  app.add_option("--from", first, "first seed of many");
  app.add_option("--count", count, "how many seeds");
  app.add_option("--minutes", minutes, "go on for so long instead");
  app.add_option("--failures", failures, "stop after so many failures");
  CLI11_PARSE(app, argc, argv);
  if (!file.empty()) {
    std::ifstream in(file);
    const auto schedule = parse_schedule(std::string(std::istreambuf_iterator<char>(in), {}));
    if (schedule) return run_one(*schedule, trace);
    fmt::print(stderr, "{}: {}\n", file, schedule.error().message);
    return 2;
  }
  const Make make = [&](std::uint64_t number) {
    Schedule schedule = rare     ? make_rare_schedule(number)
                        : wide   ? make_wide_schedule(number)
                        : asking ? make_asking_schedule(number)
                        : held   ? make_held_schedule(number)
                        : outages ? make_outage_schedule(number)
                        : members ? make_members_schedule(number)
                        : frail  ? make_frail_schedule(number)
                        : large  ? make_large_schedule(number)
                                 : make_schedule(number);
    return fair ? make_fair(std::move(schedule)) : schedule;
  };
  if (one->count() > 0) return run_one(make(seed), trace);
  return run_many(make, first, count, minutes, failures);
}

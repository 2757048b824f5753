// Proof that the checkers bite: every planted fault is found by the checker that is meant to find it, under a
// schedule that without the fault ends well.
#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/planted_fault.h"
#include "tests/sim/simulator.h"

namespace syncline::sim {
namespace {

Schedule fair(std::uint64_t seed) { return make_fair(make_schedule(seed)); }

struct Planted {
  const char* name;
  Fault fault;
  const char* checker;
  std::uint64_t seeds;  // among the first so many it must be found
  Schedule (*make)(std::uint64_t seed) = fair;
};

void PrintTo(const Planted& p, std::ostream* out) { *out << p.name; }

// The nodes' disks have no leases: an apply may replace a file that an application is writing.
Schedule without_leases(std::uint64_t seed) {
  Schedule out = fair(seed);
  out.weather.no_leases = 1;
  std::erase_if(out.steps, [](const Step& step) { return step.verb == Verb::crash; });
  for (Step& step : out.steps) {
    if (step.verb == Verb::hold || step.verb == Verb::append) step.verb = Verb::linger, step.number = 3000;
  }
  return out;
}

Schedule rare(std::uint64_t seed) { return make_fair(make_rare_schedule(seed)); }

Schedule held(std::uint64_t seed) { return make_fair(make_held_schedule(seed)); }

Schedule frail(std::uint64_t seed) { return make_fair(make_frail_schedule(seed)); }

Schedule members(std::uint64_t seed) { return make_fair(make_members_schedule(seed)); }

// Uploads of one node, each asked for at once; the others are slow to have them, and lose their power in the
// end.
Schedule asking(std::uint64_t seed) {
  Schedule out = make_fair(make_asking_schedule(seed));
  out.weather.job_us_max = std::max<std::uint64_t>(out.weather.job_us_max, 200'000);
  out.weather.sync_ms = 5'000;
  return out;
}

Schedule asking_power_cuts(std::uint64_t seed) {
  Schedule out = asking(seed);
  const std::uint64_t at_ms = out.steps.empty() ? 0 : out.steps.back().at_ms;
  for (std::size_t node = 0; node < out.nodes; ++node) {
    Step wait{.at_ms = at_ms + 100 + node * 1000,
              .node = node,
              .verb = Verb::write,
              .path = "w" + std::to_string(node),
              .to = {},
              .number = 500};
    out.steps.push_back(wait);
    wait.verb = Verb::wait, wait.number = 12, wait.at_ms += 300;
    out.steps.push_back(wait);
  }
  for (std::size_t node = 0; node < out.nodes; ++node)
    out.steps.push_back({.at_ms = at_ms + 100 + out.nodes * 1000 + 200,
                         .node = node,
                         .verb = Verb::power,
                         .path = {},
                         .to = {},
                         .number = 0});
  return out;
}

// Every eighth step takes the power away from its node.
Schedule power_cuts(std::uint64_t seed) {
  Schedule out = fair(seed);
  out.weather.sync_ms = 5'000;
  const auto become = [](Step& step, std::size_t node, Verb verb) {
    step.node = node, step.verb = verb, step.number = 0;
  };
  for (std::size_t i = 7; i + 1 < out.steps.size(); i += 8) {
    become(out.steps[i], out.steps[i].node, Verb::power);
    become(out.steps[i + 1], out.steps[i].node, Verb::start);
  }
  return out;
}

// An application writes in the midst of every second apply.
Schedule ambushes(std::uint64_t seed) {
  Schedule out = fair(seed);
  out.weather.ambush_per_mille = 500;
  return out;
}

Schedule large_files(std::uint64_t seed) { return make_fair(make_large_schedule(seed)); }

// Two nodes that could not talk for long, and several hundred files on one of them.
Schedule much_to_fetch(std::uint64_t seed) {
  return *parse_schedule("seed " + std::to_string(seed) + R"(
nodes 2
   0 n0 settle
 100 n0 cut n1
 200 n0 unpack d 400
20000 n0 mend n1
20000 n0 settle
)");
}

constexpr Planted kPlanted[] = {
    {"tie_not_broken", Fault::tie_not_broken, "convergence of logs", 50},
    {"arrival_decides", Fault::arrival_decides, "convergence of trees", 50},
    {"mtime_decides", Fault::mtime_decides, "no resurrection", 50},
    {"clock_behind_seen", Fault::clock_behind_seen, "no resurrection", 100},
    {"context_forgotten", Fault::context_forgotten, "conflict only between concurrent versions", 100},
    {"dominated_listed", Fault::dominated_listed, "conflict only between concurrent versions", 100},
    {"loser_never_listed", Fault::loser_never_listed, "no lost write", 100},
    {"loser_bytes_lost", Fault::loser_bytes_lost, "restorable conflicts", 100},
    {"resolution_undone", Fault::resolution_undone, "convergence of conflicts", 1000},
    {"dot_used_again", Fault::dot_used_again, "no dot used twice", 10},
    {"counter_restored", Fault::counter_restored, "no dot used twice", 100, rare},
    {"gap_skipped", Fault::gap_skipped, "vector truthfulness", 100},
    {"vector_before_records", Fault::vector_before_records, "vector truthfulness", 100, power_cuts},
    {"tombstone_dropped", Fault::tombstone_dropped, "no resurrection", 100},
    {"retry_forgotten", Fault::retry_forgotten, "liveness", 100},
    {"credit_ignored", Fault::credit_ignored, "bounded queues", 1, much_to_fetch},
    {"rescan_publishes", Fault::rescan_publishes, "quiescence", 10},
    {"silence_is_no", Fault::silence_is_no, "honest answers", 300, asking},
    {"known_is_had", Fault::known_is_had, "honest answers", 300, asking},
    {"durable_at_once", Fault::durable_at_once, "durability", 300, asking_power_cuts},
    {"records_are_enough", Fault::records_are_enough, "honest answers", 1000, asking},
    {"receiver_publishes", Fault::receiver_publishes, "a receiver publishes nothing", 100, held},
    {"sender_takes_over", Fault::sender_takes_over, "a sender keeps to itself", 100, held},
    {"ignored_is_synced", Fault::ignored_is_synced, "ignored paths are left alone", 100, held},
    {"members_miscounted", Fault::members_miscounted, "honest status", 50},
    {"departed_is_ready", Fault::departed_is_ready, "who has gone is out of service", 50, members},
    {"rot_published", Fault::rot_published, "rot is not published", 1000, frail},
    {"rot_passed_over", Fault::rot_passed_over, "verify tells the truth", 50, frail},
    {"repair_forgotten", Fault::repair_forgotten, "rot is repaired", 50, frail},
    {"owner_forgotten", Fault::owner_forgotten, "files belong to the site", 50, members},
    {"not_looked_again", Fault::not_looked_again, "no lost write", 100, ambushes},
    {"limbo_skipped", Fault::limbo_skipped, "no lost write", 50, without_leases},
    {"directory_emptied", Fault::directory_emptied, "no lost write", 200},
    {"half_written_published", Fault::half_written_published, "no mixed content", 100},
    {"base_not_compared", Fault::base_not_compared, "no mixed content", 1000, large_files},
};

class FaultTest : public testing::TestWithParam<Planted> {
 protected:
  ~FaultTest() override { planted_fault = Fault::none; }
};

TEST_P(FaultTest, IsFoundByItsChecker) {
  const Planted& p = GetParam();
  std::string others;
  for (std::uint64_t seed = 1; seed <= p.seeds; ++seed) {
    const Schedule schedule = p.make(seed);
    planted_fault = p.fault;
    const Outcome with = simulate(schedule);
    planted_fault = Fault::none;
    const bool found = std::any_of(with.violations.begin(), with.violations.end(),
                                   [&](const Violation& v) { return v.checker == p.checker; });
    if (!found && !with.violations.empty())
      others += "\n  " + std::to_string(seed) + ": " + with.violations.front().checker;
    if (!found || !simulate(schedule).violations.empty()) continue;
    std::printf("found by \"%s\" under seed %lu\n", p.checker, static_cast<unsigned long>(seed));
    return;
  }
  FAIL() << p.name << " was not found by \"" << p.checker << "\" in " << p.seeds
         << " seeds; others objected:" << others;
}

INSTANTIATE_TEST_SUITE_P(Planted, FaultTest, testing::ValuesIn(kPlanted),
                         [](const testing::TestParamInfo<Planted>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace syncline::sim

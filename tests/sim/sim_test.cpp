#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/sim/simulator.h"

namespace syncline::sim {
namespace {

// Seeds of one test process: ctest runs the blocks side by side.
constexpr std::uint64_t kBlock = 500;

void expect_all_hold(std::uint64_t first, Schedule (*make)(std::uint64_t), const char* option) {
  unsigned failures = 0;
  for (std::uint64_t seed = first; seed < first + kBlock; ++seed) {
    const Schedule schedule = make_fair(make(seed));
    if (simulate(schedule).violations.empty()) continue;
    ADD_FAILURE() << report(schedule) << "again: scripts/sim --fair " << option << "--seed " << seed;
    if (++failures >= 3) return;
  }
}

class SeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_schedule, ""); }
INSTANTIATE_TEST_SUITE_P(Sim, SeedTest, testing::Range<std::uint64_t>(1, 1 + 4 * kBlock, kBlock));

// 20,000 schedules of five nodes and more.
class WideSeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(WideSeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_wide_schedule, "--wide "); }
INSTANTIATE_TEST_SUITE_P(Sim, WideSeedTest, testing::Range<std::uint64_t>(1, 1 + 40 * kBlock, kBlock));

// Nodes that are asked things.
class AskingSeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(AskingSeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_asking_schedule, "--asking "); }
INSTANTIATE_TEST_SUITE_P(Sim, AskingSeedTest, testing::Range<std::uint64_t>(1, 1 + 4 * kBlock, kBlock));

// Paths that are not synced, and nodes that only send or only receive.
class HeldSeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(HeldSeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_held_schedule, "--held "); }
INSTANTIATE_TEST_SUITE_P(Sim, HeldSeedTest, testing::Range<std::uint64_t>(1, 1 + 4 * kBlock, kBlock));

// Disks that are going bad.
class FrailSeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(FrailSeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_frail_schedule, "--frail "); }
INSTANTIATE_TEST_SUITE_P(Sim, FrailSeedTest, testing::Range<std::uint64_t>(1, 1 + kBlock, kBlock));

// Members that leave, are evicted, or do without the folder for a while.
class MembersSeedTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(MembersSeedTest, EveryInvariantHolds) { expect_all_hold(GetParam(), make_members_schedule, "--members "); }
INSTANTIATE_TEST_SUITE_P(Sim, MembersSeedTest, testing::Range<std::uint64_t>(1, 1 + kBlock, kBlock));

// A kill -9, and an error of the disk, at every operation of every kind of apply.
TEST(SweepTest, EveryInvariantHolds) {
  for (const Verb fault : {Verb::crash, Verb::glitch}) {
    for (const bool exchange : {true, false}) {
      const Outcome outcome = simulate(make_sweep_schedule(fault, exchange));
      for (const Violation& v : outcome.violations)
        ADD_FAILURE() << (fault == Verb::crash ? "killed" : "failed") << (exchange ? "" : ", without exchange") << ": " << v.checker << ": " << v.text;
    }
  }
}

TEST(DeterminismTest, TheSameSeedGivesTheSameTrace) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome a = simulate(make_schedule(seed)), b = simulate(make_schedule(seed), true);
    EXPECT_EQ(a.trace_hash, b.trace_hash) << "seed " << seed;
    for (const auto make : {make_asking_schedule, make_frail_schedule, make_members_schedule})
      EXPECT_EQ(simulate(make(seed)).trace_hash, simulate(make(seed)).trace_hash) << "seed " << seed;
  }
  EXPECT_NE(simulate(make_schedule(1)).trace_hash, simulate(make_schedule(2)).trace_hash);
}

TEST(ScheduleTest, TextReadsBackAsItWas) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    for (const Schedule& schedule : {make_schedule(seed), make_held_schedule(seed), make_frail_schedule(seed), make_members_schedule(seed)}) {
      const std::string text = to_text(schedule);
      const auto read = parse_schedule(text);
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(to_text(*read), text);
    }
  }
}

std::vector<std::filesystem::path> texts(const char* directory) {
  std::vector<std::filesystem::path> out;
  if (!std::filesystem::exists(directory)) return out;
  for (const auto& item : std::filesystem::directory_iterator(directory)) {
    if (item.path().extension() == ".txt") out.push_back(item.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Golden scenarios, and schedules that once failed.
class ScenarioTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(ScenarioTest, EndsAsItSays) {
  std::ifstream in(GetParam());
  const auto schedule = parse_schedule(std::string(std::istreambuf_iterator<char>(in), {}));
  ASSERT_TRUE(schedule) << schedule.error().message;
  const Outcome outcome = simulate(*schedule, true);
  if (outcome.violations.empty()) return;
  for (const std::string& line : outcome.trace) std::printf("%s\n", line.c_str());
  for (const Violation& v : outcome.violations) ADD_FAILURE() << v.checker << ": " << v.text;
}

std::string name_of(const testing::TestParamInfo<std::filesystem::path>& info) {
  return info.param.stem().string();
}
INSTANTIATE_TEST_SUITE_P(Golden, ScenarioTest, testing::ValuesIn(texts(SIM_SCENARIOS)), name_of);
INSTANTIATE_TEST_SUITE_P(Regress, ScenarioTest, testing::ValuesIn(texts(SIM_REGRESS)), name_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ScenarioTest);

}  // namespace
}  // namespace syncline::sim

// Directories get their mtime back after an apply in them, and what waits for its time costs nothing meanwhile.
#include <gtest/gtest.h>

#include "node/due_times.h"
#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

TEST(DueTimesTest, GivesWhatIsDueAndKeepsItUntilItIsSettled) {
  DueTimes times;
  times.set({1, "late"}, 30), times.set({1, "early"}, 10), times.set({1, "moved"}, 15);
  times.set({1, "moved"}, 40);
  EXPECT_EQ(times.next_ms(), 10u);
  EXPECT_EQ(times.take_due(9), std::vector<PathKey>{});
  EXPECT_EQ(times.take_due(30), (std::vector<PathKey>{{1, "early"}, {1, "late"}}));
  EXPECT_TRUE(times.contains({1, "early"}));
  EXPECT_EQ(times.at_ms({1, "early"}), DueTimes::never);
  EXPECT_EQ(times.next_ms(), 40u);
  times.set({1, "early"}, 35), times.erase({1, "late"}), times.erase({1, "moved"});
  EXPECT_EQ(times.take_due(100), (std::vector<PathKey>{{1, "early"}}));
  times.erase({1, "early"});
  EXPECT_TRUE(times.empty());
}

class DirectoryTimesTest : public ::testing::Test {
 protected:
  DirectoryTimesTest() {
    for (std::size_t n : {0u, 1u}) farm_.feed(n, ScanFinished{1});
    farm_.link_all();
    farm_.machines[0].disk->app_make_directory("d");
    farm_.observe(0, "d");
    farm_.upload(0, "d/f", "one");
    farm_.run();
    farm_.advance(1000);
  }
  std::int64_t mtime(std::size_t n) { return farm_.machines[n].disk->stat("d")->print.mtime_ns; }

  Farm farm_{2};
};

TEST_F(DirectoryTimesTest, AnApplyLeavesTheDirectorysTimeAsItWas) {
  const std::int64_t before = mtime(1);
  farm_.now_ms += 5000;
  farm_.machines[0].disk->app_write("d/f", "two");
  farm_.observe(0, "d/f");
  farm_.run();
  farm_.advance(1000);
  EXPECT_EQ(farm_.shown(1, "d/f"), "two");
  EXPECT_EQ(mtime(1), before);
}

// Thousands of directories may wait for their own change while their entries are applied: an unpacked archive.
TEST_F(DirectoryTimesTest, ADirectoryThatWaitsForItsOwnChangeKeepsTheNodeAsleep) {
  Farm::Machine& other = farm_.machines[1];
  farm_.upload(0, "d/f", "two");
  farm_.run();
  other.slow = true;
  farm_.machines[0].disk->app_chmod("d", 0711);
  farm_.observe(0, "d");
  farm_.run();
  ASSERT_EQ(other.done.size(), 1u) << "the directory is being changed";
  farm_.advance(1000);
  EXPECT_GE(other.replica->next_tick_ms(), farm_.now_ms + 10);
  other.slow = false;
  farm_.run();
  farm_.advance(1000), farm_.advance(1000);
  EXPECT_EQ(other.disk->stat("d")->mode, 0711u);
  EXPECT_EQ(mtime(1), mtime(0));
}

// Killed after the directory and a file in it were made, before the index knew of either.
TEST_F(DirectoryTimesTest, ADirectoryMadeBeforeAKillGetsItsTimeAfterIt) {
  Farm::Machine& other = farm_.machines[1];
  farm_.machines[0].disk->app_make_directory("new");
  farm_.machines[0].disk->app_set_mtime("new", 1'000'000'000'000'000'000);
  farm_.observe(0, "new");
  other.slow = true;
  farm_.run();
  farm_.upload(0, "new/f", "three");
  farm_.machines[0].disk->app_set_mtime("new", 1'000'000'000'000'000'000);
  farm_.run();
  ASSERT_EQ(farm_.shown(1, "new/f"), "three");
  farm_.restart(1);
  other.slow = false;
  for (const char* path : {"d", "d/f", "new", "new/f"}) farm_.observe(1, path);
  farm_.feed(1, ScanFinished{1});
  farm_.link(0, 1);
  farm_.run();
  for (int i = 0; i < 5; ++i) farm_.advance(1000);
  EXPECT_EQ(other.disk->stat("new")->print.mtime_ns, 1'000'000'000'000'000'000);
  EXPECT_EQ(farm_.machines[0].disk->stat("new")->print.mtime_ns, 1'000'000'000'000'000'000);
}

}  // namespace
}  // namespace syncline

// A node whose clock is ahead of everybody's takes nothing from its disk.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

void greet(Farm& farm, std::uint64_t wall_ms) {
  farm.feed(0, LinkUp{Farm::node(1)});
  farm.feed(0, Received{Farm::node(1), encode(Hello{kProtocolVersion, "n1", wall_ms, {}, false, {}})});
}

TEST(ClockTest, AScanOfWhichNothingWasTakenIsNotTheFirst) {
  Farm farm(2);
  greet(farm, farm.now().wall_ms - 10 * limits::clock_ahead_ms);
  farm.upload(0, "p", "not taken");
  farm.feed(0, ScanFinished{1});
  farm.feed(0, LinkDown{Farm::node(1)});
  greet(farm, farm.now().wall_ms);
  EXPECT_EQ(farm.machines[0].replica->readiness().reason, "first scan under way");
  farm.observe(0, "p");
  farm.feed(0, ScanFinished{1});
  EXPECT_NE(farm.machines[0].replica->readiness().reason, "first scan under way");
  EXPECT_TRUE(farm.machines[0].index->get(1, "p"));
}

}  // namespace
}  // namespace syncline

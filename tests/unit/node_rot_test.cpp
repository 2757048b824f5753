// Other bytes under the same stamps: rot, unless an application says that it has written.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

// What a look at the file says, when its bytes are others and all stamps as they were.
Observed looked(Farm& farm, bool written) {
  const auto entry = farm.machines[0].index->get(1, "picture");
  Observation o;
  o.state = Observation::State::present;
  o.path = "picture";
  o.disk = entry->disk->state;
  o.disk.content.hash.bytes[0] ^= 1;
  o.written = written;
  return {1, o, UINT64_MAX, false};
}

class RotTest : public ::testing::Test {
 protected:
  RotTest() {
    farm.feed(0, ScanFinished{1});
    farm.upload(0, "picture", "as it was");
    farm.run();
    auto entry = farm.machines[0].index->get(1, "picture");
    entry->disk->state.print.ctime_ns = 1'700'000'000'000'000'000;  // long ago: stamps tell
    farm.machines[0].index->put(1, "picture", *entry);
    live = entry->live->dot;
  }
  Dot now_live() { return farm.machines[0].index->get(1, "picture")->live->dot; }

  Farm farm{1};
  Dot live;
};

TEST_F(RotTest, NobodyHasWrittenItSoItIsNoVersion) {
  farm.feed(0, looked(farm, false));
  EXPECT_EQ(now_live(), live);
  ASSERT_EQ(farm.machines[0].replica->problems().size(), 1u);
  EXPECT_EQ(farm.machines[0].replica->problems().front().path, "picture");
}

TEST_F(RotTest, AnApplicationHasClosedItSoItIsOne) {
  farm.feed(0, looked(farm, true));
  EXPECT_NE(now_live(), live) << "a write may leave no trace in the stamps";
  EXPECT_TRUE(farm.machines[0].replica->problems().empty());
}

}  // namespace
}  // namespace syncline

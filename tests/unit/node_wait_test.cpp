// Who waits for a path to be everywhere waits for what is on the disk now.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

class WaitTest : public ::testing::Test {
 protected:
  WaitTest() {
    for (std::size_t n : {0u, 1u}) farm_.feed(n, ScanFinished{1});
    farm_.link_all();
    for (int i = 0; i < 5; ++i) farm_.advance(1000);
  }
  Result<std::uint64_t> start(const std::string& path) {
    return machine().replica->start_wait(1, path, {.who = WaitGoal::Who::count, .count = 2}, farm_.now());
  }
  WaitView view(std::uint64_t id) { return machine().replica->wait_state(id); }
  Farm::Machine& machine() { return farm_.machines[0]; }

  Farm farm_{2, true};
};

TEST_F(WaitTest, AnEditWhoseDeltaIsBeingMadeIsWaitedFor) {
  std::string text(1 << 20, 'x');
  farm_.upload(0, "p", text);
  farm_.run();
  for (int i = 0; i < 5; ++i) farm_.advance(1000);
  ASSERT_EQ(farm_.shown(1, "p"), text);
  machine().slow = true;
  text[7] = 'y';
  farm_.upload(0, "p", text);
  ASSERT_EQ(machine().done.size(), 1u) << "its delta is being made";
  const auto id = start("p");
  ASSERT_TRUE(id);
  farm_.run();
  EXPECT_FALSE(view(*id).done) << "all have the version of before, which nobody asked for";
  machine().slow = false;
  farm_.held = [](const Farm::Packet& p) { return p.is<Entries>(); };
  farm_.run();
  EXPECT_FALSE(view(*id).done);
  farm_.held = nullptr;
  farm_.run();
  EXPECT_TRUE(view(*id).done);
  EXPECT_EQ(farm_.shown(1, "p"), text);
}

TEST(WaitForAll, IsInVainWithAMinority) {
  Farm farm(3, true);
  for (std::size_t n = 0; n < 3; ++n) farm.feed(n, ScanFinished{1});
  farm.link_all();
  for (int i = 0; i < 5; ++i) farm.advance(1000);
  farm.upload(0, "p", "one");
  farm.run();
  farm.cut(0, 2);
  for (int i = 0; i < 5; ++i) farm.advance(1000);
  Replica& replica = *farm.machines[0].replica;
  const auto two = replica.start_wait(1, "p", {}, farm.now());
  ASSERT_TRUE(two);
  farm.feed(0, Tick{});
  farm.run();
  EXPECT_TRUE(replica.wait_state(*two).done) << "one that is down holds nobody up";
  farm.cut(0, 1);
  for (int i = 0; i < 5; ++i) farm.advance(1000);
  const auto alone = replica.start_wait(1, "p", {}, farm.now());
  ASSERT_TRUE(alone);
  farm.feed(0, Tick{});
  const WaitView view = replica.wait_state(*alone);
  EXPECT_TRUE(view.over && !view.done) << "two others may have readers";
  EXPECT_EQ(view.absent.size(), 2u);
}

TEST_F(WaitTest, AMemberIsAskedAgainBeforeItForgets) {
  farm_.machines[1].blind = true;
  farm_.held = [](const Farm::Packet& p) { return p.is<Entries>() || p.is<Need>(); };
  farm_.upload(0, "p", "one");
  const auto id = start("p");
  ASSERT_TRUE(id);
  for (int i = 0; i < 100; ++i) farm_.advance(1000);
  EXPECT_FALSE(view(*id).done);
  farm_.held = nullptr;
  farm_.run();
  for (int i = 0; i < 3; ++i) farm_.advance(1000);
  ASSERT_EQ(farm_.shown(1, "p"), "one");
  EXPECT_TRUE(view(*id).done);
}

TEST_F(WaitTest, AStoppedFolderRefusesIt) {
  farm_.upload(0, "p", "one");
  farm_.run();
  farm_.feed(0, FolderStopped{1, "unmounted"});
  const auto id = start("p");
  ASSERT_FALSE(id);
  EXPECT_NE(id.error().message.find("unmounted"), std::string::npos);
}

}  // namespace
}  // namespace syncline

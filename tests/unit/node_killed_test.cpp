// What this node's own applies have made is nobody's version: seen before they are told, or after a kill.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

class MadeParentTest : public ::testing::Test {
 protected:
  MadeParentTest() {
    for (std::size_t n : {0, 1}) farm_.feed(n, ScanFinished{1});
    farm_.link_all();
    farm_.machines[1].slow = true;
    farm_.machines[0].disk->app_make_directory("d");
    farm_.upload(0, "d/f", "one");  // its directory's record does not come
    farm_.run();
  }
  void expect_nobodys() {
    farm_.machines[1].slow = false;
    farm_.run();
    for (int i = 0; i < 3; ++i) farm_.advance(1000);
    const auto entry = farm_.machines[1].index->get(1, "d");
    ASSERT_TRUE(entry && entry->disk);
    EXPECT_FALSE(entry->live);
    EXPECT_EQ(entry->disk->dot.seq, 0u);
  }
  Farm farm_{2};
};

TEST_F(MadeParentTest, SeenBeforeTheApplyIsTold) {
  ASSERT_EQ(farm_.shown(1, "d/f"), "one");
  farm_.observe(1, "d");
  expect_nobodys();
}

TEST_F(MadeParentTest, SeenAfterAKillAndAfterItsChild) {
  farm_.restart(1);
  farm_.machines[1].slow = false;
  for (const char* path : {"d/f", "d"}) farm_.observe(1, path);
  farm_.feed(1, ScanFinished{1});
  farm_.link(0, 1);
  farm_.run();
  expect_nobodys();
}

// Killed in the midst of an apply, and written by an application before the next start: what it had before its eyes is not certain.
TEST(KilledTest, AnEditOfUncertainOriginClaimsNoBaseThoughItIsLarge) {
  Farm farm(2);
  for (std::size_t n : {0, 1}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  const auto large = [](char c) { return std::string(512 << 10, c); };
  farm.upload(0, "p", large('1'));
  farm.run();
  farm.advance(1000);
  ASSERT_EQ(farm.shown(1, "p"), large('1'));
  const Hash128 first = farm.machines[1].index->get(1, "p")->live->content.hash;
  ASSERT_TRUE(farm.machines[1].index->signature(first));
  farm.upload(0, "p", large('1') + "2");
  bool applying = false;
  for (int i = 0; i < 100 && !applying; ++i) {  // until the apply has been made, and not been told
    farm.machines[1].slow = true;
    farm.run();
    applying = farm.shown(1, "p") != large('1');
    if (!applying && !farm.machines[1].done.empty()) {
      const FileDone done = farm.machines[1].done.front();
      farm.machines[1].done.pop_front();
      farm.feed(1, done);
    }
  }
  ASSERT_TRUE(applying);
  farm.restart(1);
  farm.machines[1].slow = false;
  farm.machines[1].disk->app_write("p", large('3'));
  farm.observe(1, "p");
  farm.feed(1, ScanFinished{1});
  farm.run();
  const auto entry = farm.machines[1].index->get(1, "p");
  ASSERT_TRUE(entry && entry->disk && entry->live);
  EXPECT_NE(entry->disk->state.content.hash, first);
  EXPECT_NE(entry->live->content.hash, first);
  EXPECT_TRUE(entry->live->base.is_zero());
}

}  // namespace
}  // namespace syncline

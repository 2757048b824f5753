// Folders come and go while the node runs; not every member has every one.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

class FoldersTest : public ::testing::Test {
 protected:
  void begin(Farm& farm) {
    for (std::size_t n = 0; n < farm.machines.size(); ++n) farm.feed(n, ScanFinished{1});
  }
  void settle(Farm& farm) {
    for (int i = 0; i < 5; ++i) farm.advance(1000);
  }
  void remove(Farm& farm, std::size_t n) {
    Replica& replica = *farm.machines[n].replica;
    replica.remove_folder(1, farm.now());
    farm.feed(n, Tick{});
    farm.run();
    ASSERT_FALSE(replica.is_busy(1));
    for (std::string at = replica.forget_disk(1, ""); !at.empty();) at = replica.forget_disk(1, at);
    farm.feed(n, Tick{});
  }
};

TEST_F(FoldersTest, AMemberWithoutTheFolderPassesItsRecordsOn) {
  Farm farm(3, true, {}, {1});
  begin(farm);
  farm.link(0, 1), farm.link(1, 2);
  farm.upload(0, "p", "one");
  farm.run();
  settle(farm);
  EXPECT_EQ(farm.shown(1, "p"), "(nothing)");
  EXPECT_EQ(farm.machines[2].index->vector(), farm.machines[0].index->vector());
  EXPECT_EQ(farm.shown(2, "p"), "(nothing)") << "the one between has no bytes";
  farm.link(0, 2);
  settle(farm);
  EXPECT_EQ(farm.shown(2, "p"), "one");
}

TEST_F(FoldersTest, AMemberWithoutTheFolderCountsForNoWait) {
  Farm farm(3, true, {}, {1});
  begin(farm);
  farm.link_all();
  settle(farm);
  farm.upload(0, "p", "one");
  const auto all = farm.machines[0].replica->start_wait(1, "p", {}, farm.now());
  const auto three = farm.machines[0].replica->start_wait(1, "p", {.who = WaitGoal::Who::count, .count = 3}, farm.now());
  ASSERT_TRUE(all && three);
  farm.feed(0, Tick{});
  farm.run();
  const WaitView view = farm.machines[0].replica->wait_state(*all);
  EXPECT_TRUE(view.done);
  EXPECT_EQ(view.have, (std::vector{Farm::node(0), Farm::node(2)}));
  EXPECT_EQ(view.absent, std::vector{Farm::node(1)});
  const WaitView in_vain = farm.machines[0].replica->wait_state(*three);
  EXPECT_TRUE(in_vain.over && !in_vain.done) << "it says at once that there will never be three";
}

TEST_F(FoldersTest, NobodyIsDrainedToAMemberWithoutTheFolder) {
  Farm farm(3, true, {}, {1});
  begin(farm);
  farm.link(0, 1);
  farm.upload(0, "p", "one");
  settle(farm);
  ASSERT_TRUE(farm.machines[0].replica->drain(farm.now()));
  settle(farm);
  EXPECT_EQ(farm.machines[0].replica->drain_view().phase, DrainView::Phase::spreading);
  farm.link(0, 2);
  settle(farm), settle(farm);
  EXPECT_EQ(farm.machines[0].replica->drain_view().phase, DrainView::Phase::drained);
}

TEST_F(FoldersTest, AReaderIsToldByThoseThatHaveIt) {
  Farm farm(3, true, {}, {1});
  begin(farm);
  farm.link_all();
  settle(farm);
  const auto nowhere = farm.find(0, "p");
  farm.run();
  EXPECT_EQ(farm.state(0, nowhere), FindView::State::nowhere) << "the one without it could not have it";
}

TEST_F(FoldersTest, WhatGoesFromARemovedFolderIsNoDeletion) {
  Farm farm(2, true);
  begin(farm);
  farm.link_all();
  for (const char* path : {"stays", "goes", "deleted"}) farm.upload(0, path, path);
  settle(farm);
  ASSERT_EQ(farm.shown(1, "goes"), "goes");
  remove(farm, 1);
  EXPECT_EQ(farm.shown(1, "stays"), "stays");
  farm.machines[1].disk->app_remove("goes");
  farm.machines[0].disk->app_remove("deleted");
  farm.observe(0, "deleted");
  farm.upload(0, "new", "new");
  settle(farm);
  EXPECT_EQ(farm.shown(1, "new"), "(nothing)");
  EXPECT_EQ(farm.shown(1, "deleted"), "deleted");

  farm.machines[1].replica->add_folder(1, FolderMode::send_receive, farm.now());
  for (const char* path : {"stays", "deleted"}) farm.observe(1, path);
  EXPECT_EQ(farm.shown(1, "goes"), "(nothing)") << "not before the scan is over";
  farm.feed(1, ScanFinished{1});
  settle(farm);
  EXPECT_EQ(farm.shown(1, "goes"), "goes");
  EXPECT_EQ(farm.shown(1, "new"), "new");
  EXPECT_EQ(farm.shown(0, "goes"), "goes");
  EXPECT_EQ(farm.machines[0].index->counts(1).pending, 0u);
}

TEST_F(FoldersTest, APausedFolderIsLeftAlone) {
  Farm farm(2, true);
  begin(farm);
  farm.link_all();
  farm.upload(0, "p", "one");
  settle(farm);
  Replica& replica = *farm.machines[1].replica;
  farm.feed(1, FolderStopped{1, "paused", true});
  EXPECT_EQ(replica.readiness().state, Readiness::State::paused);
  farm.upload(0, "p", "two");
  farm.upload(1, "q", "of a paused folder");
  settle(farm);
  EXPECT_EQ(farm.shown(1, "p"), "one");
  EXPECT_EQ(farm.shown(0, "q"), "(nothing)");
  farm.feed(1, FolderStopped{1, "", false});
  for (const char* path : {"p", "q"}) farm.observe(1, path);
  farm.feed(1, ScanFinished{1});
  settle(farm);
  EXPECT_EQ(farm.shown(1, "p"), "two");
  EXPECT_EQ(farm.shown(0, "q"), "of a paused folder");
  EXPECT_TRUE(replica.readiness().takes_readers());
}

}  // namespace
}  // namespace syncline

// A loser's bytes stay, and come again, whatever happens to the folder, the disk and the jobs meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using Farm = testing::ReplicaFarm;

std::optional<std::string> kept(Farm& farm, std::size_t n, const Hash128& hash) {
  return farm.machines[n].disk->app_read(".syncline/versions/" + to_hex(hash));
}

// Two versions of `path` that have not seen each other; the one of node 0 loses. Its hash.
Hash128 collide(Farm& farm, const std::string& path, const std::string& loser, const std::string& winner) {
  farm.cut(0, 1);
  farm.upload(0, path, loser);
  const Hash128 hash = farm.machines[0].index->get(1, path)->live->content.hash;
  farm.run();
  farm.advance(1000);
  farm.upload(1, path, winner);
  farm.run();
  return hash;
}

TEST(KeptTest, WhileTheFolderIsAwayNothingIsTakenForPresent) {
  Farm farm(2);
  for (std::size_t n : {0, 1}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  const Hash128 loser = collide(farm, "p", "the loser", "the winner");
  farm.held = [](const Farm::Packet& p) { return p.is<Piece>(); };
  farm.feed(1, FolderStopped{1, "unmounted"});
  farm.machines[1].slow = true;
  farm.link(0, 1);
  farm.run();
  for (FileDone& done : farm.machines[1].done) done.outcome = true;  // what the daemon answers then
  farm.machines[1].slow = false;
  farm.run();
  farm.held = nullptr;
  farm.feed(1, FolderStopped{1, ""});
  farm.run();
  for (int i = 0; i < 5; ++i) farm.advance(1000);
  EXPECT_EQ(kept(farm, 1, loser), "the loser");
}

TEST(KeptTest, AFullDiskIsNotFilledWithoutPause) {
  Farm farm(3);
  for (std::size_t n : {0, 1, 2}) farm.feed(n, ScanFinished{1});
  farm.link(0, 1);
  farm.run();
  const Hash128 loser = collide(farm, "p", "the loser", "the winner");
  farm.link(0, 1);
  farm.run();
  farm.advance(1000);
  farm.machines[2].disk->space_left(0);
  std::size_t wants = 0;
  farm.held = [&](const Farm::Packet& p) { return p.is<Want>() && ++wants > 50; };
  farm.link(1, 2);
  farm.run();
  EXPECT_LT(wants, 5u);
  ASSERT_FALSE(farm.machines[2].replica->problems().empty());
  EXPECT_THAT(farm.machines[2].replica->problems().front().text, HasSubstr("no space left"));
  farm.held = nullptr;
  farm.machines[2].disk->heal();
  for (int i = 0; i < 12; ++i) farm.advance(1000);
  EXPECT_EQ(kept(farm, 2, loser), "the loser");
  EXPECT_EQ(farm.shown(2, "p"), "the winner");
  EXPECT_TRUE(farm.machines[2].replica->problems().empty());
}

TEST(KeptTest, WhatIsBeingDroppedIsNotFiledAtTheSameTime) {
  Farm farm(2);
  for (std::size_t n : {0, 1}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  const Hash128 loser = collide(farm, "q", "the same bytes", "others");
  farm.link(0, 1);
  farm.run();
  ASSERT_EQ(kept(farm, 1, loser), "the same bytes");
  farm.cut(0, 1);
  const auto open = farm.machines[1].index->conflicts(1, false, 10);
  ASSERT_EQ(open.size(), 1u);
  ASSERT_TRUE(farm.machines[1].replica->drop_conflict(1, "q", open.front().loser.dot, farm.now()));
  farm.feed(1, Tick{});
  farm.upload(1, "p", "the same bytes");
  farm.run();
  farm.advance(1000);
  farm.upload(0, "p", "newer");
  farm.machines[1].slow = true;
  for (int i = 0; i < 6; ++i) farm.advance(1000);
  ASSERT_FALSE(kept(farm, 1, loser)) << "dropped, and not told";
  farm.link(0, 1);
  farm.run();
  EXPECT_EQ(farm.shown(1, "p"), "the same bytes") << "waits for the end of the drop";
  farm.machines[1].slow = false;
  farm.run();
  for (int i = 0; i < 5; ++i) farm.advance(1000);
  EXPECT_EQ(farm.shown(1, "p"), "newer");
  EXPECT_EQ(kept(farm, 1, loser), "the same bytes");
}

}  // namespace
}  // namespace syncline

#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

// What `verify --repair` orders: bytes that rotted under unchanged stamps are brought again, and are nobody's version.
namespace syncline::testing {
namespace {

class Repair : public ::testing::Test {
 protected:
  Repair() : farm_(2, true) {
    for (std::size_t n = 0; n < 2; ++n) farm_.feed(n, ScanFinished{1});
    farm_.link_all();
    const std::uint64_t written_ms = farm_.now_ms;
    farm_.machines[0].disk->app_write("a", kGood);
    farm_.now_ms += 10'000;
    farm_.observe(0, "a");
    farm_.run();
    EXPECT_EQ(farm_.shown(1, "a"), kGood);
    const std::uint64_t now_ms = std::exchange(farm_.now_ms, written_ms);  // for the stamps to come out as they were
    farm_.machines[0].disk->app_write("a", kRotten);
    farm_.now_ms = now_ms + 10'000;
    known_ = farm_.machines[0].index->get(1, "a")->disk->state;
    seen_ = farm_.machines[0].folder->observe("a", known_, true);
    EXPECT_TRUE(seen_.disk.print == known_.print && seen_.disk.content.hash != known_.content.hash);
    EXPECT_TRUE(farm_.machines[0].folder->is_unchanged("a", known_)) << "no stamp tells it";
  }
  Status repair() {
    const Status done = farm_.machines[0].replica->repair(1, "a", known_, seen_.disk.content.hash, farm_.now());
    farm_.feed(0, Tick{});
    return done;
  }
  std::size_t conflicts(std::size_t n) { return farm_.machines[n].index->conflicts(1, true, 10).size(); }

  const std::string kGood = std::string(5000, 'g'), kRotten = std::string(4999, 'g') + 'x';
  ReplicaFarm farm_;
  DiskState known_;
  Observation seen_;
};

TEST_F(Repair, brings_the_bytes_again) {
  const Dot dot = farm_.machines[0].index->get(1, "a")->live->dot;
  ASSERT_TRUE(repair());
  farm_.run();
  EXPECT_EQ(farm_.shown(0, "a"), kGood);
  farm_.observe(0, "a");
  farm_.run();
  for (std::size_t n = 0; n < 2; ++n) {
    EXPECT_EQ(farm_.shown(n, "a"), kGood);
    EXPECT_EQ(farm_.machines[n].index->get(1, "a")->live->dot, dot) << "no new version came of it";
    EXPECT_FALSE(farm_.machines[n].index->get(1, "a")->pending());
    EXPECT_EQ(conflicts(n), 0u);
  }
}

TEST_F(Repair, waits_for_a_member_and_over_a_restart) {
  farm_.cut(0, 1);
  ASSERT_TRUE(repair());
  farm_.run();
  farm_.restart(0);
  farm_.observe(0, "a");
  farm_.feed(0, ScanFinished{1});
  farm_.run();
  EXPECT_EQ(farm_.shown(0, "a"), kRotten);
  farm_.link(0, 1);
  farm_.run();
  farm_.advance(5'000);
  EXPECT_EQ(farm_.shown(0, "a"), kGood);
  EXPECT_EQ(farm_.shown(1, "a"), kGood) << "the rotten bytes are offered to nobody";
  EXPECT_EQ(conflicts(0) + conflicts(1), 0u);
}

// What the editor had before him was not the version: that is kept.
TEST_F(Repair, an_edit_meanwhile_wins_and_the_version_is_kept) {
  const Hash128 good = farm_.machines[0].index->get(1, "a")->live->content.hash;
  farm_.held = [](const ReplicaFarm::Packet& p) { return p.is<Piece>(); };
  ASSERT_TRUE(repair());
  farm_.run();
  farm_.upload(0, "a", "edited");
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(5'000);
  for (std::size_t n = 0; n < 2; ++n) {
    EXPECT_EQ(farm_.shown(n, "a"), "edited");
    ASSERT_EQ(conflicts(n), 1u);
    EXPECT_EQ(farm_.machines[n].index->conflicts(1, true, 10)[0].loser.content.hash, good);
    EXPECT_TRUE(farm_.machines[n].folder->has_version(good, true));
  }
}

TEST_F(Repair, is_refused_for_what_has_changed_meanwhile) {
  farm_.upload(0, "a", "edited");
  farm_.run();
  EXPECT_FALSE(repair());
  EXPECT_EQ(farm_.shown(0, "a"), "edited");
}

}  // namespace
}  // namespace syncline::testing

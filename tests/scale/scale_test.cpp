// What scripts/sim-scale shows, in small and with bounds: none of these figures may grow with the size of the
// tree, and none with the square of the number of nodes.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/scale/points.h"

namespace syncline::scale {
namespace {

constexpr std::size_t kTree = 1'000, kLargeTree = 10'000;

Idle idle_of(std::size_t nodes, std::size_t records) {
  return measure_idle(*make_cluster(nodes, records), records, 5);
}

CatchUp catch_up_of(std::size_t nodes, std::size_t records, std::size_t missed) {
  CatchUp out = measure_catch_up(*make_cluster(nodes, records), records, missed);
  EXPECT_TRUE(out.level) << nodes << " nodes, " << records << " records, " << missed << " missed";
  return out;
}

class ScaleTest : public testing::TestWithParam<std::size_t> {};

TEST_P(ScaleTest, IdleBytesOfAPeerDependOnNothing) {
  const Idle small = idle_of(GetParam(), kTree), large = idle_of(GetParam(), kLargeTree);
  EXPECT_GT(small.messages_peer_minute, 1);
  EXPECT_LT(small.bytes_peer_minute, 150);
  EXPECT_NEAR(small.bytes_peer_minute, large.bytes_peer_minute, small.bytes_peer_minute / 50);
}

TEST_P(ScaleTest, CatchingUpCostsWhatWasMissed) {
  const CatchUp nothing = catch_up_of(GetParam(), kTree, 0), some = catch_up_of(GetParam(), kTree, 100),
                more = catch_up_of(GetParam(), kTree, 400), large = catch_up_of(GetParam(), kLargeTree, 100);
  const auto cost = [&](const CatchUp& c) {
    return static_cast<double>(c.in_all.but_contents()) - static_cast<double>(nothing.in_all.but_contents());
  };
  EXPECT_EQ(some.in_all.contents_bytes, 90 * 4096u);  // ten are deletions
  EXPECT_EQ(more.in_all.contents_bytes, 4 * some.in_all.contents_bytes);
  EXPECT_LT(cost(some), 100 * 400);
  EXPECT_LT(cost(more) / cost(some), 4.5);  // a part of it is there however little was missed
  EXPECT_NEAR(cost(large) / cost(some), 1, 0.1);
  EXPECT_NEAR(static_cast<double>(large.in_all.but_digests().messages) /
                  static_cast<double>(some.in_all.but_digests().messages),
              1, 0.1);
}

TEST_P(ScaleTest, AChangeIsToldToEveryNodeOnceAndToAFewAgain) {
  const Spread spread = measure_spread(*make_cluster(GetParam(), kTree));
  const auto nodes = static_cast<double>(GetParam());
  EXPECT_EQ(spread.rounds, 1);
  EXPECT_EQ(spread.in_all.of(kind_of<Entries>()).messages, GetParam() - 1);
  EXPECT_EQ(spread.in_all.contents_bytes, (GetParam() - 1) * 4096);
  EXPECT_LT(static_cast<double>(spread.in_all.but_digests().messages), nodes * (3 + std::log2(nodes)));
}

TEST_P(ScaleTest, WhatADeadWriterToldAFewReachesAll) {
  if (GetParam() == 3) GTEST_SKIP() << "there is no half of two to be told";
  const Death death = measure_death(*make_cluster(GetParam(), kTree));
  EXPECT_TRUE(death.level);
  EXPECT_LT(death.ms, 3'000);
}

INSTANTIATE_TEST_SUITE_P(Nodes, ScaleTest, testing::Values(3, 10, 20));

TEST(ScaleDeterminismTest, TheSameAgain) {
  const CatchUp one = catch_up_of(5, kTree, 50), other = catch_up_of(5, kTree, 50);
  EXPECT_EQ(one.ms, other.ms);
  EXPECT_EQ(one.in_all.all().messages, other.in_all.all().messages);
  EXPECT_EQ(one.in_all.all().bytes, other.in_all.all().bytes);
}

}  // namespace
}  // namespace syncline::scale

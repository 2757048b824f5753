// What a node writes is pushed to its peers; what a full lane did not take is asked for.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

TEST(PushTest, WhatTheLaneDidNotTakeIsAskedForAsSoonAsItHasRoom) {
  Farm farm(2);
  for (std::size_t n : {0u, 1u}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  farm.upload(0, "first", "taken");
  farm.run();
  farm.held = [](const Farm::Packet& p) { return p.is<Entries>(); };
  farm.upload(0, "second", "refused");
  farm.run();
  ASSERT_EQ(farm.packets.size(), 1u) << "the push";
  farm.packets.clear();
  farm.held = nullptr;
  farm.feed(0, SendRefused{Farm::node(1), Lane::small});
  farm.run();
  EXPECT_EQ(farm.shown(1, "second"), "(nothing)");
  farm.feed(0, LaneWritable{Farm::node(1), Lane::small});
  farm.run();
  EXPECT_EQ(farm.shown(1, "second"), "refused") << "without a wait";
}

}  // namespace
}  // namespace syncline

// A path that failed comes again, whatever happened to the attempt.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

TEST(RetriesTest, AnAttemptGivenUpForAVersionThatFoundNoRoomIsNotTheLast) {
  Farm farm(2);
  for (std::size_t n : {0u, 1u}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  const auto pass = [&](unsigned seconds) {
    for (unsigned i = 0; i < seconds; ++i) farm.advance(1000);
  };
  farm.held = [](const Farm::Packet& p) { return p.is<Piece>(); };
  farm.upload(0, "p", std::string(1 << 20, 'x'));
  farm.run();
  farm.cut(0, 1), pass(70);  // the first attempt fails
  farm.held = [](const Farm::Packet& p) { return p.is<Piece>(); };
  farm.link_all(), pass(6);  // the second is under way
  ASSERT_FALSE(farm.packets.empty());
  farm.feed(1, FolderStopped{1, "unmounted"});
  farm.upload(0, "p", std::string(1 << 20, 'y'));
  farm.run();
  farm.packets.clear(), farm.held = nullptr;
  farm.feed(1, FolderStopped{1, ""});
  pass(30);
  EXPECT_EQ(farm.shown(1, "p"), std::string(1 << 20, 'y'));
}

}  // namespace
}  // namespace syncline

// Who is told what when something has come: few at once, all in the end.
#include "tests/unit/node_replica_farm.h"

namespace syncline::testing {
namespace {

constexpr std::uint64_t kDigestMs = 21'000;

class GossipTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kMany = 14;  // links enough that not everybody is near

  // Counts what is sent from now on; nothing is kept back.
  void count(ReplicaFarm& farm) {
    farm.held = [this](const ReplicaFarm::Packet& p) {
      announcements += p.is<Announce>(), questions += p.is<AskVector>(), digests += p.is<Digest>();
      return false;
    };
  }

  std::size_t announcements = 0, questions = 0, digests = 0;
};

void begin(ReplicaFarm& farm) {
  for (std::size_t n = 0; n < farm.machines.size(); ++n) farm.feed(n, ScanFinished{1});
  farm.link_all();
  for (int i = 0; i < 20; ++i) farm.advance(1'000);
}

std::uint64_t beliefs_behind(const ReplicaFarm& farm, std::size_t n) {
  std::uint64_t out = 0;
  for (const PeerView& peer : farm.machines[n].replica->peers()) out += peer.behind + peer.ahead;
  return out;
}

TEST_F(GossipTest, AChangeCostsNoSquareOfAnnouncements) {
  ReplicaFarm farm(kMany, true);
  begin(farm);
  farm.upload(0, "first", "its writer is told of with it");
  for (int i = 0; i < 20; ++i) farm.advance(1'000);
  count(farm);
  farm.upload(0, "a", "x");
  farm.run();
  for (int i = 0; i < 10; ++i) farm.advance(100);
  for (std::size_t n = 0; n < kMany; ++n) EXPECT_EQ(farm.shown(n, "a"), "x");
  EXPECT_LE(announcements, kMany * 5);  // distances of 1, 2, 4 and 8, and the writer
  EXPECT_GE(announcements, kMany * 4);
}

TEST_F(GossipTest, TheRestLearnByDigests) {
  ReplicaFarm farm(kMany, true);
  begin(farm);
  farm.upload(0, "a", "x");
  for (int i = 0; i < 30; ++i) farm.advance(100);
  EXPECT_GT(beliefs_behind(farm, 1), 0);
  count(farm);
  farm.advance(kDigestMs);
  for (std::size_t n = 0; n < kMany; ++n) EXPECT_EQ(beliefs_behind(farm, n), 0) << n;
  EXPECT_EQ(digests, kMany * (kMany - 1));
  EXPECT_EQ(questions, 0);
  EXPECT_EQ(announcements, 0);
}

TEST_F(GossipTest, WhoIsCutOffFromTheWriterHearsOfItSoon) {
  ReplicaFarm farm(kMany, true);
  begin(farm);
  farm.cut(0, 7);
  farm.upload(0, "a", "x");
  for (int i = 0; i < 10; ++i) farm.advance(100);
  EXPECT_EQ(farm.shown(7, "a"), "x");
}

TEST_F(GossipTest, WhoOnlyHearsOfItByADigestAsks) {
  ReplicaFarm farm(kMany, true);
  begin(farm);
  // Linked to one node only, and that one does not count it among the near: 5 after 0 in a ring of 14.
  for (std::size_t n = 1; n < kMany; ++n) {
    if (n != 5) farm.cut(5, n);
  }
  farm.upload(3, "a", "x");
  farm.advance(1'000);
  EXPECT_EQ(farm.shown(5, "a"), "(nothing)");
  for (int i = 0; i < 12; ++i) farm.advance(1'000);
  EXPECT_EQ(farm.shown(5, "a"), "x");
}

TEST_F(GossipTest, AmongFewAllAreToldAtOnce) {
  ReplicaFarm farm(9, true);
  begin(farm);
  farm.upload(0, "a", "x");
  for (int i = 0; i < 10; ++i) farm.advance(100);
  for (std::size_t n = 0; n < 9; ++n) EXPECT_EQ(beliefs_behind(farm, n), 0) << n;
}

TEST_F(GossipTest, NothingIsSaidOfWhatWasPushed) {
  ReplicaFarm farm(3, true);
  begin(farm);
  farm.upload(0, "a", "x");
  for (int i = 0; i < 20; ++i) farm.advance(1'000);
  std::size_t from_writer = 0;
  farm.held = [&](const ReplicaFarm::Packet& p) {
    from_writer += p.from == 0 && p.is<Announce>();
    return false;
  };
  farm.upload(0, "a", "y");
  for (int i = 0; i < 10; ++i) farm.advance(100);
  EXPECT_EQ(farm.shown(2, "a"), "y");
  EXPECT_EQ(from_writer, 0);
}

}  // namespace
}  // namespace syncline::testing

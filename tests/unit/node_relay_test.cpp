#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/node_replica_farm.h"

// Large contents that members pass on to each other.
namespace syncline {
namespace {

using testing::ReplicaFarm;

constexpr std::size_t kMembers = 5;

class RelayTest : public ::testing::Test {
 protected:
  RelayTest() {
    farm_.link_all();
    for (std::size_t a = 0; a < kMembers; ++a) {
      for (std::size_t b = 0; b < kMembers; ++b) {
        if (a != b) farm_.feed(a, LinkPath{ReplicaFarm::node(b), 1});
      }
    }
    farm_.held = [this](const ReplicaFarm::Packet& packet) { return count(packet); };
    for (std::size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 2654435761u >> 13);
  }

  // Called for every packet, possibly more than once.
  bool count(const ReplicaFarm::Packet& packet) {
    if (hold && hold(packet)) return true;
    if (packet.is<Piece>()) sent_[packet.from] += std::get<Piece>(*decode(packet.message)).bytes.size();
    return false;
  }
  void upload() {
    farm_.upload(0, "film", content_);
    for (int i = 0; i < 10; ++i) farm_.advance(100);
  }
  std::size_t arrived() {
    std::size_t out = 0;
    for (std::size_t n = 1; n < kMembers; ++n) out += farm_.shown(n, "film") == content_;
    return out;
  }
  // Who takes it from the one who wrote it.
  std::size_t second_in_line() {
    for (std::size_t n = 1; n < kMembers; ++n) {
      if (asked_.contains(n)) return n;
    }
    return 0;
  }

  ReplicaFarm farm_{kMembers, true};
  std::string content_ = std::string(5 << 20, 'x');
  std::map<std::size_t, std::uint64_t> sent_;
  std::set<std::size_t> asked_;  // wants of these have come to the writer
  std::function<bool(const ReplicaFarm::Packet&)> hold;
};

TEST_F(RelayTest, WriterSendsOneCopy) {
  hold = [this](const ReplicaFarm::Packet& p) {
    if (p.to == 0 && p.is<Want>()) asked_.insert(p.from);
    return false;
  };
  upload();
  EXPECT_EQ(arrived(), kMembers - 1);
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(sent_[0], content_.size());
  const auto all = std::accumulate(sent_.begin(), sent_.end(), std::uint64_t{0},
                                   [](auto sum, const auto& s) { return sum + s.second; });
  EXPECT_EQ(all, content_.size() * (kMembers - 1));
}

TEST_F(RelayTest, WriterIsAskedWhereTheOneBeforeGoesAway) {
  std::size_t pieces = 0;
  hold = [&](const ReplicaFarm::Packet& p) {
    if (p.to == 0 && p.is<Want>()) asked_.insert(p.from);
    return p.is<Piece>() && p.from == 0 && ++pieces > 6;  // and nothing more comes for a while
  };
  upload();
  const std::size_t second = second_in_line();
  ASSERT_NE(second, 0U);
  EXPECT_EQ(arrived(), 0U);
  for (std::size_t n = 0; n < kMembers; ++n) {
    if (n != second) farm_.cut(second, n);
  }
  hold = nullptr;
  for (int i = 0; i < 100; ++i) farm_.advance(100);
  EXPECT_EQ(arrived(), kMembers - 2);
  EXPECT_NE(farm_.shown(second, "film"), content_);
}

TEST_F(RelayTest, WriterIsAskedWhereTheOneBeforeStands) {
  std::set<std::size_t> told;
  hold = [&](const ReplicaFarm::Packet& p) {
    if (p.to == 0 && p.is<Want>()) asked_.insert(p.from);
    return p.is<Piece>() && p.from == 0 &&
           p.to == *asked_.begin();  // what the first in line asks for never comes
  };
  upload();
  EXPECT_EQ(arrived(), 0U);
  for (int i = 0; i < 80; ++i) farm_.advance(100);
  EXPECT_EQ(arrived(), kMembers - 2);
}

TEST_F(RelayTest, FarAwayIsNotAsked) {
  for (std::size_t n = 1; n < kMembers; ++n) {
    for (std::size_t other = 1; other < kMembers; ++other) {
      if (n != other) farm_.feed(n, LinkPath{ReplicaFarm::node(other), 40});
    }
  }
  upload();
  EXPECT_EQ(arrived(), kMembers - 1);
  EXPECT_EQ(sent_[0], content_.size() * (kMembers - 1));
}

TEST_F(RelayTest, SmallContentComesFromTheWriter) {
  content_.resize(1 << 20);
  upload();
  EXPECT_EQ(arrived(), kMembers - 1);
  EXPECT_EQ(sent_[0], content_.size() * (kMembers - 1));
}

}  // namespace
}  // namespace syncline

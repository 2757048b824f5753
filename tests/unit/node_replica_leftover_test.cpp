// What is left of work that came to nothing: staged bytes, and reports that a kill makes come twice.
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using Farm = testing::ReplicaFarm;

std::vector<std::string> staged(Farm& farm, std::size_t n) {
  std::vector<std::string> out;
  FileSystem& disk = *farm.machines[n].disk;
  for (const std::string& path : farm.machines[n].disk->app_paths()) {
    if (path.starts_with(".syncline/staging/") && disk.stat(path)->type == FileType::file) out.push_back(path);
  }
  return out;
}

TEST(StageDropTest, WhatWasFetchedOfAnAbandonedContentGoes) {
  Farm farm(2);
  for (std::size_t n : {0u, 1u}) farm.feed(n, ScanFinished{1});
  farm.link_all();
  std::size_t pieces = 0;
  farm.held = [&](const Farm::Packet& p) { return p.is<Piece>() && pieces++ > 0; };
  farm.upload(0, "big", std::string(1 << 20, 'x'));
  farm.run();
  ASSERT_EQ(staged(farm, 1).size(), 1u) << "the first piece has come, the others have not";
  farm.held = [](const Farm::Packet& p) { return p.is<Piece>(); };
  farm.advance(1000);
  farm.upload(0, "big", "small by now");
  farm.run();
  for (int i = 0; i < 10; ++i) farm.advance(1000);
  EXPECT_EQ(farm.machines[1].disk->app_read("big"), "small by now");
  EXPECT_TRUE(staged(farm, 1).empty()) << staged(farm, 1).front();
}

class LateWriteTest : public ::testing::Test {
 protected:
  LateWriteTest() {
    farm_.feed(0, ScanFinished{1});
    farm_.link_all();
    farm_.upload(0, "p", "what took its place");
    farm_.run();
    const auto entry = farm_.machines[0].index->get(1, "p");
    late_.by = entry->live->content.hash;
    late_.replaced.bytes.fill(1);
    late_.disk.content = {.kind = Kind::file, .size = 5, .mode = 0644};
    late_.disk.content.hash.bytes.fill(2);
  }
  std::uint64_t versions() const { return farm_.machines[0].index->vector().entries().front().seq; }
  Hash128 live() const { return farm_.machines[0].index->get(1, "p")->live->content.hash; }

  Farm farm_{1};
  LateWrite late_;
};

TEST_F(LateWriteTest, ToldTwiceItIsOneVersion) {
  late_.path = "p";
  farm_.feed(0, WroteLate{1, late_});
  EXPECT_EQ(live(), late_.disk.content.hash);
  farm_.upload(0, "p", "somebody has seen it and gone on");
  farm_.run();
  const std::uint64_t before = versions();
  farm_.feed(0, WroteLate{1, late_});
  EXPECT_EQ(versions(), before);
}

TEST_F(LateWriteTest, WithoutAPathItBelongsToWhatTookItsPlace) {
  farm_.feed(0, WroteLate{1, late_});
  EXPECT_EQ(live(), late_.disk.content.hash);
}

TEST_F(LateWriteTest, ThatOfADeletionIsKeptAndListed) {
  late_.by = {};
  farm_.feed(0, WroteLate{1, late_});
  ASSERT_EQ(farm_.machines[0].replica->problems().size(), 1u);
  EXPECT_EQ(farm_.machines[0].replica->problems().front().path, ".syncline/versions/" + to_hex(late_.disk.content.hash));
}

}  // namespace
}  // namespace syncline

#include "node/own_changes.h"

#include <gtest/gtest.h>

namespace syncline {
namespace {

Look look_at(const std::string& path, bool force = false) {
  Look look;
  look.path = path;
  look.force = force;
  return look;
}

TEST(OwnChangesTest, OthersPathsAreNobodysBusiness) {
  OwnChanges own;
  own.begin("a");
  EXPECT_FALSE(own.puts_off(look_at("b")));
  EXPECT_FALSE(own.take_recent("b"));
}

TEST(OwnChangesTest, ALookDuringAnApplyComesAtItsEnd) {
  OwnChanges own;
  own.begin("a");
  EXPECT_TRUE(own.puts_off(look_at("a", true)));
  EXPECT_TRUE(own.puts_off(look_at("a")));
  const auto look = own.end("a");
  ASSERT_TRUE(look);
  EXPECT_EQ(look->path, "a");
  EXPECT_TRUE(look->force) << "a file that was closed after writing is read whatever came later";
  EXPECT_FALSE(own.puts_off(look_at("a")));
}

TEST(OwnChangesTest, OfTwoAppliesTheSecondEnds) {
  OwnChanges own;
  own.begin("a");
  own.begin("a");
  EXPECT_TRUE(own.puts_off(look_at("a")));
  EXPECT_FALSE(own.end("a"));
  EXPECT_TRUE(own.end("a"));
}

TEST(OwnChangesTest, WhatWasChangedIsRememberedForOneLook) {
  OwnChanges own;
  own.begin("a");
  EXPECT_FALSE(own.end("a"));
  EXPECT_TRUE(own.take_recent("a"));
  EXPECT_FALSE(own.take_recent("a"));
}

}  // namespace
}  // namespace syncline

// What a folder leaves on the disk for the run after a kill or a loss of power.
#include <random>

#include "storage/version_mark.h"
#include "storage_folder_support.h"

namespace syncline::testing {
namespace {

const auto kNothing = [](const Hash128&) { return false; };

class FolderPowerTest : public ::testing::TestWithParam<Disk>, public Bench {
 protected:
  FolderPowerTest() : Bench(GetParam()) { dot_.actor.bytes.fill(5); }

  ApplyResult make(const std::string& path, const Content& content, const std::string& bytes = {}) {
    return folder->apply({.path = path,
                          .content = content,
                          .expect = {},
                          .bytes = content.kind == Kind::file ? std::make_shared<Bytes>(bytes) : nullptr,
                          .dot = dot_,
                          .hlc = {99}});
  }
  std::optional<VersionMark> mark(const std::string& path) { return folder->observe(path, {}, true, true).mark; }
  bool keeps_marks() { return folder->observe("a", {}, true, true).marks; }

  Dot dot_{{}, 7};
};

INSTANTIATE_TEST_SUITE_P(Disks, FolderPowerTest, ::testing::Values(Disk::real, Disk::memory), disk_name);

TEST_P(FolderPowerTest, AnApplyMarksWhatItMakes) {
  ASSERT_EQ(make("a", file("x"), "x").outcome, ApplyResult::Outcome::applied);
  ASSERT_EQ(make("d/e", directory()).outcome, ApplyResult::Outcome::applied);
  if (!keeps_marks()) GTEST_SKIP() << "this file system keeps no marks";
  const auto a = mark("a"), e = mark("d/e"), parent = mark("d");
  ASSERT_TRUE(a && e && parent);
  EXPECT_EQ(a->dot, dot_);
  EXPECT_EQ(a->hlc.value, 99u);
  EXPECT_TRUE(a->whole && a->untouched);
  EXPECT_EQ(e->dot, dot_);
  EXPECT_EQ(parent->dot, Dot{}) << "made only to hold the other";
  EXPECT_FALSE(folder->observe("a", {}, true).mark) << "not asked for";
}

TEST_P(FolderPowerTest, AMarkTellsWhoHasWrittenSince) {
  make("a", file("once"), "once");
  if (!keeps_marks()) GTEST_SKIP() << "this file system keeps no marks";
  world->let_stamps_age();
  world->write("a", "torn");
  ASSERT_TRUE(mark("a"));
  EXPECT_FALSE(mark("a")->untouched || mark("a")->whole);
  ASSERT_TRUE(world->fs().set_attributes("a", 0644, file("").mtime_ns));
  EXPECT_TRUE(mark("a")->untouched && !mark("a")->whole) << "so looks a file whose bytes never came to the disk";
}

TEST_P(FolderPowerTest, AMarkIsThatOfItsPath) {
  make("a", file("x"), "x");
  if (!keeps_marks()) GTEST_SKIP() << "this file system keeps no marks";
  ASSERT_TRUE(world->fs().rename_new("a", "b"));
  EXPECT_FALSE(mark("b"));
  world->write("c", "an application's");
  EXPECT_FALSE(mark("c"));
}

// An application's rename in the midst of an apply, and the node dies before it has told of what came out.
TEST(FolderKilledTest, ADisplacedVersionIsKnownByItsPathAfterwards) {
  Bench b(Disk::memory);
  auto& fs = dynamic_cast<MemoryFileSystem&>(b.world->fs());
  b.world->write("a", "old");
  const DiskState a = b.known("a");
  b.world->let_stamps_age();
  fs.before_each([&](const MemoryFileSystem::Access& access) {
    if (access.operation == "exchange") fs.app_replace("a", "the application's");
  });
  const ApplyResult result = b.put("a", "new", a);
  fs.before_each({});
  ASSERT_TRUE(result.displaced);
  b.reopen();
  b.folder->clean_staging(kNothing);
  const auto late = b.folder->settle_limbo(true);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].path, "a");
  EXPECT_EQ(late[0].replaced, b.key.hash("old"));
  EXPECT_EQ(late[0].by, b.key.hash("new"));
  EXPECT_EQ(late[0].disk.content.hash, result.displaced->content.hash);
  EXPECT_EQ(b.version(late[0].disk.content.hash), "the application's");
  for (int s = 0; s < 10; ++s) b.world->let_stamps_age();
  b.folder->settle_limbo();
  EXPECT_EQ(b.folder->limbo_size(), 0u) << "the note goes once it must have been heard";
  b.reopen();
  b.folder->clean_staging(kNothing);
  EXPECT_TRUE(b.folder->settle_limbo(true).empty());
}

// After how many losses of power a file is there without its bytes.
int torn_files(bool strict) {
  int torn = 0;
  for (unsigned seed = 0; seed < 64; ++seed) {
    Bench b(Disk::memory);
    auto& disk = dynamic_cast<MemoryFileSystem&>(b.world->fs());
    EXPECT_TRUE(disk.sync_all());
    b.folder->sync_before_showing(strict);
    EXPECT_EQ(b.put("a", "bytes").outcome, ApplyResult::Outcome::applied);
    std::mt19937_64 random(seed);
    disk.crash([&] { return random(); });
    const auto shown = disk.app_read("a");
    torn += shown && *shown != "bytes";
  }
  return torn;
}

TEST(FolderStrictTest, NoFileIsThereWithoutItsBytes) {
  EXPECT_EQ(torn_files(true), 0);
  EXPECT_GT(torn_files(false), 0) << "else this shows nothing";
}

}  // namespace
}  // namespace syncline::testing

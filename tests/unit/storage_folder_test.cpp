#include <sys/stat.h>

#include <algorithm>

#include "protocol/delta.h"
#include "protocol/limits.h"
#include "storage_folder_support.h"

namespace syncline::testing {
namespace {

using Outcome = ApplyResult::Outcome;
using State = Observation::State;

// Every test here runs on a real disk and on the twin, which has to behave alike.
class FolderTest : public ::testing::TestWithParam<Disk>, public Bench {
 protected:
  FolderTest() : Bench(GetParam()) {}
  void TearDown() override {
    EXPECT_TRUE(folder->settle_limbo(true).empty());
    EXPECT_TRUE(staging().empty()) << staging().front();
  }
  MemoryFileSystem& memory() { return dynamic_cast<MemoryFileSystem&>(world->fs()); }
};

INSTANTIATE_TEST_SUITE_P(Disks, FolderTest,
                         ::testing::Values(Disk::real, Disk::memory, Disk::memory_without_exchange,
                                           Disk::memory_without_leases),
                         disk_name);

// Where it can be known who writes.
class FolderLeaseTest : public FolderTest {};
INSTANTIATE_TEST_SUITE_P(Disks, FolderLeaseTest,
                         ::testing::Values(Disk::real, Disk::memory, Disk::memory_without_exchange),
                         disk_name);
class FolderBlindTest : public FolderTest {};
INSTANTIATE_TEST_SUITE_P(Disks, FolderBlindTest, ::testing::Values(Disk::memory_without_leases), disk_name);
// Where faults can be made.
class FolderFaultTest : public FolderTest {};
INSTANTIATE_TEST_SUITE_P(Disks, FolderFaultTest,
                         ::testing::Values(Disk::memory, Disk::memory_without_exchange), disk_name);

TEST_P(FolderTest, MarkerBelongsToOneCluster) {
  EXPECT_TRUE(Folder::create_marker(world->fs(), identity)) << "the same once more";
  Folder::Identity other = identity;
  other.cluster.bytes.fill(9);
  const auto made = Folder::create_marker(world->fs(), other);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Error::Code::exists);
  EXPECT_NE(made.error().message.find(to_hex(identity.cluster)), std::string::npos);
  EXPECT_EQ(Folder::open(world->fs(), key, other).error().code, Error::Code::refused);
  EXPECT_TRUE(folder->check_marker());
}

TEST_P(FolderTest, AnEmptiedRootIsRefused) {
  ASSERT_TRUE(world->fs().remove_file(".syncline/folder"));
  const auto checked = folder->check_marker();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Error::Code::refused);
  EXPECT_EQ(Folder::open(world->fs(), key, identity).error().code, Error::Code::refused);
}

TEST_P(FolderTest, ObserveTellsWhatIsThere) {
  EXPECT_EQ(folder->observe("a", {}).state, State::absent);
  EXPECT_EQ(folder->observe("no/parent", {}).state, State::absent);
  world->write("a", "hello");
  world->chmod("a", 0640);
  const DiskState a = known("a");
  EXPECT_EQ(a.content, file("hello", 0640, a.print.mtime_ns));
  EXPECT_NE(a.print.ctime_ns, 0);
  EXPECT_EQ(folder->observe("a", a).state, State::unchanged);
  EXPECT_EQ(folder->observe("a", a, true).state, State::present) << "forced";
  EXPECT_EQ(folder->observe("a/below", {}).state, State::absent);

  world->make_directory("d");
  EXPECT_EQ(folder->observe("d", {}).disk.content.kind, Kind::directory);
  world->symlink("l", "../anywhere");
  EXPECT_EQ(folder->observe("l", {}).disk.content.target, "../anywhere");
  EXPECT_EQ(folder->observe("l/a", {}).state, State::absent) << "links are not followed";
}

TEST_P(FolderTest, ObserveBringsContentAndSignature) {
  world->write("small", "bytes");
  const Observation small = folder->observe("small", {});
  ASSERT_TRUE(small.content);
  EXPECT_EQ(*small.content, "bytes");
  EXPECT_FALSE(small.signature);
  const std::string large(limits::inline_content_bytes + 1, 'x');
  world->write("large", large);
  const Observation seen = folder->observe("large", {});
  EXPECT_FALSE(seen.content);
  EXPECT_EQ(seen.disk.content.hash, key.hash(large));
  ASSERT_TRUE(seen.signature);
  EXPECT_EQ(seen.signature->file_hash, key.hash(large));
}

TEST_P(FolderTest, AFreshFileIsReadAgainLater) {
  world->write("a", "1");
  const Observation fresh = folder->observe("a", {});
  EXPECT_EQ(fresh.disk.print.ctime_ns, 0) << "a second write in the same tick would not show";
  EXPECT_EQ(folder->observe("a", fresh.disk).state, State::present);
}

TEST_P(FolderLeaseTest, ObserveWaitsForWriters) {
  auto writer = world->open_writer("a");
  writer->append("half");
  EXPECT_EQ(folder->observe("a", {}).state, State::busy);
  writer->append("whole");
  writer->close();
  EXPECT_EQ(*folder->observe("a", {}).content, "halfwhole");
}

TEST_P(FolderTest, OwnDirectoryAndImpossibleNamesAreRefused) {
  for (const std::string& path :
       {std::string(".syncline"), std::string(".syncline/folder"), std::string(256, 'n'),
        std::string("a/../b"), std::string("/a"), std::string()}) {
    EXPECT_EQ(folder->observe(path, {}).state, State::unsupported) << path;
    EXPECT_EQ(put(path, "x").outcome, Outcome::unsupported) << path;
  }
  EXPECT_EQ(put("bytes \xff\x01\n", "x").outcome, Outcome::applied) << "any bytes that a name may have";
  EXPECT_EQ(folder->observe("bytes \xff\x01\n", {}).state, State::present);
}

TEST_P(FolderTest, ANewFileAppearsWhole) {
  const ApplyResult made = put("a", "hello");
  ASSERT_EQ(made.outcome, Outcome::applied) << made.problem;
  EXPECT_EQ(world->read("a"), "hello");
  EXPECT_EQ(made.disk.content, file("hello"));
  EXPECT_EQ(folder->observe("a", made.disk).state, State::unchanged)
      << "the fingerprint is that of the visible file";
  const Observation seen = folder->observe("a", {}, true);
  EXPECT_EQ(seen.disk.content, file("hello")) << "mode and time too";
}

TEST_P(FolderTest, AnEmptyFileAppears) {
  EXPECT_EQ(put("a", "").outcome, Outcome::applied);
  EXPECT_EQ(world->read("a"), "");
}

TEST_P(FolderTest, MissingParentsAreMade) {
  const ApplyResult made = put("x/y/z", "hello");
  ASSERT_EQ(made.outcome, Outcome::applied) << made.problem;
  EXPECT_EQ(made.made_parents, (std::vector<std::string>{"x", "x/y"}));
  EXPECT_EQ(folder->observe("x/y", {}).disk.content.mode, 0755u);
  EXPECT_EQ(put("x/y/z/below-a-file", "no").outcome, Outcome::blocked);
  world->symlink("link", "x");
  EXPECT_EQ(put("link/a", "no").outcome, Outcome::blocked);
  EXPECT_EQ(world->paths(), (std::vector<std::string>{"link", "x", "x/y", "x/y/z"}));
}

TEST_P(FolderTest, AChangedFileIsReplaced) {
  world->write("a", "old");
  const ApplyResult changed = put("a", "new", known("a"));
  ASSERT_EQ(changed.outcome, Outcome::applied) << changed.problem;
  EXPECT_FALSE(changed.displaced);
  EXPECT_EQ(world->read("a"), "new");
  EXPECT_EQ(folder->observe("a", changed.disk).state, State::unchanged);
  EXPECT_EQ(put("a", "newer", changed.disk).outcome, Outcome::applied) << "at once again";
}

TEST_P(FolderTest, AFreshFileIsReplacedOnlyIfItsBytesAreThoseExpected) {
  world->write("a", "old");
  DiskState expect = folder->observe("a", {}).disk;
  ASSERT_EQ(expect.print.ctime_ns, 0);
  expect.content =
      file("odd", 0644, expect.content.mtime_ns);  // as if it had been written again in the same tick
  const ApplyResult changed = put("a", "new", expect);
  ASSERT_EQ(changed.outcome, Outcome::applied) << changed.problem;
  ASSERT_TRUE(changed.displaced);
  EXPECT_EQ(changed.displaced->content.hash, key.hash("old"));
  EXPECT_EQ(version(key.hash("old")), "old");
}

TEST_P(FolderTest, WhatIsNotExpectedIsNotTouched) {
  world->write("a", "mine");
  const DiskState a = known("a");
  EXPECT_EQ(put("a", "theirs").outcome, Outcome::changed) << "expected to be absent";
  world->write("a", "edit");
  EXPECT_EQ(put("a", "theirs", a).outcome, Outcome::changed);
  EXPECT_EQ(put("a", Content{}, a).outcome, Outcome::changed);
  EXPECT_EQ(put("a", Content{}).outcome, Outcome::changed) << "a deletion of what should be absent";
  world->replace("a", "edit");
  EXPECT_EQ(put("a", directory(), a).outcome, Outcome::changed);
  EXPECT_EQ(world->read("a"), "edit");
  const DiskState edited = known("a");
  world->chmod("a", 0600);
  EXPECT_EQ(put("a", "theirs", edited).outcome, Outcome::changed);
  world->remove("a");
  EXPECT_EQ(put("a", "theirs", a).outcome, Outcome::changed);
  EXPECT_EQ(put("a", Content{}, a).outcome, Outcome::changed);
  EXPECT_TRUE(world->paths().empty());
}

TEST_P(FolderLeaseTest, AFileOpenForWritingIsBusy) {
  auto writer = world->open_writer("a");
  writer->append("half");
  const auto stat = world->fs().stat("a");
  world->let_stamps_age();
  const DiskState expect{file("half", stat->mode, stat->print.mtime_ns), stat->print};
  EXPECT_EQ(put("a", "theirs", expect).outcome, Outcome::busy);
  EXPECT_EQ(put("a", Content{}, expect).outcome, Outcome::busy);
  EXPECT_EQ(put("a", file("half", 0600), expect).outcome, Outcome::busy) << "attributes";
  EXPECT_EQ(world->read("a"), "half");
}

TEST_P(FolderTest, OnlyAttributesChange) {
  world->write("a", "same");
  const DiskState before = known("a");
  const ApplyResult changed = put("a", file("same", 0600), before);
  ASSERT_EQ(changed.outcome, Outcome::applied) << changed.problem;
  EXPECT_EQ(changed.disk.print.inode, before.print.inode) << "no bytes were written";
  EXPECT_EQ(folder->observe("a", {}).disk.content, file("same", 0600));
  const ApplyResult again = put("a", file("same", 0600), changed.disk);
  EXPECT_EQ(again.outcome, Outcome::applied);
  EXPECT_EQ(again.disk, changed.disk) << "nothing to do";
}

TEST_P(FolderTest, DirectoriesAndSymlinks) {
  const ApplyResult made = put("d/e", directory(0750));
  ASSERT_EQ(made.outcome, Outcome::applied) << made.problem;
  EXPECT_EQ(folder->observe("d/e", {}).disk.content, directory(0750));
  ASSERT_EQ(put("d/e/f", "x").outcome, Outcome::applied);
  EXPECT_TRUE(folder->restore_directory_time("d/e", made.disk.content.mtime_ns));
  EXPECT_EQ(folder->observe("d/e", {}).disk.content, directory(0750));
  EXPECT_EQ(put("d/e", directory(0700), made.disk).outcome, Outcome::applied);
  EXPECT_EQ(put("d/e", Content{}, {directory(0700), {}}).outcome, Outcome::not_empty);
  EXPECT_EQ(put("d/e", "file", {directory(0700), {}}).outcome, Outcome::not_empty);
  EXPECT_EQ(world->read("d/e/f"), "x");

  const ApplyResult linked = put("l", symlink("d"));
  ASSERT_EQ(linked.outcome, Outcome::applied) << linked.problem;
  EXPECT_EQ(put("l", symlink("d/e"), linked.disk).outcome, Outcome::applied);
  EXPECT_EQ(folder->observe("l", {}).disk.content, symlink("d/e"));
}

// Every kind in the place of every other.
TEST_P(FolderTest, KindsReplaceEachOther) {
  const std::vector<Content> kinds{Content{},   file("one"),   file("two"),
                                   directory(), symlink("to"), symlink("elsewhere")};
  for (const Content& from : kinds) {
    for (const Content& to : kinds) {
      DiskState expect;
      const std::string bytes = from.hash == key.hash("one") ? "one" : "two";
      if (from.kind != Kind::deleted) {
        const ApplyResult made = from.kind == Kind::file ? put("p", bytes) : put("p", from);
        ASSERT_EQ(made.outcome, Outcome::applied) << made.problem;
        expect = made.disk;
      }
      const std::string wanted = to.hash == key.hash("one") ? "one" : "two";
      const ApplyResult changed = to.kind == Kind::file ? put("p", wanted, expect) : put("p", to, expect);
      ASSERT_EQ(changed.outcome, Outcome::applied)
          << int(from.kind) << " to " << int(to.kind) << changed.problem;
      EXPECT_FALSE(changed.displaced);
      const Observation seen = folder->observe("p", {});
      EXPECT_EQ(seen.state, to.kind == Kind::deleted ? State::absent : State::present);
      EXPECT_EQ(seen.disk.content, to);
      world->remove("p");
      EXPECT_TRUE(folder->settle_limbo(true).empty());
    }
  }
}

TEST_P(FolderTest, ALosersBytesAreKept) {
  world->write("a", "loser");
  ASSERT_EQ(put("a", "winner", known("a"), true).outcome, Outcome::applied);
  EXPECT_EQ(version(key.hash("loser")), "loser");
  world->write("b", "loser too");
  const ApplyResult deleted = folder->apply({"b", Content{}, known("b"), nullptr, true});
  ASSERT_EQ(deleted.outcome, Outcome::applied) << deleted.problem;
  EXPECT_EQ(version(key.hash("loser too")), "loser too");
  EXPECT_EQ(folder->versions()->size(), 2u);
  folder->settle_limbo(true);
  EXPECT_TRUE(folder->has_version(key.hash("loser"))) << "settling does not take versions away";
  EXPECT_TRUE(folder->drop_version(key.hash("loser")));
  EXPECT_TRUE(folder->drop_version(key.hash("loser"))) << "once more is no error";
  EXPECT_FALSE(folder->has_version(key.hash("loser")));
}

TEST_P(FolderTest, HardLinksAreSeparateFiles) {
  world->write("a", "both");
  world->link("a", "b");
  ASSERT_EQ(put("a", "new", known("a"), true).outcome, Outcome::applied);
  EXPECT_EQ(world->read("b"), "both");
  world->write("b", "edit");  // the same inode, had it been moved to versions/
  EXPECT_EQ(version(key.hash("both")), "both");
}

TEST_P(FolderTest, BytesThatLieAreRefused) {
  Content content = file("right");
  EXPECT_EQ(folder->apply({"a", content, {}, std::make_shared<Bytes>("wrong"), false}).outcome,
            Outcome::no_content);
  EXPECT_EQ(put("a", content).outcome, Outcome::no_content) << "not staged";
  EXPECT_TRUE(world->paths().empty());
}

TEST_P(FolderTest, StagedContentIsTakenOnce) {
  const Content content = file("staged");
  ASSERT_TRUE(folder->stage_write(content.hash, 0, "staged"));
  ASSERT_TRUE(folder->stage_finish(content.hash, 6));
  EXPECT_EQ(folder->apply({"a", content, {}, nullptr, false, true}).outcome, Outcome::applied) << "kept";
  EXPECT_EQ(put("b", content).outcome, Outcome::applied) << "taken";
  EXPECT_EQ(put("c", content).outcome, Outcome::no_content);
  ASSERT_TRUE(folder->stage_copy(content.hash, 6, "b"));
  EXPECT_EQ(put("c", content).outcome, Outcome::applied);
  for (const char* path : {"a", "b", "c"}) EXPECT_EQ(folder->observe(path, {}).disk.content, content);
}

TEST_P(FolderTest, StagedContentSurvivesAFailedApply) {
  world->write("a", "in the way");
  const Content content = file("staged");
  ASSERT_TRUE(folder->stage_write(content.hash, 0, "staged"));
  ASSERT_TRUE(folder->stage_finish(content.hash, 6));
  EXPECT_EQ(put("a", content).outcome, Outcome::changed);
  EXPECT_EQ(put("a", content, known("a")).outcome, Outcome::applied);
}

TEST_P(FolderTest, PiecesMayComeInAnyOrder) {
  std::string whole(3 * limits::range_bytes + 17, '\0');
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<char>(i * 31 >> 3);
  const Hash128 hash = key.hash(whole);
  const auto piece = [&](std::size_t i) {
    return BytesView(whole).substr(i * limits::range_bytes, limits::range_bytes);
  };
  const auto put_piece = [&](std::size_t i) {
    return folder->stage_write(hash, i * limits::range_bytes, piece(i));
  };
  ASSERT_TRUE(put_piece(0));
  ASSERT_TRUE(put_piece(3));
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, limits::range_bytes);
  ASSERT_TRUE(put_piece(1));
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, 2 * limits::range_bytes);
  reopen();
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, 2 * limits::range_bytes) << "the hole is remembered";
  ASSERT_TRUE(put_piece(2));
  reopen();
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, 3 * limits::range_bytes);
  EXPECT_EQ(folder->stage_finish(hash, whole.size()).error().code, Error::Code::invalid) << "incomplete";
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, 0u);
  for (const std::size_t i : {3u, 2u, 1u, 0u}) ASSERT_TRUE(put_piece(i));
  ASSERT_TRUE(folder->stage_finish(hash, whole.size()));
  ASSERT_TRUE(folder->staged_signature(hash));
  EXPECT_EQ(folder->staged_signature(hash)->file_hash, hash);
  EXPECT_EQ(put("big", file(whole)).outcome, Outcome::applied);
  EXPECT_EQ(world->read("big"), whole);
}

TEST_P(FolderTest, AFinishedContentIsVerifiedAgainAfterARestart) {
  const Content content = file(std::string(limits::range_bytes, 'x'));
  ASSERT_TRUE(folder->stage_write(content.hash, 0, std::string(limits::range_bytes, 'x')));
  ASSERT_TRUE(folder->stage_finish(content.hash, content.size));
  reopen();
  EXPECT_EQ(put("a", content).outcome, Outcome::no_content) << "its bytes may have been lost with the power";
  EXPECT_EQ(folder->stage_progress(content.hash).have_bytes, content.size) << "but need not come again";
  ASSERT_TRUE(folder->stage_finish(content.hash, content.size));
  EXPECT_EQ(put("a", content).outcome, Outcome::applied);
}

TEST_P(FolderTest, WrongContentIsDropped) {
  const Hash128 hash = key.hash("right");
  ASSERT_TRUE(folder->stage_write(hash, 0, "wrong"));
  EXPECT_EQ(folder->stage_finish(hash, 5).error().code, Error::Code::invalid);
  EXPECT_EQ(folder->stage_progress(hash).have_bytes, 0u);
  world->write("a", "wrong");
  EXPECT_EQ(folder->stage_copy(hash, 5, "a").error().code, Error::Code::invalid);
  EXPECT_EQ(folder->stage_copy_version(hash).error().code, Error::Code::not_found);
  EXPECT_EQ(folder->stage_to_version(hash).error().code, Error::Code::not_found);
}

TEST_P(FolderTest, ContentComesOutOfVersionsAndDeltas) {
  std::string old(200'000, '\0');
  for (std::size_t i = 0; i < old.size(); ++i) old[i] = static_cast<char>(i * 7919 >> 5);
  const std::string changed = "x" + old;
  world->write("a", old);
  const Observation base = folder->observe("a", {});
  world->write("b", changed);
  const DiskState b = known("b");
  const auto delta =
      folder->make_delta("b", b.print, *base.signature, nullptr, base.disk.content.hash, b.content.hash, 1 << 20);
  ASSERT_TRUE(delta) << delta.error().message;
  EXPECT_LT(delta->size(), 20'000u);
  ASSERT_TRUE(folder->stage_delta(b.content.hash, changed.size(), "a", *delta));
  EXPECT_EQ(put("c", file(changed)).outcome, Outcome::applied);
  EXPECT_EQ(world->read("c"), changed);
  EXPECT_EQ(folder->stage_delta(b.content.hash, changed.size(), "b", *delta).error().code,
            Error::Code::invalid)
      << "from another base";
  ASSERT_TRUE(folder->stage_copy(b.content.hash, changed.size(), "c"));
  ASSERT_TRUE(folder->stage_to_version(b.content.hash));
  ASSERT_TRUE(folder->stage_copy_version(b.content.hash));
  EXPECT_EQ(put("d", file(changed)).outcome, Outcome::applied);
  EXPECT_EQ(world->read("d"), changed);
}

TEST_P(FolderTest, ReadGivesOnlyWhatIsExpected) {
  world->write("a", "0123456789");
  const DiskState a = known("a");
  EXPECT_EQ(*folder->read("a", a.print, 3, 4), "3456");
  EXPECT_EQ(*folder->read("a", a.print, 8, 4), "89");
  world->write("a", "abcdefghij");
  EXPECT_EQ(folder->read("a", a.print, 0, 4).error().code, Error::Code::busy);
}

TEST_P(FolderTest, CleaningKeepsWhatIsWanted) {
  const Hash128 wanted = key.hash("wanted"), other = key.hash("other");
  ASSERT_TRUE(folder->stage_write(wanted, 0, std::string(limits::range_bytes, 'x')));
  ASSERT_TRUE(folder->stage_write(other, 0, "y"));
  reopen();
  folder->clean_staging([&](const Hash128& hash) { return hash == wanted; });
  EXPECT_EQ(staging(), (std::vector<std::string>{to_hex(wanted) + ".part"}));
  folder->stage_drop(wanted);
}

TEST_P(FolderFaultTest, AFullDiskIsSaidAndLeavesNothing) {
  memory().space_left(3);
  EXPECT_EQ(put("a", "more than that").outcome, Outcome::full);
  EXPECT_EQ(folder->stage_write(key.hash("b"), 0, "more than that").error().code, Error::Code::full);
  folder->stage_drop(key.hash("b"));
  EXPECT_TRUE(world->paths().empty());
}

TEST_P(FolderFaultTest, DiskErrorsAreOneLine) {
  world->write("a", "x");
  const DiskState a = known("a");
  memory().io_error_on("a");
  EXPECT_EQ(folder->observe("a", a).state, State::failed);
  const ApplyResult failed = put("a", "new", a);
  EXPECT_EQ(failed.outcome, Outcome::failed);
  EXPECT_NE(failed.problem.find("'a'"), std::string::npos);
  EXPECT_EQ(failed.problem.find('\n'), std::string::npos);
}

TEST_P(FolderBlindTest, AWriterThatWasLateIsReported) {
  world->write("a", "old");
  const DiskState a = known("a");
  auto writer = world->open_writer("a");  // truncates
  writer->append("old");
  const auto stat = world->fs().stat("a");
  world->let_stamps_age();
  ASSERT_EQ(put("a", "new", {file("old", stat->mode, stat->print.mtime_ns), stat->print}).outcome,
            Outcome::applied);
  EXPECT_EQ(folder->limbo_size(), 1u);
  EXPECT_TRUE(folder->settle_limbo().empty()) << "not due yet";
  writer->append(" and more");
  writer->close();
  const auto late = folder->settle_limbo(true);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].path, "a");
  EXPECT_EQ(late[0].replaced, key.hash("old"));
  EXPECT_EQ(late[0].by, key.hash("new"));
  EXPECT_EQ(version(late[0].disk.content.hash), "old and more");
  EXPECT_TRUE(staging().empty());
}

}  // namespace
}  // namespace syncline::testing

// Ignored paths, and folders that only send or only receive, decided by replicas in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Farm = testing::ReplicaFarm;

// Of the paths held at a node: "path" or "path (changed here)".
std::vector<std::string> listed(Farm& farm, std::size_t n) {
  std::vector<std::string> out;
  for (const HeldView& v : farm.machines[n].replica->held(1, 100))
    out.push_back(v.path + (v.held == Held::unpublished ? " (changed here)" : ""));
  return out;
}

// A look at every path that is on the disk or in the index, the leaves first, as after a change of the rules.
void scan(Farm& farm, std::size_t n) {
  std::set<std::string, std::greater<>> paths;
  for (const std::string& path : farm.machines[n].disk->app_paths())
    if (!path.empty() && !path.starts_with(".syncline/") && path != ".syncline") paths.insert(path);
  for (const auto& [path, entry] : farm.machines[n].index->below(1, "", "", SIZE_MAX)) paths.insert(path);
  for (const std::string& path : paths) farm.observe(n, path);
  farm.feed(n, ScanFinished{1});
  farm.run();
}

void rule(Farm& farm, std::size_t n, const std::string& text) {
  farm.feed(n, IgnoreChanged{1, std::make_shared<IgnoreRules>(IgnoreRules::parse(text))});
  scan(farm, n);
  farm.advance(10);
  farm.advance(10);
  farm.advance(10);
}

void make(Farm& farm, std::size_t n, const std::string& directory) {
  farm.machines[n].disk->app_make_directory(directory);
  farm.observe(n, directory);
}
void upload(Farm& farm, std::size_t n, const std::string& path, const std::string& bytes) {
  farm.upload(n, path, bytes);
  farm.run();
  farm.advance(100);
}
void remove(Farm& farm, std::size_t n, const std::string& path) {
  farm.machines[n].disk->app_remove(path);
  farm.observe(n, path);
  farm.run();
  farm.advance(100);
}
std::uint64_t pending(Farm& farm, std::size_t n) { return farm.machines[n].index->counts(1).pending; }

void start(Farm& farm) {
  for (std::size_t n = 0; n < farm.machines.size(); ++n) farm.feed(n, ScanFinished{1});
  farm.link_all();
}

class IgnoreTest : public ::testing::Test {
 protected:
  IgnoreTest() { start(farm_); }
  Farm farm_{3, true};
};

TEST_F(IgnoreTest, what_others_write_is_recorded_but_neither_made_nor_removed) {
  for (const std::size_t n : {0u, 1u}) rule(farm_, n, "*.tmp\n");
  upload(farm_, 2, "a.tmp", "theirs");
  upload(farm_, 2, "a.jpg", "picture");
  EXPECT_EQ(farm_.shown(0, "a.tmp"), "(nothing)");
  EXPECT_EQ(farm_.shown(1, "a.jpg"), "picture");
  ASSERT_TRUE(farm_.machines[0].index->get(1, "a.tmp"));
  EXPECT_EQ(farm_.machines[0].index->get(1, "a.tmp")->live->content.size, 6u);
  EXPECT_EQ(pending(farm_, 0), 0u);
  EXPECT_EQ(farm_.machines[0].replica->problems().size(), 0u);

  upload(farm_, 0, "a.tmp", "mine");
  upload(farm_, 0, "b.tmp", "mine");
  EXPECT_EQ(farm_.shown(2, "a.tmp"), "theirs");
  EXPECT_EQ(farm_.shown(2, "b.tmp"), "(nothing)");
  remove(farm_, 2, "a.tmp");
  EXPECT_EQ(farm_.shown(0, "a.tmp"), "mine");
}

TEST_F(IgnoreTest, what_is_ignored_from_now_on_stays_everywhere) {
  make(farm_, 0, "cache");
  upload(farm_, 0, "cache/x", "bytes");
  upload(farm_, 0, "y", "bytes");
  for (const std::size_t n : {0u, 1u, 2u}) rule(farm_, n, "cache/\n");
  EXPECT_EQ(farm_.shown(1, "cache/x"), "bytes");
  farm_.machines[0].disk->app_write("cache/x", "changed");
  farm_.observe(0, "cache/x");
  farm_.machines[1].disk->app_remove("cache/x");
  scan(farm_, 1);
  farm_.advance(1000);
  EXPECT_EQ(farm_.shown(0, "cache/x"), "changed");
  EXPECT_EQ(farm_.shown(1, "cache/x"), "(nothing)");
  EXPECT_EQ(farm_.shown(2, "cache/x"), "bytes");
  for (const std::size_t n : {0u, 1u, 2u}) {
    EXPECT_EQ(farm_.machines[n].index->get(1, "cache/x")->live->content.kind, Kind::file) << n;
    EXPECT_EQ(pending(farm_, n), 0u) << n;
  }
}

// Nobody looked while it was ignored: what is gone by then was not deleted, what was changed is a change.
TEST_F(IgnoreTest, what_is_ignored_no_more_is_synced_again_and_nothing_is_deleted) {
  for (const char* path : {"gone", "changed", "same", "theirs"}) upload(farm_, 0, path, "first");
  rule(farm_, 1, "gone\nchanged\nsame\ntheirs\n");
  farm_.machines[1].disk->app_remove("gone");
  farm_.now_ms += 5000;
  farm_.machines[1].disk->app_write("changed", "second");
  upload(farm_, 0, "theirs", "third");
  EXPECT_EQ(farm_.shown(1, "theirs"), "first");
  rule(farm_, 1, "");
  farm_.advance(5000);
  for (const std::size_t n : {0u, 1u, 2u}) {
    EXPECT_EQ(farm_.shown(n, "gone"), "first") << n;
    EXPECT_EQ(farm_.shown(n, "changed"), "second") << n;
    EXPECT_EQ(farm_.shown(n, "same"), "first") << n;
    EXPECT_EQ(farm_.shown(n, "theirs"), "third") << n;
    EXPECT_EQ(farm_.machines[n].index->counts(1).open_conflicts, 0u) << n;
  }
}

TEST_F(IgnoreTest, a_directory_deleted_elsewhere_stays_while_something_ignored_is_in_it) {
  for (const std::size_t n : {0u, 1u, 2u}) rule(farm_, n, "*.tmp\n");
  make(farm_, 0, "d");
  upload(farm_, 0, "d/a.jpg", "picture");
  upload(farm_, 1, "d/b.tmp", "scratch");
  farm_.machines[0].disk->app_remove("d/a.jpg");
  farm_.observe(0, "d/a.jpg");
  remove(farm_, 0, "d");
  for (int i = 0; i < 40; ++i) farm_.advance(500);
  EXPECT_EQ(farm_.shown(2, "d/a.jpg"), "(nothing)");
  EXPECT_FALSE(farm_.machines[2].disk->stat("d"));
  EXPECT_EQ(farm_.shown(1, "d/a.jpg"), "(nothing)");
  EXPECT_EQ(farm_.shown(1, "d/b.tmp"), "scratch");
  EXPECT_EQ(pending(farm_, 1), 0u);
  EXPECT_EQ(farm_.machines[1].replica->problems().size(), 0u);

  farm_.machines[1].disk->app_remove("d/b.tmp");
  farm_.observe(1, "d");
  farm_.run();
  farm_.advance(1000);
  EXPECT_FALSE(farm_.machines[1].disk->stat("d"));
}

TEST_F(IgnoreTest, a_removed_directory_takes_its_ignored_entries_with_it_here_only) {
  make(farm_, 0, "d");
  upload(farm_, 0, "d/a.tmp", "scratch");
  for (const std::size_t n : {0u, 1u, 2u}) rule(farm_, n, "*.tmp\n");
  farm_.machines[0].disk->app_remove("d/a.tmp");
  remove(farm_, 0, "d");
  for (int i = 0; i < 40; ++i) farm_.advance(500);
  EXPECT_EQ(farm_.shown(1, "d/a.tmp"), "scratch");
  EXPECT_EQ(farm_.machines[0].index->get(1, "d/a.tmp")->live->content.kind, Kind::file);
}

TEST_F(IgnoreTest, nobody_waits_for_a_node_that_ignores_the_path) {
  rule(farm_, 1, "*.tmp\n");
  upload(farm_, 0, "a.tmp", "bytes");
  const auto id = farm_.machines[0].replica->start_wait(1, "a.tmp", {}, farm_.now());
  ASSERT_TRUE(id);
  farm_.feed(0, Tick{});
  farm_.run();
  const WaitView view = farm_.machines[0].replica->wait_state(*id);
  EXPECT_TRUE(view.over && view.done);
  EXPECT_THAT(view.absent, ElementsAre(Farm::node(1)));
  const auto ignored = farm_.machines[1].replica->start_wait(1, "a.tmp", {}, farm_.now());
  ASSERT_FALSE(ignored);
  EXPECT_THAT(ignored.error().message, HasSubstr("ignored by .synclineignore"));
}

TEST_F(IgnoreTest, a_reader_of_an_ignored_path_is_told_so_at_once) {
  rule(farm_, 1, "*.tmp\n");
  upload(farm_, 0, "a.tmp", "bytes");
  const auto find = farm_.find(1, "a.tmp");
  EXPECT_EQ(farm_.state(1, find), FindView::State::nowhere);
  farm_.machines[1].disk->app_write("b.tmp", "bytes");
  const auto other = farm_.find(0, "b.tmp");
  farm_.run();
  EXPECT_EQ(farm_.state(0, other), FindView::State::nowhere);
}

TEST_F(IgnoreTest, a_malformed_rule_is_a_problem_and_the_rest_holds) {
  rule(farm_, 0, "[a\n*.tmp\n");
  ASSERT_EQ(farm_.machines[0].replica->problems().size(), 1u);
  EXPECT_EQ(farm_.machines[0].replica->problems()[0].path, ".synclineignore");
  EXPECT_THAT(farm_.machines[0].replica->problems()[0].text, HasSubstr("line 1"));
  upload(farm_, 1, "a.tmp", "bytes");
  EXPECT_EQ(farm_.shown(0, "a.tmp"), "(nothing)");
}

class ReceiveOnly : public ::testing::Test {
 protected:
  ReceiveOnly() { start(farm_); }
  Farm farm_{2, true, {{1, FolderMode::receive_only}}};
};

TEST_F(ReceiveOnly, changes_here_are_listed_and_never_published) {
  for (const char* path : {"changed", "removed", "kept"}) upload(farm_, 0, path, "first");
  upload(farm_, 1, "changed", "mine");
  upload(farm_, 1, "new", "mine");
  make(farm_, 1, "dir");
  remove(farm_, 1, "removed");
  EXPECT_EQ(farm_.shown(0, "changed"), "first");
  EXPECT_EQ(farm_.shown(0, "new"), "(nothing)");
  EXPECT_EQ(farm_.shown(0, "removed"), "first");
  EXPECT_THAT(listed(farm_, 1), ElementsAre("changed (changed here)", "dir (changed here)", "new (changed here)",
                                            "removed (changed here)"));
  EXPECT_EQ(farm_.machines[1].index->counts(1).unpublished, 4u);
  EXPECT_EQ(pending(farm_, 1), 0u);
  EXPECT_EQ(farm_.machines[0].index->vector().get(ActorId::from(Bytes(16, '\x02'))), 0u) << "it has written nothing at all";
}

TEST_F(ReceiveOnly, a_change_here_is_not_overwritten_from_elsewhere) {
  upload(farm_, 0, "a", "first");
  upload(farm_, 1, "a", "mine");
  upload(farm_, 0, "a", "second");
  EXPECT_EQ(farm_.shown(1, "a"), "mine");
  upload(farm_, 0, "a", "mine");  // by chance the same
  farm_.advance(5000);
  EXPECT_THAT(listed(farm_, 1), IsEmpty());
  upload(farm_, 0, "a", "third");
  EXPECT_EQ(farm_.shown(1, "a"), "third");
}

TEST_F(ReceiveOnly, a_change_that_is_undone_by_hand_is_none) {
  upload(farm_, 0, "a", "first");
  upload(farm_, 1, "a", "mine");
  upload(farm_, 1, "b", "mine");
  remove(farm_, 1, "b");
  upload(farm_, 1, "a", "first");
  farm_.advance(5000);
  EXPECT_THAT(listed(farm_, 1), IsEmpty());
  EXPECT_FALSE(farm_.machines[1].index->get(1, "b"));
}

TEST_F(ReceiveOnly, revert_gives_back_what_the_others_have) {
  for (const char* path : {"changed", "removed"}) upload(farm_, 0, path, "first");
  upload(farm_, 1, "changed", "mine");
  remove(farm_, 1, "removed");
  make(farm_, 1, "dir");
  upload(farm_, 1, "dir/new", "mine");
  upload(farm_, 0, "changed", "second");
  const auto none = farm_.machines[1].replica->revert(1, "no/such", farm_.now());
  EXPECT_FALSE(none);
  const auto one = farm_.machines[1].replica->revert(1, "dir", farm_.now());
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, 2u);
  farm_.feed(1, Tick{});
  for (int i = 0; i < 10; ++i) farm_.advance(500);
  EXPECT_FALSE(farm_.machines[1].disk->stat("dir"));
  EXPECT_THAT(listed(farm_, 1), ElementsAre("changed (changed here)", "removed (changed here)"));
  ASSERT_TRUE(farm_.machines[1].replica->revert(1, "", farm_.now()));
  farm_.feed(1, Tick{});
  for (int i = 0; i < 10; ++i) farm_.advance(500);
  EXPECT_EQ(farm_.shown(1, "changed"), "second");
  EXPECT_EQ(farm_.shown(1, "removed"), "first");
  EXPECT_THAT(listed(farm_, 1), IsEmpty());
  EXPECT_EQ(farm_.machines[1].index->counts(1), farm_.machines[0].index->counts(1));
  EXPECT_EQ(farm_.machines[1].replica->problems().size(), 0u);
}

class SendOnly : public ::testing::Test {
 protected:
  SendOnly() { start(farm_); }
  Farm farm_{2, true, {{1, FolderMode::send_only}}};
};

TEST_F(SendOnly, what_others_write_is_listed_and_not_taken_over) {
  upload(farm_, 1, "a", "mine");
  upload(farm_, 1, "b", "mine");
  EXPECT_EQ(farm_.shown(0, "a"), "mine");
  upload(farm_, 0, "a", "theirs");
  upload(farm_, 0, "new", "theirs");
  remove(farm_, 0, "b");
  EXPECT_EQ(farm_.shown(1, "a"), "mine");
  EXPECT_EQ(farm_.shown(1, "b"), "mine");
  EXPECT_EQ(farm_.shown(1, "new"), "(nothing)");
  EXPECT_THAT(listed(farm_, 1), ElementsAre("a", "b", "new"));
  EXPECT_EQ(pending(farm_, 1), 0u);
  // It has not seen theirs: that is a conflict, and its own write is the later one.
  upload(farm_, 1, "a", "mine again");
  EXPECT_EQ(farm_.shown(0, "a"), "mine again");
  EXPECT_THAT(listed(farm_, 1), ElementsAre("b", "new"));
  EXPECT_EQ(farm_.machines[0].index->counts(1).open_conflicts, 1u);
}

TEST_F(SendOnly, nobody_waits_for_it) {
  upload(farm_, 0, "a", "theirs");
  const auto id = farm_.machines[0].replica->start_wait(1, "a", {}, farm_.now());
  ASSERT_TRUE(id);
  farm_.feed(0, Tick{});
  farm_.run();
  EXPECT_TRUE(farm_.machines[0].replica->wait_state(*id).done);
}

}  // namespace
}  // namespace syncline

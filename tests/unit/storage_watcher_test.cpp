#include "storage/watcher.h"

#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include <cerrno>
#include <fstream>
#include <thread>

#include "storage_watcher_support.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using EventKind = WatchEvent::Kind;

TEST(Watcher, WhatIsThereAtTheStartIsLeftToTheFirstScan) {
  WatchedFolder folder;
  folder.make("a/b");
  folder.write("a/b/file");
  folder.open();
  ASSERT_EQ(folder.events.size(), 1u);
  EXPECT_EQ(folder.events[0].kind, EventKind::rescan);
  EXPECT_EQ(folder.events[0].path, "");
  EXPECT_EQ(folder.watcher->health().directories, 3u);
  EXPECT_EQ(folder.watcher->health().problem, "");
  folder.expect_all_watched();
}

TEST(Watcher, AFileIsSeenFromCreationToDeletion) {
  WatchedFolder folder;
  folder.make("d");
  folder.open();
  folder.write("d/file");
  fs::permissions(folder.path("d/file"), fs::perms::owner_read);
  fs::create_hard_link(folder.path("d/file"), folder.path("d/link"));
  fs::create_symlink("file", folder.path("d/symlink"));
  fs::remove(folder.path("d/file"));
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::created, "d/file"));
  EXPECT_TRUE(folder.has(EventKind::closed_write, "d/file"));
  EXPECT_TRUE(folder.has(EventKind::attributes, "d/file"));
  EXPECT_TRUE(folder.has(EventKind::created, "d/link"));
  EXPECT_TRUE(folder.has(EventKind::created, "d/symlink"));
  EXPECT_TRUE(folder.has(EventKind::vanished, "d/file"));
}

TEST(Watcher, TheRootsOwnAttributesAreSeen) {
  WatchedFolder folder;
  folder.open();
  fs::permissions(folder.path(""), fs::perms(0750));
  folder.pump();
  const WatchEvent* changed = folder.find(EventKind::attributes, "");
  ASSERT_NE(changed, nullptr);
  EXPECT_TRUE(changed->directory);
}

TEST(Watcher, ARenameIsOneEventWithBothNames) {
  WatchedFolder folder;
  folder.make("d");
  folder.write("a");
  folder.open();
  folder.rename("a", "d/b");
  folder.pump();
  const WatchEvent* moved = folder.find(EventKind::moved, "d/b");
  ASSERT_NE(moved, nullptr);
  EXPECT_EQ(moved->from, "a");
  EXPECT_FALSE(moved->directory);
  EXPECT_FALSE(folder.has(EventKind::vanished, "a"));
}

TEST(Watcher, AFileMovedInOrOutArrivesOrVanishes) {
  WatchedFolder folder;
  WatchedFolder::write_at(folder.outside("in"));
  folder.write("out");
  folder.open();
  fs::rename(folder.outside("in"), folder.path("in"));
  fs::rename(folder.path("out"), folder.outside("out"));
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::arrived, "in"));
  EXPECT_TRUE(folder.has(EventKind::vanished, "out"));
}

TEST(Watcher, NamesAreBytes) {
  WatchedFolder folder;
  folder.open();
  const std::string name = "line\nbreak \xff\xfe \x01";
  folder.make(name);
  folder.write(name + "/" + name);
  folder.pump();
  EXPECT_TRUE(folder.mentions(name + "/" + name));
  folder.expect_all_watched();
}

TEST(Watcher, ARenamedDirectoryTakesItsWatchesAlong) {
  WatchedFolder folder;
  folder.make("old/deep/er");
  folder.make("other");
  folder.open();
  folder.rename("old", "other/new");
  folder.pump();
  const WatchEvent* moved = folder.find(EventKind::moved, "other/new");
  ASSERT_NE(moved, nullptr);
  EXPECT_EQ(moved->from, "old");
  EXPECT_TRUE(moved->directory && moved->subtree);
  EXPECT_EQ(folder.count(EventKind::arrived), 0u) << "nothing was listed again";
  folder.expect_all_watched();
}

TEST(Watcher, ADirectoryMovedOutIsNotWatchedAnyMore) {
  WatchedFolder folder;
  folder.make("gone/deep");
  folder.open();
  fs::rename(folder.path("gone"), folder.outside("gone"));
  folder.pump();
  const WatchEvent* vanished = folder.find(EventKind::vanished, "gone");
  ASSERT_NE(vanished, nullptr);
  EXPECT_TRUE(vanished->directory && vanished->subtree);
  EXPECT_EQ(folder.watcher->health().directories, 1u);
  folder.events.clear();
  WatchedFolder::write_at(folder.outside("gone/deep/file"));
  folder.pump();
  EXPECT_TRUE(folder.events.empty());
}

TEST(Watcher, EverythingInADirectoryMovedInArrives) {
  WatchedFolder folder;
  fs::create_directories(folder.outside("in/a/b"));
  for (const char* file : {"in/1", "in/a/2", "in/a/b/3"}) WatchedFolder::write_at(folder.outside(file));
  folder.open();
  fs::rename(folder.outside("in"), folder.path("in"));
  folder.pump();
  for (const char* path : {"in", "in/1", "in/a", "in/a/2", "in/a/b", "in/a/b/3"}) {
    EXPECT_TRUE(folder.has(EventKind::arrived, path)) << path;
  }
  folder.expect_all_watched();
}

TEST(Watcher, ExchangedDirectoriesAreWatchedUnderTheirNewNames) {
  WatchedFolder folder;
  folder.make("a/in_a/x");
  folder.make("b/in_b");
  folder.open();
  ASSERT_EQ(syscall(SYS_renameat2, AT_FDCWD, folder.path("a").c_str(), AT_FDCWD, folder.path("b").c_str(),
                    RENAME_EXCHANGE),
            0);
  folder.pump();
  EXPECT_TRUE(folder.mentions("a/in_b") && folder.mentions("b/in_a/x"));
  folder.expect_all_watched();
}

TEST(Watcher, ADirectoryFoundByAListingBeforeItsRenameWasReadIsFollowed) {
  WatchedFolder folder;
  folder.make("x/s/deep");
  folder.open();
  folder.budget = 1;  // "d was created" is read, and d is listed, before "s left x" is read
  folder.make("d");
  folder.rename("x/s", "d/s");
  folder.pump();
  const WatchEvent* moved = folder.find(EventKind::moved, "d/s");
  ASSERT_NE(moved, nullptr);
  EXPECT_EQ(moved->from, "x/s");
  EXPECT_TRUE(moved->subtree);
  folder.expect_all_watched();
}

TEST(Watcher, DeletedDirectoriesAreForgotten) {
  WatchedFolder folder;
  folder.make("a/b/c");
  folder.write("a/b/c/file");
  folder.open();
  fs::remove_all(folder.path("a"));
  folder.pump();
  for (const char* path : {"a", "a/b", "a/b/c", "a/b/c/file"}) {
    EXPECT_TRUE(folder.has(EventKind::vanished, path)) << path;
  }
  EXPECT_EQ(folder.watcher->health().directories, 1u);
}

TEST(Watcher, SymlinksAreNotFollowedAndTheNodesOwnDirectoryIsNotSeen) {
  WatchedFolder folder;
  fs::create_directory(folder.outside("elsewhere"));
  folder.open();
  fs::create_directory_symlink(folder.outside("elsewhere"), folder.path("symlink"));
  folder.write(".syncline/staged");
  WatchedFolder::write_at(folder.outside("elsewhere/file"));
  folder.pump();
  ASSERT_EQ(folder.events.size(), 2u);  // the first rescan, and
  EXPECT_TRUE(folder.has(EventKind::created, "symlink"));
  EXPECT_EQ(folder.watcher->health().directories, 1u);
  fs::rename(folder.path(".syncline/staged"), folder.path("applied"));
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::arrived, "applied"));
}

TEST(Watcher, EveryFileOfATreeMadeInAHurryIsMentioned) {
  WatchedFolder folder;
  folder.open();
  std::vector<std::string> files;
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) {
      std::string directory = "t" + std::to_string(i % 7);
      for (int depth = 0; depth < 6; ++depth) directory += "/" + std::to_string((i >> depth) % 5);
      folder.make(directory);
      files.push_back(directory + "/f" + std::to_string(i));
      folder.write(files.back());
    }
  });
  EXPECT_TRUE(folder.pump_until([&] { return folder.events.size() > 100; }));
  writer.join();
  folder.pump();
  folder.events.erase(folder.events.begin());  // the first rescan, which mentions everything
  for (const std::string& file : files) EXPECT_TRUE(folder.mentions(file)) << file;
  folder.expect_all_watched();
}

std::size_t queue_limit() {
  std::size_t limit = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
  return limit;
}

TEST(Watcher, AQueueThatOverflowedLeadsToARescanAndToCompleteWatches) {
  if (queue_limit() == 0 || queue_limit() > 40'000) GTEST_SKIP() << "too many events to fill the queue with";
  WatchedFolder folder;
  folder.make("stays/too");
  folder.make("goes/too");
  folder.open();
  folder.events.clear();
  folder.write("stays/0");
  folder.write("stays/1");  // in turns: the kernel merges an event that equals the last one
  for (std::size_t i = 0; i <= queue_limit(); ++i) {
    fs::permissions(folder.path("stays/" + std::to_string(i % 2)), fs::perms(0600));
  }
  folder.make("unheard/of");
  folder.write("unheard/of/file");
  fs::rename(folder.path("goes"), folder.path("stays/went"));
  ASSERT_TRUE(
      folder.pump_until([&] { return folder.count(EventKind::rescan) > 0 && folder.watcher->settled(); }));
  EXPECT_NE(folder.find(EventKind::rescan, "")->reason.find("max_queued_events"), std::string::npos);
  EXPECT_TRUE(folder.has(EventKind::arrived, "unheard/of/file")) << "a directory that is new is listed";
  folder.expect_all_watched();
}

// The kernel as it is when fs.inotify.max_user_watches is `limit`, or a directory may not be read.
class LimitedInotify final : public InotifyCalls {
 public:
  explicit LimitedInotify(std::size_t& limit, int error = ENOSPC) : limit_(limit), error_(error) {}
  int fd() const override { return real_->fd(); }
  int add(int directory_fd, bool is_root) override {
    const int watch = real_->add(directory_fd, is_root);
    if (watch < 0 || watches_.contains(watch)) return watch;
    if (watches_.size() < limit_) return watches_[watch] = watch;
    real_->remove(watch);
    return -error_;
  }
  void remove(int watch) override { watches_.erase(watch), real_->remove(watch); }
  int read(std::span<char> into) override { return real_->read(into); }

 private:
  std::unique_ptr<InotifyCalls> real_ = *make_inotify();
  std::size_t& limit_;
  int error_;
  std::map<int, int> watches_;
};

TEST(Watcher, TooFewWatchesAreSaidAndHealedOnceThereAreMore) {
  WatchedFolder folder;
  folder.make("a/b/c");
  std::size_t limit = 2;
  folder.open(std::make_unique<LimitedInotify>(limit));
  ASSERT_TRUE(folder.has(EventKind::rescan, ""));
  EXPECT_NE(folder.find(EventKind::rescan, "")->reason.find("max_user_watches"), std::string::npos);
  EXPECT_EQ(folder.watcher->health().unwatched, 1u);
  EXPECT_NE(folder.watcher->health().problem.find("max_user_watches"), std::string::npos);

  folder.make("late");
  folder.write("late/file");
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::rescan, "late")) << "its content must be found by a scan";

  limit = 100;
  folder.watcher->refresh();
  ASSERT_TRUE(folder.pump_until([&] { return folder.watcher->settled(); }));
  EXPECT_TRUE(folder.has(EventKind::arrived, "late/file"));
  EXPECT_EQ(folder.watcher->health().unwatched, 0u);
  EXPECT_EQ(folder.watcher->health().problem, "");
  folder.expect_all_watched();
}

TEST(Watcher, ADirectoryIsTriedAgainWhenItsPermissionsChange) {
  WatchedFolder folder;
  std::size_t limit = 1;
  folder.open(std::make_unique<LimitedInotify>(limit, EACCES));
  folder.make("locked");
  folder.write("locked/file");
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::rescan, "locked"));
  EXPECT_EQ(folder.watcher->health().unwatched, 1u);
  limit = 2;
  fs::permissions(folder.path("locked"), fs::perms(0700));
  folder.pump();
  EXPECT_TRUE(folder.has(EventKind::arrived, "locked/file"));
  EXPECT_EQ(folder.watcher->health().unwatched, 0u);
  folder.expect_all_watched();
}

TEST(Watcher, NotEvenOneWatchIsAnError) {
  std::size_t limit = 0;
  WatchedFolder folder;
  const auto opened = open_watcher_with(folder.path(""), std::make_unique<LimitedInotify>(limit));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Error::Code::full);
  EXPECT_EQ(open_watcher(folder.outside("nothing")).error().code, Error::Code::not_found);
}

TEST(Watcher, ALostRootIsSaid) {
  WatchedFolder deleted;
  deleted.make("a");
  deleted.open();
  fs::remove_all(deleted.path(""));
  EXPECT_TRUE(deleted.pump_until([&] { return deleted.has(EventKind::root_lost, ""); }));

  WatchedFolder renamed;
  renamed.open();
  fs::rename(renamed.outside("folder"), renamed.outside("elsewhere"));
  EXPECT_TRUE(renamed.pump_until([&] { return renamed.has(EventKind::root_lost, ""); }));

  WatchedFolder unmarked;
  unmarked.open();
  fs::remove_all(unmarked.path(".syncline"));
  EXPECT_TRUE(unmarked.pump_until([&] { return unmarked.has(EventKind::root_lost, ""); }));
}

}  // namespace
}  // namespace syncline

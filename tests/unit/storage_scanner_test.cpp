#include "storage/scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "protocol/limits.h"
#include "storage/file_system_memory.h"

namespace syncline {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using State = ScanSlice::State;

constexpr FolderId kFolder = 1;

// A disk on which some directories cannot be listed.
class Disk : public MemoryFileSystem {
 public:
  explicit Disk(std::int64_t& now_ns) : MemoryFileSystem([&now_ns] { return now_ns += 1'000'000; }) {}
  Result<std::vector<DirectoryItem>> list(std::string_view directory) override {
    if (locked.contains(std::string(directory)))
      return fail(Error::Code::io, "cannot list: Permission denied");
    return MemoryFileSystem::list(directory);
  }
  std::set<std::string> locked;
};

struct Found {
  std::vector<std::string> changed, absent;  // in the order given out
  std::vector<Look> looks;
  std::vector<ScanProblem> problems;
  State state = State::more;
  std::string reason;
  ScanTotals totals;
};

// A disk and what an index knows of it.
class World {
 public:
  World() {
    fs.app_make_directory(".syncline");
    fs.app_write(".syncline/folder", "marker");
  }

  void write(const std::string& path) {
    for (std::size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1))
      make(path.substr(0, at));
    fs.app_write(path, "content");
  }
  void make(const std::string& directory) {
    if (!fs.stat(directory)) fs.app_make_directory(directory);
  }
  // The index takes note of what is at `path`.
  void learn(const std::string& path) {
    const auto stat = fs.stat(path);
    ASSERT_TRUE(stat) << path;
    OnDisk disk;
    disk.state.print = stat->print;
    Content& content = disk.state.content;
    content.kind = stat->type == FileType::directory ? Kind::directory
                   : stat->type == FileType::symlink ? Kind::symlink
                                                     : Kind::file;
    if (content.kind != Kind::symlink) content.mode = stat->mode;
    content.mtime_ns = stat->print.mtime_ns;
    put(path, disk);
  }
  void learn_all() {
    for (const std::string& path : paths()) learn(path);
  }
  void put(const std::string& path, std::optional<OnDisk> disk) {
    Record live;
    live.folder = kFolder;
    live.path = path;
    live.content.kind = Kind::file;
    if (disk) live.content = disk->state.content;
    live.dot = {actor_, ++seq_};
    live.hlc = Hlc{seq_};
    if (disk) disk->dot = live.dot;
    index->put(kFolder, path, {live, std::move(disk)});
    ASSERT_TRUE(index->commit());
  }
  std::vector<std::string> paths() {
    std::vector<std::string> out = fs.app_paths();
    std::erase_if(out, [](const std::string& path) { return path.empty() || path.starts_with(".syncline"); });
    return out;
  }

  ScanOptions options() {
    ScanOptions out;
    out.folder = kFolder;
    out.check_marker = [this]() -> Status {
      ++marker_checks;
      if (!marker_ok) return fail(Error::Code::refused, "no marker");
      return {};
    };
    return out;
  }
  Found scan(ScanOptions with, std::size_t budget = 7) {
    const IndexReader reader(*kv);
    Scanner scanner(fs, reader, std::move(with));
    Found out;
    while (out.state == State::more) {
      ScanSlice slice = scanner.step(budget);
      EXPECT_LE(slice.looks.size(), budget);
      out.state = slice.state;
      out.reason = slice.reason;
      for (Look& look : slice.looks) {
        (fs.stat(look.path) ? out.changed : out.absent).push_back(look.path);
        out.looks.push_back(std::move(look));
      }
      out.problems.insert(out.problems.end(), slice.problems.begin(), slice.problems.end());
    }
    out.totals = scanner.totals();
    return out;
  }
  Found scan() { return scan(options()); }

  std::int64_t now_ns = 1'700'000'000'000'000'000;
  Disk fs{now_ns};
  std::unique_ptr<MemoryKv> kv = make_memory_kv();
  std::unique_ptr<Index> index = *Index::open(*kv);
  bool marker_ok = true;
  int marker_checks = 0;

 private:
  ActorId actor_ = ActorId::from("0123456789abcdef");
  std::uint64_t seq_ = 0;
};

TEST(Scanner, WhatIsEqualCostsOneStatAndOneListingPerDirectory) {
  World world;
  for (const char* file : {"a/b/1", "a/b/2", "a.txt", "c/3"}) world.write(file);
  world.fs.app_symlink("link", "a");
  world.learn_all();
  world.fs.log_accesses(true);
  const Found found = world.scan();
  std::vector<std::string> log = world.fs.take_log();
  EXPECT_EQ(found.state, State::done);
  EXPECT_THAT(found.looks, IsEmpty());
  EXPECT_EQ(found.totals.entries, 8u);
  EXPECT_THAT(
      log, UnorderedElementsAre("list ", "list a", "list a/b", "list c", "stat a", "stat a.txt", "stat a/b",
                                "stat a/b/1", "stat a/b/2", "stat c", "stat c/3", "stat link"));
  EXPECT_EQ(world.marker_checks, 0);
}

TEST(Scanner, DifferencesAreFound) {
  World world;
  for (const char* file : {"same", "written", "chmodded", "racy", "retyped", "gone/1", "gone/2"})
    world.write(file);
  world.make("dir");
  world.make("dir2");
  world.fs.app_symlink("link", "same");
  world.learn_all();
  world.fs.app_write("written", "other bytes");
  world.fs.app_chmod("chmodded", 0600);
  world.fs.app_chmod("dir", 0700);
  world.fs.app_set_mtime("dir2", 5);
  world.fs.app_remove("link");
  world.fs.app_symlink("link", "written");
  world.fs.app_remove("retyped");
  world.make("retyped");
  world.write("new/file");
  for (const char* path : {"gone/1", "gone/2", "gone"}) world.fs.app_remove(path);
  OnDisk racy = *world.index->get(kFolder, "racy")->disk;
  racy.state.print.ctime_ns = 0;
  world.put("racy", racy);
  const Found found = world.scan();
  EXPECT_EQ(found.state, State::done);
  EXPECT_THAT(found.changed, ElementsAre("chmodded", "dir", "dir2", "link", "new", "new/file", "racy",
                                         "retyped", "written"));
  EXPECT_THAT(found.absent, ElementsAre("gone/2", "gone/1", "gone")) << "children first";
  EXPECT_EQ(found.totals.absent, 3u);
}

TEST(Scanner, IgnoredPathsAreNeitherEnteredNorMissed) {
  World world;
  for (const char* file : {"cache/a", "cache/b/c", "d/x.tmp", "d/x.jpg", "gone.tmp", "gone.jpg"}) world.write(file);
  world.learn_all();
  for (const char* path : {"cache/a", "gone.tmp", "gone.jpg"}) world.fs.app_remove(path);
  for (const char* path : {"cache/new", "d/new.tmp", "d/new.jpg"}) world.write(path);
  world.fs.log_accesses(true);
  ScanOptions with = world.options();
  with.ignore = std::make_shared<IgnoreRules>(IgnoreRules::parse("/cache/\n*.tmp\n"));
  const Found found = world.scan(with);
  EXPECT_THAT(found.changed, ElementsAre("d", "d/new.jpg"));
  EXPECT_THAT(found.absent, ElementsAre("gone.jpg"));
  EXPECT_EQ(std::ranges::count(world.fs.take_log(), "list cache"), 0);
  with.subtree = "cache/b";
  EXPECT_THAT(world.scan(with).looks, IsEmpty());
}

TEST(Scanner, ADirectorysChangeTimeAndSizeAreNobodysBusiness) {
  World world;
  world.write("d/1");
  const std::int64_t mtime = world.fs.stat("d")->print.mtime_ns;
  world.learn_all();
  world.write("d/2");
  world.learn("d/2");
  world.fs.app_set_mtime("d", mtime);
  EXPECT_THAT(world.scan().looks, IsEmpty());
}

TEST(Scanner, MissingPathsComeAfterAllNewOnes) {
  World world;
  for (const char* file : {"a", "m", "z"}) world.write(file);
  world.learn_all();
  world.fs.app_rename("a", "x");
  world.fs.app_rename("z", "b");
  std::vector<std::string> order;
  for (const Look& look : world.scan().looks) order.push_back(look.path);
  EXPECT_THAT(order, ElementsAre("b", "x", "z", "a"));
}

TEST(Scanner, TombstonesAndWhatIsStillToComeAreNotMissing) {
  World world;
  world.write("here");
  world.learn_all();
  world.put("never", std::nullopt);
  world.put("deleted", OnDisk{});
  OnDisk root;
  root.state.content.kind = Kind::directory;
  world.put(std::string(kRootPath), root);
  EXPECT_THAT(world.scan().looks, IsEmpty());
}

TEST(Scanner, NothingIsConcludedOfWhatCannotBeRead) {
  World world;
  for (const char* file : {"locked/deep/1", "locked/2", "locked.txt", "broken/3", "gone"}) world.write(file);
  world.learn_all();
  for (const char* path : {"locked/deep/1", "locked/deep", "locked/2", "locked.txt", "gone"})
    world.fs.app_remove(path);
  world.fs.locked.insert("locked");
  world.fs.io_error_on("broken");
  const Found found = world.scan();
  EXPECT_EQ(found.state, State::done);
  EXPECT_THAT(found.absent, ElementsAre("locked.txt", "gone"));
  ASSERT_EQ(found.problems.size(), 2u);
  EXPECT_EQ(found.problems[0].path, "broken");
  EXPECT_EQ(found.problems[1].path, "locked");
  EXPECT_NE(found.problems[1].reason.find("Permission denied"), std::string::npos);

  world.fs.locked = {""};
  EXPECT_EQ(world.scan().state, State::refused) << "not even the root";
}

TEST(Scanner, AnEmptiedRootIsNotBelieved) {
  World world;
  world.write("d/file");
  world.learn_all();
  world.fs.app_remove("d/file");
  world.fs.app_remove("d");
  const Found refused = world.scan();
  EXPECT_EQ(refused.state, State::emptied);
  EXPECT_THAT(refused.looks, IsEmpty());
  EXPECT_NE(refused.reason, "");

  ScanOptions options = world.options();
  options.accept_deletions = true;
  EXPECT_THAT(world.scan(options).absent, ElementsAre("d/file", "d"));

  world.marker_ok = false;
  EXPECT_EQ(world.scan(options).state, State::refused) << "the marker comes first";
}

TEST(Scanner, AMassDeleteIsNotBelieved) {
  World world;
  for (int i = 0; i < 250; ++i) world.write("f" + std::to_string(i));
  world.learn_all();
  for (int i = 0; i < 125; ++i) world.fs.app_remove("f" + std::to_string(i));
  EXPECT_THAT(world.scan().absent, SizeIs(125)) << "half is not more than half";
  world.fs.app_remove("f200");
  world.write("new");
  const Found refused = world.scan();
  EXPECT_EQ(refused.state, State::missing);
  EXPECT_THAT(refused.absent, IsEmpty());
  EXPECT_NE(refused.reason.find("126 of 250"), std::string::npos) << refused.reason;

  ScanOptions options = world.options();
  options.missing_percent = 51;
  EXPECT_THAT(world.scan(options).absent, SizeIs(126));
  options.missing_percent = 100;
  EXPECT_THAT(world.scan(options).absent, SizeIs(126));
  options = world.options();
  options.accept_deletions = true;
  EXPECT_THAT(world.scan(options).absent, SizeIs(126));
  world.marker_ok = false;
  EXPECT_EQ(world.scan().state, State::refused) << "the marker comes first";
}

// More is missing than is held back: it is counted to the end before any of it is said.
TEST(Scanner, AMassDeleteLargerThanWhatIsHeldBackIsNotBelieved) {
  World world;
  for (std::size_t i = 0; i < limits::scan_held_absences + 10; ++i) world.write("a" + std::to_string(i));
  for (std::size_t i = 0; i < limits::scan_held_absences + 20; ++i) world.write("b" + std::to_string(i));
  world.learn_all();
  for (std::size_t i = 0; i < limits::scan_held_absences + 10; ++i) world.fs.app_remove("a" + std::to_string(i));
  world.write("new");
  const Found found = world.scan();
  EXPECT_EQ(found.state, State::done);
  EXPECT_THAT(found.absent, SizeIs(limits::scan_held_absences + 10));
  EXPECT_THAT(found.looks, SizeIs(limits::scan_held_absences + 11)) << "once, however often the walk began";
  for (std::size_t i = 0; i < 20; ++i) world.fs.app_remove("b" + std::to_string(i));
  const Found refused = world.scan();
  EXPECT_EQ(refused.state, State::missing);
  EXPECT_THAT(refused.absent, IsEmpty());
}

TEST(Scanner, AnEmptyRootOfWhichNothingIsKnownIsNothingSpecial) {
  World world;
  world.put("still/to/come", std::nullopt);
  EXPECT_EQ(world.scan().state, State::done);
}

TEST(Scanner, NoAbsenceIsBelievedWithoutTheMarker) {
  World world;
  for (const char* file : {"stays", "gone"}) world.write(file);
  world.learn_all();
  world.fs.app_remove("gone");
  world.write("new");
  world.marker_ok = false;
  const Found found = world.scan();
  EXPECT_EQ(found.state, State::refused);
  EXPECT_EQ(found.reason, "no marker");
  EXPECT_THAT(found.changed, ElementsAre("new"));
  EXPECT_THAT(found.absent, IsEmpty());
}

TEST(Scanner, ASubtreeIsScannedAlone) {
  World world;
  for (const char* file : {"a/1", "b/1", "b/2", "b.x", "c"}) world.write(file);
  world.learn_all();
  for (const char* path : {"a/1", "b/1", "b.x", "c"}) world.fs.app_remove(path);
  world.write("b/new");
  ScanOptions options = world.options();
  options.subtree = "b";
  const Found found = world.scan(options);
  EXPECT_THAT(found.changed, ElementsAre("b", "b/new"));
  EXPECT_THAT(found.absent, ElementsAre("b/1"));

  options.subtree = "c";
  EXPECT_THAT(world.scan(options).absent, ElementsAre("c"));
  options.subtree = "nowhere/at/all";
  EXPECT_THAT(world.scan(options).looks, IsEmpty());
}

TEST(Scanner, OfARenamedSubtreeEveryPathSaysWhereItWas) {
  World world;
  world.write("new/name/d/file");
  ScanOptions options = world.options();
  options.subtree = "new/name";
  options.moved_from = "old";
  const Found found = world.scan(options);
  ASSERT_EQ(found.looks.size(), 3u);
  EXPECT_EQ(found.looks[0].moved_from, "old");
  EXPECT_EQ(found.looks[2].path, "new/name/d/file");
  EXPECT_EQ(found.looks[2].moved_from, "old/d/file");
}

TEST(Scanner, ManyAbsencesAreNotAllHeldBack) {
  World world;
  OnDisk disk;
  disk.state.content.kind = Kind::file;
  const std::size_t many = limits::scan_held_absences + 10;
  for (std::size_t i = 0; i < many; ++i) {
    Record live;
    live.folder = kFolder;
    live.path = "f" + std::to_string(i);
    live.dot = {ActorId::from("fedcba9876543210"), i + 1};
    live.content.kind = Kind::file;
    disk.dot = live.dot;
    world.index->put(kFolder, live.path, {live, disk});
  }
  ASSERT_TRUE(world.index->commit());
  world.write("here");
  world.learn("here");
  ScanOptions options = world.options();
  options.accept_deletions = true;
  const Found found = world.scan(options, 1000);
  EXPECT_EQ(found.absent.size(), many);
  EXPECT_TRUE(std::is_sorted(found.absent.rend() - limits::scan_held_absences, found.absent.rend()));
}

TEST(Scanner, WhatCannotBeSyncedIsReported) {
  std::string pattern = (std::filesystem::temp_directory_path() / "syncline-scan-XXXXXX").string();
  const std::string root = mkdtemp(pattern.data());
  ASSERT_EQ(mkfifo((root + "/fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(root + "/.syncline");
  auto fs = open_file_system(root);
  ASSERT_TRUE(fs);
  World world;
  const IndexReader reader(*world.kv);
  Scanner scanner(**fs, reader, world.options());
  const ScanSlice slice = scanner.step(100);
  EXPECT_EQ(slice.state, State::done);
  EXPECT_THAT(slice.looks, IsEmpty());
  ASSERT_EQ(slice.problems.size(), 1u);
  EXPECT_EQ(slice.problems[0].path, "fifo");
  std::filesystem::remove_all(root);
}

// The scanner against the difference of two sets, on random trees with names on both sides of '/' in byte
// order, and with paths beyond the length of a key of the index.
class ScannerModel : public ::testing::TestWithParam<unsigned> {
 protected:
  std::string name() {
    static const std::vector<std::string> names{"a", "a!", "a.b", "b", "\x01", "z\xff", "0"};
    if (random_() % 8 == 0) return std::string(200, 'L') + names[random_() % names.size()];
    return names[random_() % names.size()];
  }
  std::string place() {
    std::string out = name();
    for (auto depth = random_() % 5; depth > 0; --depth) out += "/" + name();
    return out;
  }
  void grow(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      const std::string path = place();
      bool blocked = world_.fs.stat(path).has_value();
      for (std::size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1)) {
        const auto stat = world_.fs.stat(path.substr(0, at));
        blocked = blocked || (stat && stat->type != FileType::directory);
      }
      if (!blocked) world_.write(path);
    }
  }
  void shrink(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      const auto paths = world_.paths();
      if (paths.size() < 2) return;
      const std::string& path = paths[random_() % paths.size()];
      const auto stat = world_.fs.stat(path);
      if (stat->type == FileType::directory && !world_.fs.list(path)->empty()) continue;
      world_.fs.app_remove(path);
    }
  }
  std::mt19937 random_{GetParam()};
  World world_;
};

TEST_P(ScannerModel, FindsTheDifferenceOfTheTwoSets) {
  grow(40);
  world_.learn_all();
  grow(10);
  shrink(15);
  std::set<std::string> changed, absent;
  std::map<std::string, FileStat> disk;
  for (const std::string& path : world_.paths()) disk[path] = *world_.fs.stat(path);
  std::map<std::string, DiskState> known;
  for (const auto& [path, entry] : world_.index->below(kFolder, "", "", 100'000))
    known[path] = entry.disk->state;
  for (const auto& [path, stat] : disk) {
    if (random_() % 10 == 0 && stat.type == FileType::file) {
      world_.fs.app_chmod(path, 0600 + random_() % 2);
      changed.insert(path);
    }
    const auto before = known.find(path);
    if (before == known.end() || before->second.print.inode != stat.print.inode ||
        before->second.print.mtime_ns != stat.print.mtime_ns) {
      changed.insert(path);
    }
  }
  for (const auto& [path, state] : known) {
    if (!disk.contains(path)) absent.insert(path);
  }
  for (const std::size_t budget : {std::size_t{1}, std::size_t{5}, std::size_t{10'000}}) {
    const Found found = world_.scan(world_.options(), budget);
    EXPECT_EQ(found.state, State::done);
    EXPECT_EQ(std::set(found.changed.begin(), found.changed.end()), changed);
    EXPECT_EQ(std::set(found.absent.begin(), found.absent.end()), absent);
    EXPECT_EQ(found.looks.size(), changed.size() + absent.size()) << "each once";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ScannerModel, ::testing::Range(1u, 61u));

}  // namespace
}  // namespace syncline

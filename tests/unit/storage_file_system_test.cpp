// The contract of the seam (storage/file_system.h), on a real disk and on the twin: they must not differ.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "storage/file_posix.h"
#include "storage_folder_support.h"

namespace syncline::testing {
namespace {

using Code = Error::Code;

enum class Backend { openat2, stepwise, memory };

class FileSystemTest : public ::testing::TestWithParam<Backend> {
 protected:
  FileSystemTest() {
    if (GetParam() == Backend::memory) {
      fs_ = std::make_unique<MemoryFileSystem>([] { return std::int64_t{1'700'000'000'000'000'000}; });
      return;
    }
    std::string root = (std::filesystem::temp_directory_path() / "syncline-fs-XXXXXX").string();
    root_ = ::mkdtemp(root.data());
    std::filesystem::create_directory(root_ + "/inside");
    auto opened = GetParam() == Backend::openat2 ? open_file_system(root_ + "/inside")
                                                 : posix::open_file_system_stepwise(root_ + "/inside");
    fs_ = std::move(opened.value());
  }
  ~FileSystemTest() override {
    if (!root_.empty()) std::filesystem::remove_all(root_);
  }

  void write(std::string_view path, std::string_view bytes) {
    auto file = fs_->open_write(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE((*file)->truncate(0));
    ASSERT_TRUE((*file)->write_at(0, bytes));
  }
  std::string read(std::string_view path) {
    auto file = fs_->open(path);
    if (!file) return "(none)";
    std::string bytes(100, '\0');
    bytes.resize((*file)->read_at(0, bytes).value_or(0));
    return bytes;
  }
  static Code code(const Status& status) { return status ? Code::refused : status.error().code; }
  template <class T>
  static Code code(const Result<T>& result) {
    return result ? Code::refused : result.error().code;
  }

  std::string root_;
  std::unique_ptr<FileSystem> fs_;
};

std::string backend_name(const ::testing::TestParamInfo<Backend>& info) {
  constexpr const char* names[] = {"openat2", "stepwise", "memory"};
  return names[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(All, FileSystemTest,
                         ::testing::Values(Backend::openat2, Backend::stepwise, Backend::memory), backend_name);

TEST_P(FileSystemTest, SaysWhatIsMissingAndWhatIsInTheWay) {
  write("a", "1");
  ASSERT_TRUE(fs_->make_directory("d", 0755));
  write("d/x", "2");
  EXPECT_EQ(code(fs_->stat("none")), Code::not_found);
  EXPECT_EQ(code(fs_->stat("none/below")), Code::not_found);
  EXPECT_EQ(code(fs_->stat("a/below")), Code::not_found);
  EXPECT_EQ(code(fs_->open("none")), Code::not_found);
  EXPECT_EQ(code(fs_->open_write("none/below")), Code::not_found);
  EXPECT_EQ(code(fs_->open_write("d")), Code::exists);
  EXPECT_EQ(code(fs_->list("none")), Code::not_found);
  EXPECT_EQ(code(fs_->list("a")), Code::not_found);
  EXPECT_EQ(code(fs_->make_directory("a", 0755)), Code::exists);
  EXPECT_EQ(code(fs_->make_symlink("a", "x")), Code::exists);
  EXPECT_EQ(code(fs_->remove_directory("d")), Code::exists);
  EXPECT_EQ(code(fs_->remove_directory("a")), Code::not_found);
  EXPECT_EQ(code(fs_->remove_file("d")), Code::exists);
  EXPECT_EQ(code(fs_->remove_file("none")), Code::not_found);
  EXPECT_EQ(code(fs_->read_link("a")), Code::unsupported);
  EXPECT_EQ(code(fs_->link("d", "d2")), Code::unsupported);
  const auto error = fs_->stat("none").error().message;
  EXPECT_NE(error.find("'none'"), std::string::npos);
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

TEST_P(FileSystemTest, Renames) {
  write("a", "1");
  write("b", "2");
  ASSERT_TRUE(fs_->make_directory("d", 0755));
  EXPECT_EQ(code(fs_->rename_new("a", "b")), Code::exists);
  EXPECT_EQ(code(fs_->rename_new("a", "d")), Code::exists);
  EXPECT_EQ(code(fs_->rename_new("none", "c")), Code::not_found);
  EXPECT_EQ(code(fs_->rename_new("a", "none/c")), Code::not_found);
  EXPECT_EQ(code(fs_->exchange("a", "none")), Code::not_found);
  EXPECT_EQ(code(fs_->replace("a", "d")), Code::exists);
  EXPECT_TRUE(fs_->exchange("a", "b"));
  EXPECT_EQ(read("a") + read("b"), "21");
  EXPECT_TRUE(fs_->exchange("a", "d"));
  EXPECT_EQ(fs_->stat("a")->type, FileType::directory);
  EXPECT_EQ(read("d"), "2");
  EXPECT_TRUE(fs_->replace("d", "b"));
  EXPECT_EQ(read("b"), "2");
  EXPECT_TRUE(fs_->rename_new("b", "a/b"));
  EXPECT_EQ(read("a/b"), "2");
  EXPECT_EQ(fs_->list("")->size(), 1u);
}

TEST_P(FileSystemTest, LinksShareAnInodeAndClonesDoNot) {
  write("a", "1");
  ASSERT_TRUE(fs_->link("a", "b"));
  EXPECT_EQ(code(fs_->link("a", "b")), Code::exists);
  EXPECT_EQ(fs_->stat("b")->print.inode, fs_->stat("a")->print.inode);
  EXPECT_EQ(fs_->stat("b")->links, 2u);
  ASSERT_TRUE(fs_->clone("a", "c"));
  EXPECT_EQ(code(fs_->clone("a", "c")), Code::exists);
  EXPECT_EQ(code(fs_->clone("none", "e")), Code::not_found);
  write("b", "two");
  EXPECT_EQ(read("a"), "two");
  EXPECT_EQ(read("c"), "1");
}

TEST_P(FileSystemTest, LargeClonesAreWhole) {
  std::string large(5'000'000, 'x');
  large[4'999'999] = 'y';
  write("a", large);
  ASSERT_TRUE(fs_->clone("a", "b"));
  std::string copy(large.size() + 1, '\0');
  EXPECT_EQ((*fs_->open("b"))->read_at(0, copy).value(), large.size());
  copy.resize(large.size());
  EXPECT_TRUE(copy == large);
}

TEST_P(FileSystemTest, AttributesArriveExactly) {
  write("a", "1");
  constexpr std::int64_t before_1970_ns = -1'500'000'001;
  for (const std::int64_t mtime_ns :
       {std::int64_t{1'600'000'000'123'456'789}, std::int64_t{0}, before_1970_ns}) {
    ASSERT_TRUE((*fs_->open("a"))->set_attributes(04751, mtime_ns));
    EXPECT_EQ(fs_->stat("a")->print.mtime_ns, mtime_ns);
    EXPECT_EQ(fs_->stat("a")->mode, 04751u);
  }
  ASSERT_TRUE(fs_->make_directory("d", 0700));
  ASSERT_TRUE(fs_->set_attributes("d", 01777, 5));
  EXPECT_EQ(fs_->stat("d")->mode, 01777u);
  EXPECT_EQ(fs_->stat("d")->print.mtime_ns, 5);
  ASSERT_TRUE(fs_->make_symlink("l", "a"));
  ASSERT_TRUE(fs_->set_attributes("l", std::nullopt, 7));
  EXPECT_EQ(fs_->stat("l")->print.mtime_ns, 7);
  EXPECT_NE(fs_->stat("a")->print.mtime_ns, 7) << "the link, not what it leads to";
}

TEST_P(FileSystemTest, NothingFollowsSymlinks) {
  ASSERT_TRUE(fs_->make_directory("d", 0755));
  write("d/x", "1");
  ASSERT_TRUE(fs_->make_symlink("link", "d"));
  ASSERT_TRUE(fs_->make_symlink("out", ".."));
  EXPECT_EQ(fs_->read_link("out").value(), "..");
  for (const char* path : {"link/x", "out/inside", "link/new"}) {
    EXPECT_EQ(code(fs_->stat(path)), Code::not_found) << path;
    EXPECT_EQ(code(fs_->open(path)), Code::not_found) << path;
    EXPECT_EQ(code(fs_->open_write(path)), Code::not_found) << path;
    EXPECT_EQ(code(fs_->remove_file(path)), Code::not_found) << path;
    EXPECT_EQ(code(fs_->rename_new("d/x", path)), Code::not_found) << path;
    EXPECT_EQ(code(fs_->set_attributes(path, 0777, 1)), Code::not_found) << path;
  }
  EXPECT_EQ(code(fs_->open("link")), Code::not_found);
  EXPECT_EQ(code(fs_->list("link")), Code::not_found);
  EXPECT_EQ(code(fs_->open_write("link")), Code::not_found);
  auto items = fs_->list("").value();
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].type, FileType::directory);
  EXPECT_EQ(items[1].type, FileType::symlink);
}

TEST_P(FileSystemTest, KnowsWhoWrites) {
  write("a", "1");
  auto reader = std::move(fs_->open("a").value());
  EXPECT_EQ(reader->open_for_writing(), false);
  {
    const auto writer = std::move(fs_->open_write("a").value());
    EXPECT_EQ(reader->open_for_writing(), true);
    EXPECT_EQ(reader->guard(), true);
  }
  EXPECT_EQ(reader->guard(), false);
  EXPECT_FALSE(reader->guard_broken());
  reader->unguard();
}

TEST_P(FileSystemTest, UnlinkedFilesLiveUntilTheyAreClosed) {
  write("a", "1");
  const auto file = std::move(fs_->open("a").value());
  ASSERT_TRUE(fs_->remove_file("a"));
  std::string bytes(1, '\0');
  EXPECT_EQ(file->read_at(0, bytes).value(), 1u);
  EXPECT_EQ(file->stat()->links, 0u);
}

// The real kernel: an application that comes to write is held in open() until the guard ends, and the signal
// does no harm.
TEST(PosixFile, AGuardHoldsWritersBack) {
  std::string root = (std::filesystem::temp_directory_path() / "syncline-fs-XXXXXX").string();
  root = ::mkdtemp(root.data());
  std::ofstream(root + "/a") << "old";
  auto fs = std::move(open_file_system(root).value());
  auto file = std::move(fs->open("a").value());
  ASSERT_EQ(file->guard(), false);
  std::thread application([&] { std::ofstream(root + "/a") << "new"; });
  while (!file->guard_broken()) std::this_thread::yield();
  EXPECT_EQ(file->stat()->print.size, 3u) << "it has not truncated yet";
  std::string bytes(3, '\0');
  EXPECT_EQ(file->read_at(0, bytes).value(), 3u);
  EXPECT_EQ(bytes, "old");
  file->unguard();
  application.join();
  EXPECT_EQ(file->read_at(0, bytes).value(), 3u);
  EXPECT_EQ(bytes, "new");
  std::filesystem::remove_all(root);
}

TEST(PosixFileSystem, TellsAMovedRoot) {
  std::string root = (std::filesystem::temp_directory_path() / "syncline-fs-XXXXXX").string();
  root = ::mkdtemp(root.data());
  auto fs = std::move(open_file_system(root).value());
  EXPECT_TRUE(fs->check_root());
  std::filesystem::rename(root, root + ".old");
  EXPECT_EQ(fs->check_root().error().code, Code::refused);
  std::filesystem::create_directory(root);
  EXPECT_EQ(fs->check_root().error().code, Code::refused) << "another directory of that name";
  std::filesystem::remove_all(root);
  std::filesystem::remove_all(root + ".old");
  EXPECT_EQ(open_file_system(root).error().code, Code::not_found);
}

TEST(PosixFileSystem, AFifoIsNeverOpened) {
  auto world = make_world(Disk::real);
  Bench bench(std::move(world));
  const std::string root = std::filesystem::path(bench.world->where()).string();
  ASSERT_EQ(::mkfifo((root + "/fifo").c_str(), 0600), 0);
  const Observation seen = bench.folder->observe("fifo", {});
  EXPECT_EQ(seen.state, Observation::State::unsupported);
  EXPECT_EQ(bench.put("fifo", "x").outcome, ApplyResult::Outcome::changed);
}

TEST(MemoryFileSystem, LogsAccessesAndCopiesItsDisk) {
  MemoryFileSystem fs([] { return std::int64_t{1'700'000'000'000'000'000}; });
  fs.app_write("a", "1");
  fs.log_accesses(true);
  ASSERT_TRUE(fs.stat("a"));
  EXPECT_FALSE(fs.exchange("a", "b"));
  EXPECT_EQ(fs.take_log(), (std::vector<std::string>{"stat a", "exchange a"}));
  const auto image = fs.copy();
  fs.app_write("a", "2");
  EXPECT_EQ(image->app_read("a"), "1");
  image->app_write("b", "3");
  EXPECT_EQ(fs.app_read("b"), std::nullopt);
}

TEST(MemoryFileSystem, AnInodeNumberIsUsedAgain) {
  MemoryFileSystem fs([] { return std::int64_t{1'700'000'000'000'000'000}; });
  fs.app_write("a", "1");
  const std::uint64_t inode = fs.stat("a")->print.inode;
  fs.app_remove("a");
  fs.app_write("b", "1");
  EXPECT_EQ(fs.stat("b")->print.inode, inode) << "as ext4 does: a fingerprint must not rest on it alone";
}

}  // namespace
}  // namespace syncline::testing

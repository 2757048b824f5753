// What a reader may open of a folder, on a real disk: nothing outside, nothing of the node's own, nothing
// that is not whole.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "node/file_open.h"
#include "protocol/content_hash.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

class FileOpenTest : public ::testing::Test {
 protected:
  FileOpenTest() {
    std::string name = (fs::temp_directory_path() / "syncline-open-XXXXXX").string();
    base_ = ::mkdtemp(name.data());
    root_ = base_ / "uploads";
    fs::create_directories(root_ / ".syncline/versions");
    write(".syncline/versions/kept", "kept");
    std::ofstream(base_ / "outside") << "secret";
    disk_ = *open_file_system(root_.string());
  }
  ~FileOpenTest() override { fs::remove_all(base_); }

  void write(const std::string& path, const std::string& bytes) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << bytes;
  }
  Result<OpenedFile> open(std::string& path) const {
    const FileOpener opener{*disk_,
                            [this](const std::string& p) -> std::optional<PathEntry> {
                              const auto it = entries_.find(p);
                              return it == entries_.end() ? std::nullopt : std::optional(it->second);
                            },
                            secret_};
    return opener.open(path);
  }
  std::string read(std::string path) const {
    auto opened = open(path);
    if (!opened) return "error " + std::to_string(static_cast<int>(opened.error().code));
    std::string bytes(1000, '\0');
    bytes.resize(opened->file->read_at(0, bytes).value());
    return bytes;
  }
  Error::Code error(std::string path) const {
    const auto opened = open(path);
    EXPECT_FALSE(opened) << path;
    return opened ? Error::Code::io : opened.error().code;
  }
  // As the index has it after it was looked at.
  PathEntry known(const std::string& path) const {
    PathEntry entry;
    const FileStat stat = *disk_->stat(path);
    entry.disk = OnDisk{{{.kind = Kind::file, .size = stat.print.size}, stat.print}, {}, {}, {}};
    entry.disk->state.content.hash.bytes.fill(7);
    entry.live = Record{.folder = 1, .path = path, .content = entry.disk->state.content};
    return entry;
  }

  fs::path base_, root_;
  std::unique_ptr<FileSystem> disk_;
  std::map<std::string, PathEntry> entries_;
  Key32 secret_{};
};

constexpr auto kNotFound = Error::Code::not_found;
constexpr auto kRefused = Error::Code::refused;

TEST_F(FileOpenTest, files_known_or_not) {
  write("a/b.txt", "new");
  EXPECT_EQ(read("a/b.txt"), "new");
  entries_["a/b.txt"] = known("a/b.txt");
  EXPECT_EQ(read("a/b.txt"), "new");
  EXPECT_EQ(error("a/c.txt"), kNotFound);
  EXPECT_EQ(error("x/y/z"), kNotFound);
  EXPECT_EQ(error("a/b.txt/c"), kNotFound);
}

TEST_F(FileOpenTest, never_outside_nor_the_nodes_own) {
  for (const char* path : {"", ".", "..", "../outside", "a/../../outside", "/etc/passwd", "a//b", "a/", "./a",
                           ".syncline", ".syncline/versions/kept", "a/../.syncline/versions/kept"})
    EXPECT_EQ(error(path), kRefused) << path;
}

TEST_F(FileOpenTest, no_directories_nor_fifos) {
  fs::create_directories(root_ / "dir");
  EXPECT_EQ(error("dir"), kRefused);
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(error("fifo"), kRefused);
}

TEST_F(FileOpenTest, links_inside_are_followed) {
  write("real/deep/file", "bytes");
  fs::create_symlink("real/deep/file", root_ / "link");
  fs::create_symlink("real", root_ / "d");
  fs::create_symlink("../real/./deep/../deep", root_ / "real/up");
  EXPECT_EQ(read("link"), "bytes");
  EXPECT_EQ(read("d/deep/file"), "bytes");
  EXPECT_EQ(read("d/up/file"), "bytes");
  std::string path = "d/deep/missing";  // what is to be found is where it would be
  EXPECT_EQ(open(path).error().code, kNotFound);
  EXPECT_EQ(path, "real/deep/missing");
}

TEST_F(FileOpenTest, links_that_lead_elsewhere_are_not) {
  fs::create_directories(root_ / "sub");
  const std::pair<const char*, fs::path> links[] = {{"up", "../outside"},
                                                    {"sub/up", "../../outside"},
                                                    {"absolute", base_ / "outside"},
                                                    {"inside", root_ / "sub"},
                                                    {"own", ".syncline/versions/kept"},
                                                    {"owndir", ".syncline"},
                                                    {"sub/own", "../.syncline/versions"},
                                                    {"proc", "/proc/self/exe"},
                                                    {"loop", "loop"},
                                                    {"loop1", "loop2"},
                                                    {"loop2", "loop1"}};
  for (const auto& [name, target] : links) fs::create_symlink(target, root_ / name);
  for (const char* path : {"up", "sub/up", "absolute", "inside/x", "own", "owndir/versions/kept",
                           "sub/own/kept", "proc", "loop", "loop1", "loop/x"})
    EXPECT_EQ(error(path), kRefused) << path;
}

TEST_F(FileOpenTest, an_older_version_is_not_what_a_reader_wants) {
  write("a", "old");
  PathEntry entry = known("a");
  entry.live->content.size = 7;
  entry.live->dot = {{}, 9};
  ASSERT_TRUE(entry.pending());
  entries_["a"] = entry;
  EXPECT_EQ(error("a"), kNotFound);
  entry.live->content = {};
  entries_["a"] = entry;
  EXPECT_EQ(error("a"), kNotFound);  // deleted elsewhere, not yet here
}

TEST_F(FileOpenTest, a_file_being_written_is_not_whole) {
  write("a", "half");
  const int writer = ::open((root_ / "a").c_str(), O_WRONLY | O_APPEND);
  ASSERT_GE(writer, 0);
  EXPECT_EQ(error("a"), Error::Code::busy);
  ::close(writer);
  EXPECT_EQ(read("a"), "half");
}

TEST_F(FileOpenTest, tags_stand_for_contents) {
  write("a", "bytes"), write("b", "bytes");
  std::string a = "a", b = "b";
  EXPECT_TRUE(open(a)->etag.starts_with("W/\""));  // not looked at yet
  entries_["a"] = known("a"), entries_["b"] = known("b");
  const std::string tag = open(a)->etag;
  EXPECT_EQ(tag.size(), 34u);
  EXPECT_EQ(open(b)->etag, tag);                   // on every node alike: neither inode nor time is in it
  EXPECT_EQ(tag.find("0707"), std::string::npos);  // nor is the content hash shown
  entries_["a"].disk->state.content.hash.bytes.fill(8);
  EXPECT_NE(open(a)->etag, tag);
  entries_["b"].disk->state.print.ctime_ns = 0;  // looked at too soon, and that was just now
  EXPECT_TRUE(open(b)->etag.starts_with("W/"));
  write("a", "other");
  EXPECT_TRUE(open(a)->etag.starts_with("W/"));
}

}  // namespace
}  // namespace syncline

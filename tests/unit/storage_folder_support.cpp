#include "storage_folder_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace syncline::testing {
namespace {

namespace stdfs = std::filesystem;

class RealWriter : public MemoryFileSystem::Writer {
 public:
  explicit RealWriter(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644)) {}
  ~RealWriter() override { close(); }
  void append(std::string bytes) override {
    EXPECT_EQ(::write(fd_, bytes.data(), bytes.size()), ssize_t(bytes.size()));
  }
  void close() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

class RealWorld : public World {
 public:
  RealWorld() {
    std::string root = (stdfs::temp_directory_path() / "syncline-folder-XXXXXX").string();
    root_ = ::mkdtemp(root.data());
    fs_ = std::move(open_file_system(root_).value());
  }
  ~RealWorld() override {
    std::error_code ignored;
    stdfs::remove_all(root_, ignored);
  }
  FileSystem& fs() override { return *fs_; }
  std::string where() const override { return root_; }
  void write(const std::string& path, const std::string& bytes) override {
    std::ofstream(at(path), std::ios::binary | std::ios::trunc) << bytes;
  }
  void replace(const std::string& path, const std::string& bytes) override {
    write(path + ".app-tmp", bytes);
    stdfs::rename(at(path + ".app-tmp"), at(path));
  }
  void make_directory(const std::string& path) override { stdfs::create_directories(at(path)); }
  void symlink(const std::string& path, const std::string& target) override {
    stdfs::create_symlink(target, at(path));
  }
  void link(const std::string& from, const std::string& to) override {
    stdfs::create_hard_link(at(from), at(to));
  }
  void remove(const std::string& path) override { stdfs::remove_all(at(path)); }
  void chmod(const std::string& path, std::uint32_t mode) override {
    ASSERT_EQ(::chmod(at(path).c_str(), mode), 0);
  }
  std::optional<std::string> read(const std::string& path) override {
    std::ifstream in(at(path), std::ios::binary);
    if (!in || !stdfs::is_regular_file(at(path))) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  std::vector<std::string> paths() override {
    std::vector<std::string> found;
    for (const auto& entry : stdfs::recursive_directory_iterator(root_)) {
      const std::string path = entry.path().lexically_relative(root_).string();
      if (!path.starts_with(kOwnDirectory)) found.push_back(path);
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  std::unique_ptr<MemoryFileSystem::Writer> open_writer(const std::string& path) override {
    return std::make_unique<RealWriter>(at(path));
  }
  void let_stamps_age() override {
    const std::int64_t until = fs_->now_ns() + 2 * fs_->stamp_tick_ns();
    while (fs_->now_ns() < until) std::this_thread::yield();
  }

 private:
  std::string at(const std::string& path) const { return root_ + '/' + path; }
  std::string root_;
  std::unique_ptr<FileSystem> fs_;
};

class MemoryWorld : public World {
 public:
  MemoryWorld() : fs_([this] { return now_ns_.load(); }) {}
  FileSystem& fs() override { return fs_; }
  void write(const std::string& path, const std::string& bytes) override { fs_.app_write(path, bytes); }
  void replace(const std::string& path, const std::string& bytes) override { fs_.app_replace(path, bytes); }
  void make_directory(const std::string& path) override { fs_.app_make_directory(path); }
  void symlink(const std::string& path, const std::string& target) override { fs_.app_symlink(path, target); }
  void link(const std::string& from, const std::string& to) override { fs_.app_link(from, to); }
  void remove(const std::string& path) override { fs_.app_remove(path); }
  void chmod(const std::string& path, std::uint32_t mode) override { fs_.app_chmod(path, mode); }
  std::optional<std::string> read(const std::string& path) override { return fs_.app_read(path); }
  std::vector<std::string> paths() override {
    std::vector<std::string> found = fs_.app_paths();
    std::erase_if(found, [](const std::string& path) { return path.starts_with(kOwnDirectory); });
    return found;
  }
  std::unique_ptr<MemoryFileSystem::Writer> open_writer(const std::string& path) override {
    return fs_.app_open(path);
  }
  void let_stamps_age() override { now_ns_ += 1'000'000'000; }

 private:
  std::atomic<std::int64_t> now_ns_{1'700'000'000'000'000'000};
  MemoryFileSystem fs_;
};

}  // namespace

std::unique_ptr<World> make_world(Disk disk) {
  if (disk == Disk::real) return std::make_unique<RealWorld>();
  auto world = std::make_unique<MemoryWorld>();
  auto& fs = static_cast<MemoryFileSystem&>(world->fs());
  if (disk == Disk::memory_without_exchange) fs.without_exchange();
  if (disk == Disk::memory_without_leases) fs.without_leases();
  return world;
}

std::string disk_name(const ::testing::TestParamInfo<Disk>& info) {
  switch (info.param) {
    case Disk::real:
      return "real";
    case Disk::memory:
      return "memory";
    case Disk::memory_without_exchange:
      return "memory_without_exchange";
    case Disk::memory_without_leases:
      return "memory_without_leases";
  }
  return "?";
}

static HashKey test_key() {
  Key32 key;
  key.bytes.fill(7);
  return HashKey(key);
}

Bench::Bench(std::unique_ptr<World> w) : world(std::move(w)), key(test_key()) {
  identity.cluster.bytes.fill(3);
  EXPECT_TRUE(Folder::create_marker(world->fs(), identity));
  reopen();
}

void Bench::reopen() {
  folder.reset();
  auto opened = Folder::open(world->fs(), key, identity);
  ASSERT_TRUE(opened) << opened.error().message;
  folder = *std::move(opened);
}

Content Bench::file(const std::string& bytes, std::uint32_t mode, std::int64_t mtime_ns) const {
  Content content;
  content.kind = Kind::file;
  content.hash = key.hash(bytes);
  content.size = bytes.size();
  content.mode = mode;
  content.mtime_ns = mtime_ns;
  return content;
}

DiskState Bench::known(const std::string& path) {
  world->let_stamps_age();
  const Observation seen = folder->observe(path, {});
  EXPECT_EQ(seen.state, Observation::State::present) << path << ": " << seen.problem;
  return seen.disk;
}

ApplyResult Bench::put(const std::string& path, const std::string& bytes, const DiskState& expect,
                       bool keep) {
  return folder->apply({path, file(bytes), expect, std::make_shared<Bytes>(bytes), keep});
}

ApplyResult Bench::put(const std::string& path, const Content& content, const DiskState& expect) {
  return folder->apply({path, content, expect, nullptr, false});
}

std::string Bench::version(const Hash128& hash) {
  auto bytes = folder->read_version(hash, 0, 1 << 20);
  return bytes ? *bytes : "(no such version)";
}

std::vector<std::string> Bench::staging() {
  std::vector<std::string> names;
  const std::string top = ".syncline/staging";
  const auto items = world->fs().list(top);
  for (const DirectoryItem& item : *items) {
    if (item.type != FileType::directory && !item.name.ends_with(".late")) names.push_back(item.name);
    if (item.type != FileType::directory) continue;
    const auto below = world->fs().list(top + '/' + item.name);
    for (const DirectoryItem& inner : *below) names.push_back(item.name + '/' + inner.name);
  }
  return names;
}

void PrintTo(ApplyResult::Outcome outcome, std::ostream* out) {
  constexpr const char* names[] = {"applied",    "changed", "busy",        "not_empty", "blocked",
                                   "no_content", "full",    "unsupported", "failed"};
  *out << names[static_cast<int>(outcome)];
}

}  // namespace syncline::testing

namespace syncline {
void PrintTo(ApplyResult::Outcome outcome, std::ostream* out) { testing::PrintTo(outcome, out); }
}  // namespace syncline

#include <dirent.h>
#include <linux/fs.h>
#include <sys/syscall.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "storage_watcher_support.h"

// Random changes of a tree by another thread while the watcher follows. What must hold at the end, whatever
// was interleaved: every directory is watched under its right path, and looking where the events said was
// enough to know the tree.
namespace syncline {
namespace {

namespace fs = std::filesystem;

class Churn {
 public:
  Churn(WatchedFolder& folder, unsigned seed) : folder_(folder), random_(seed) {}

  void step() {
    const std::string a = place(), b = place();
    std::error_code ignored;
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2:
        fs::create_directories(a, ignored);
        break;
      case 3:
      case 4:
      case 5:
        write(a + "/f" + std::to_string(++files_));
        break;
      case 6:
      case 7:
        fs::rename(a, b, ignored);
        break;
      case 8:
        if (random_() % 3 != 0) {
          syscall(SYS_renameat2, AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
        } else {
          fs::remove_all(a, ignored);
        }
        break;
      default:
        fs::rename(a, folder_.outside("parked"), ignored);
        fs::rename(folder_.outside("parked"), b, ignored);
        fs::remove_all(folder_.outside("parked"), ignored);
    }
  }

 private:
  // One of few names at each depth, so that places collide.
  std::string place() {
    std::string out = folder_.path(names_[random_() % 4]);
    for (auto depth = random_() % 4; depth > 0; --depth) out += "/" + std::string(names_[random_() % 4]);
    return out;
  }
  static void write(const std::string& file) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) ::close(fd);
  }

  static constexpr const char* names_[] = {"a", "b", "c", "d"};
  WatchedFolder& folder_;
  std::mt19937 random_;
  int files_ = 0;
};

// Believes what it finds where events tell it to look, and nothing else.
class Believer {
 public:
  explicit Believer(WatchedFolder& folder) : folder_(folder) {}

  void hear(const std::vector<WatchEvent>& events) {
    for (const WatchEvent& event : events) {
      for (const std::string& path : {event.path, event.from}) {
        if (!path.empty()) look(path);
        if (event.kind == WatchEvent::Kind::rescan || (event.subtree && !path.empty())) look_below(path);
      }
    }
  }
  void look_below(const std::string& directory) {
    const std::string prefix = directory.empty() ? "" : directory + "/";
    std::erase_if(known_, [&](const auto& item) { return item.first.starts_with(prefix); });
    for (const auto& [path, inode] : tree(directory)) known_[path] = inode;
  }
  using Tree = std::map<std::string, ino_t>;
  const Tree& known() const { return known_; }
  // What vanishes meanwhile is left out, and nothing else.
  Tree tree(const std::string& directory) const {
    Tree out;
    DIR* dir = ::opendir(folder_.path(directory).c_str());
    if (dir == nullptr) return out;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string name = entry->d_name;
      if (name == "." || name == ".." || name == ".syncline") continue;
      const std::string path = directory.empty() ? name : directory + "/" + name;
      if (const ino_t inode = inode_of(path)) out[path] = inode;
      if (entry->d_type == DT_DIR) out.merge(tree(path));
    }
    ::closedir(dir);
    return out;
  }

 private:
  ino_t inode_of(const std::string& path) const {
    struct stat found {};
    return ::lstat(folder_.path(path).c_str(), &found) == 0 ? found.st_ino : 0;
  }
  void look(const std::string& path) {
    const ino_t inode = inode_of(path);
    if (inode != 0) {
      known_[path] = inode;
    } else {
      known_.erase(path);
    }
  }

  WatchedFolder& folder_;
  Tree known_;
};

class WatcherChurn : public ::testing::TestWithParam<unsigned> {};

TEST_P(WatcherChurn, WhoeverLooksWhereTheEventsSayKnowsTheTreeInTheEnd) {
  WatchedFolder folder;
  folder.open();
  ASSERT_EQ(folder.events.size(), 1u);  // the first rescan, of nothing
  folder.events.clear();
  static constexpr std::size_t budgets[] = {1, 10, 1000};
  folder.budget = budgets[GetParam() % 3];
  Believer believer(folder);
  Churn churn(folder, GetParam());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 400; ++i) churn.step();
    done = true;
  });
  // Odd seeds follow closely, even ones fall far behind.
  if (GetParam() % 2 == 0) writer.join();
  EXPECT_TRUE(folder.pump_until([&] {
    believer.hear(std::exchange(folder.events, {}));
    return done.load();
  }));
  if (writer.joinable()) writer.join();
  folder.pump();
  believer.hear(std::exchange(folder.events, {}));
  const Believer::Tree tree = believer.tree("");
  for (const auto& [path, inode] : tree)
    EXPECT_TRUE(believer.known().contains(path)) << path << " was not mentioned";
  for (const auto& [path, inode] : believer.known()) {
    const auto now = tree.find(path);
    EXPECT_TRUE(now != tree.end() && now->second == inode) << path << " was not mentioned when it went";
  }
  folder.expect_all_watched();
}

INSTANTIATE_TEST_SUITE_P(Seeds, WatcherChurn, ::testing::Range(1u, 25u));

}  // namespace
}  // namespace syncline

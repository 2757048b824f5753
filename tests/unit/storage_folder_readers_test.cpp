// On the real disk, with threads: readers see whole versions only, while versions are applied and an
// application writes too.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "storage_folder_support.h"

namespace syncline::testing {
namespace {

constexpr std::size_t kBytes = 40'000;

// One letter, so that a mixture of two versions shows.
std::string version_of(int i) { return std::string(kBytes, static_cast<char>('a' + i % 26)); }
std::string application_version(int i) { return std::string(kBytes + 1, static_cast<char>('A' + i % 26)); }

bool is_whole(const std::string& seen) {
  const bool lower = seen.size() == kBytes && seen[0] >= 'a' && seen[0] <= 'z';
  const bool upper = seen.size() == kBytes + 1 && seen[0] >= 'A' && seen[0] <= 'Z';
  return (lower || upper) && seen.find_first_not_of(seen[0]) == std::string::npos;
}

// Reads through one descriptor, as a web server does.
std::string read_once(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) return "cannot be opened";
  std::string seen;
  std::array<char, 8192> buffer{};
  for (ssize_t got = 0; (got = ::read(fd, buffer.data(), buffer.size())) > 0;) {
    seen.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return seen;
}

class Readers {
 public:
  explicit Readers(std::string path) {
    for (std::thread& thread : threads_) {
      thread = std::thread([this, path] {
        while (!stop_) {
          const std::string seen = read_once(path);
          if (is_whole(seen)) {
            ++whole_;
          } else if (broken_++ == 0) {
            ADD_FAILURE() << "a third value of " << seen.size() << " bytes: " << seen.substr(0, 20);
          }
        }
      });
    }
  }
  ~Readers() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    EXPECT_GT(whole_, 0u);
  }
  bool have_read(unsigned times) const { return whole_ >= times || broken_ > 0; }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> whole_{0}, broken_{0};
  std::array<std::thread, 2> threads_;
};

TEST(FolderReaders, SeeOldOrNewNeverHalf) {
  Bench bench(Disk::real);
  ApplyResult last = bench.put("p", version_of(0));
  ASSERT_EQ(last.outcome, ApplyResult::Outcome::applied);
  const Readers readers(bench.world->where() + "/p");
  for (int i = 1; i < 500 || !readers.have_read(200); ++i) {
    const ApplyResult next = bench.put("p", version_of(i), last.disk);
    ASSERT_EQ(next.outcome, ApplyResult::Outcome::applied) << next.problem;
    EXPECT_FALSE(next.displaced);
    last = next;
    if (i % 16 == 0) {
      EXPECT_TRUE(bench.folder->settle_limbo(true).empty());
    }
  }
}

// The application renames its versions over ours; each of them is live at some time, or reported and kept,
// and none is lost.
TEST(FolderReaders, AnApplicationsVersionsAreAllFound) {
  Bench bench(Disk::real);
  constexpr int versions = 26;
  DiskState known = bench.put("p", version_of(0)).disk;
  std::atomic<int> seen_by_folder{-1};
  std::set<Hash128> found;
  const Readers readers(bench.world->where() + "/p");
  std::thread application([&] {
    for (int i = 0; i < versions; ++i) {
      bench.world->replace("p", application_version(i));
      while (seen_by_folder < i) std::this_thread::yield();  // so that it does not overwrite its own
    }
  });
  const std::set<Hash128> wanted = [&] {
    std::set<Hash128> hashes;
    for (int i = 0; i < versions; ++i) hashes.insert(bench.key.hash(application_version(i)));
    return hashes;
  }();
  for (int i = 1; seen_by_folder < versions - 1; ++i) {
    const ApplyResult next = bench.put("p", version_of(i), known);
    std::optional<DiskState> mine = next.displaced;
    if (next.outcome == ApplyResult::Outcome::applied) {
      known = next.disk;
    } else {
      const Observation seen = bench.folder->observe("p", known);
      if (seen.state == Observation::State::present) mine = known = seen.disk;
    }
    if (mine && wanted.contains(mine->content.hash) && found.insert(mine->content.hash).second)
      ++seen_by_folder;
    for (const LateWrite& late : bench.folder->settle_limbo(true))
      ADD_FAILURE() << "nobody writes in place: " << late.path;
  }
  application.join();
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace syncline::testing

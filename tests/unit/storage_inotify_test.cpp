#include <dirent.h>
#include <sys/inotify.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "storage_watcher_support.h"

namespace syncline {
namespace {

constexpr int kChanges = 20'000;

// Every look at a directory adds its watch again, to learn whether it is still the directory that is watched.
TEST(Inotify, AddingAWatchAgainLosesNoEvent) {
  TemporaryDirectory place;
  const auto calls = *make_inotify();
  const int fd = open(place.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  const int watch = calls->add(fd, false);
  ASSERT_GE(watch, 0);

  std::atomic<bool> over = false;
  std::atomic<int> others = 0;
  std::thread adder([&] {
    while (!over) others += calls->add(fd, false) != watch;
  });
  int events = 0, lost = 0;
  alignas(inotify_event) std::array<char, 65536> buffer;
  const auto read_all = [&] {
    for (int got = calls->read(buffer); got > 0; got = calls->read(buffer)) {
      for (int at = 0; at < got;) {
        inotify_event head;
        std::memcpy(&head, buffer.data() + at, sizeof head);
        at += static_cast<int>(sizeof head + head.len);
        events += (head.mask & (IN_CREATE | IN_DELETE)) != 0;
        lost += (head.mask & IN_Q_OVERFLOW) != 0;
      }
    }
  };
  for (int i = 0; i < kChanges / 2; ++i) {
    EXPECT_EQ(mkdirat(fd, "d", 0755), 0);
    EXPECT_EQ(unlinkat(fd, "d", AT_REMOVEDIR), 0);
    if (i % 1000 == 0) read_all();
  }
  over = true;
  adder.join();
  read_all();
  close(fd);
  EXPECT_EQ(lost, 0) << "the queue was full";
  EXPECT_EQ(events, kChanges);
  EXPECT_EQ(others, 0) << "it is the same directory";
}

}  // namespace
}  // namespace syncline

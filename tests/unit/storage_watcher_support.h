#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/watcher.h"
#include "storage/watcher_inotify.h"

namespace syncline {

// A directory of its own for one test, gone afterwards.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "syncline-watch-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A folder, its watcher, and the events so far.
class WatchedFolder {
 public:
  using Kind = WatchEvent::Kind;
  WatchedFolder() { make(".syncline"); }

  std::string path(const std::string& relative) const { return place_.path() + "/folder/" + relative; }
  std::string outside(const std::string& name) const { return place_.path() + "/" + name; }
  void make(const std::string& directory) { std::filesystem::create_directories(path(directory)); }
  void write(const std::string& file) const { write_at(path(file)); }
  static void write_at(const std::string& file) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ASSERT_GE(fd, 0) << file;
    ASSERT_EQ(::write(fd, "x", 1), 1);
    ::close(fd);
  }
  void rename(const std::string& from, const std::string& to) {
    std::filesystem::rename(path(from), path(to));
  }

  void open(std::unique_ptr<InotifyCalls> calls = nullptr) {
    auto opened = calls ? open_watcher_with(path(""), std::move(calls)) : open_watcher(path(""));
    ASSERT_TRUE(opened) << opened.error().message;
    watcher = *std::move(opened);
    ASSERT_TRUE(pump_until([&] { return watcher->settled(); }));
  }

  bool drain() {
    return watcher->drain([this](WatchEvent&& event) { events.push_back(std::move(event)); }, budget);
  }
  // Drains as events come until `done`, at most 20 s.
  bool pump_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      const bool more = drain();
      if (done()) return true;
      pollfd ready{watcher->fd(), POLLIN, 0};
      if (!more) ::poll(&ready, 1, 50);
    }
    return false;
  }
  // All that has happened until now has been read: the events of one queue are in order.
  void pump() {
    const std::string mark = ".mark" + std::to_string(++marks_);
    write(mark);
    ASSERT_TRUE(pump_until([&] { return has(Kind::closed_write, mark) && watcher->settled(); }));
    std::filesystem::remove(path(mark));
    ASSERT_TRUE(pump_until([&] { return has(Kind::vanished, mark) && watcher->settled(); }));
    std::erase_if(events, [&](const WatchEvent& event) { return event.path == mark; });
  }
  const WatchEvent* find(Kind kind, const std::string& path) const {
    for (const WatchEvent& event : events) {
      if (event.kind == kind && event.path == path) return &event;
    }
    return nullptr;
  }
  bool has(Kind kind, const std::string& path) const { return find(kind, path) != nullptr; }
  std::size_t count(Kind kind) const {
    std::size_t out = 0;
    for (const WatchEvent& event : events) out += event.kind == kind;
    return out;
  }
  // A look was asked for at `path`, or at a subtree that holds it.
  bool mentions(const std::string& path) const {
    for (const WatchEvent& event : events) {
      if (event.path == path) return true;
      const bool wide = event.subtree || event.kind == Kind::rescan;
      if (wide && (event.path.empty() || path.starts_with(event.path + "/"))) return true;
    }
    return false;
  }
  // Writes a file into every directory and wants to hear of each under its right path.
  void expect_all_watched() {
    pump();
    events.clear();
    std::vector<std::string> wanted{"probe"};
    for (auto at = std::filesystem::recursive_directory_iterator(path("")); at != decltype(at){}; ++at) {
      const std::string relative = at->path().string().substr(path("").size());
      if (relative == ".syncline") {
        at.disable_recursion_pending();
      } else if (at->is_directory() && !at->is_symlink()) {
        wanted.push_back(relative + "/probe");
      }
    }
    for (const std::string& file : wanted) write(file);
    pump();
    for (const std::string& file : wanted) EXPECT_TRUE(has(Kind::closed_write, file)) << file;
    EXPECT_EQ(count(Kind::closed_write), wanted.size());
    EXPECT_EQ(watcher->health().directories, wanted.size());
    for (const std::string& file : wanted) std::filesystem::remove(path(file));
    pump();
    events.clear();
  }

 private:
  TemporaryDirectory place_;
  int marks_ = 0;

 public:
  std::size_t budget = 100;  // of each drain
  std::unique_ptr<Watcher> watcher;
  std::vector<WatchEvent> events;
};

}  // namespace syncline

#pragma once
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace syncline {

// Worker threads for file work. Tasks of one strand run in the order they were given, one at a time; an empty
// strand orders nothing. Bulk tasks never take the last free thread, so that an upload does not wait for a
// large file. Queues are bounded by the callers (the replica's works, the intake's looks in flight).
// Thread-safe.
class Executor {
 public:
  explicit Executor(std::size_t threads);  // at least 2
  ~Executor();                             // runs what was given, then joins

  void run(const std::string& strand, bool bulk, std::function<void()> task);

 private:
  struct Task {
    std::string strand;
    bool bulk = false;
    std::function<void()> work;
  };
  void work();
  bool next(Task& task);  // with the lock held
  void finish(const Task& task);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> ready_, bulk_ready_;
  std::unordered_map<std::string, std::deque<Task>> strands_;  // a strand in here has a task ready or running
  std::size_t bulk_running_ = 0;
  std::size_t overtaken_ = 0;  // tasks that went before a bulk one, since the last of those
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace syncline

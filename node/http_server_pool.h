#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "protocol/limits.h"

namespace syncline {

// Threads for connections, made when they are needed, at most limits::http_threads. httplib's own pool queues
// without a bound; here a full queue blocks the accepting thread, and the kernel's backlog bounds the rest.
class HttpPool {
 public:
  ~HttpPool() { shutdown(); }

  void enqueue(std::function<void()> job) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.size() < limits::http_queue; });
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < limits::http_threads)
      threads_.emplace_back([this] { work(); });
    changed_.notify_all();
  }

  // Runs what is queued, then ends the threads. By the accepting thread, after its last enqueue.
  void shutdown() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      changed_.wait(lock, [&] { return !jobs_.empty() || ending_; });
      --idle_;
      if (jobs_.empty()) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      changed_.notify_all();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool ending_ = false;
};

}  // namespace syncline

#include "node/executor.h"

#include <algorithm>
#include <utility>

namespace syncline {

constexpr std::size_t kOvertakeMost = 8;  // tasks before a bulk one that could run

Executor::Executor(std::size_t threads) {
  for (std::size_t i = 0; i < std::max<std::size_t>(threads, 2); ++i)
    threads_.emplace_back([this] { work(); });
}

Executor::~Executor() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void Executor::run(const std::string& strand, bool bulk, std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    Task t{strand, bulk, std::move(task)};
    if (!strand.empty()) {
      const auto [it, idle] = strands_.try_emplace(strand);
      if (!idle) {
        it->second.push_back(std::move(t));
        return;
      }
    }
    (bulk ? bulk_ready_ : ready_).push_back(std::move(t));
  }
  wake_.notify_one();
}

bool Executor::next(Task& task) {
  const bool bulk_may = !bulk_ready_.empty() && bulk_running_ + 1 < threads_.size();
  // Others go first, but a steady stream of them must not stop the large transfers.
  if (!ready_.empty() && (!bulk_may || ++overtaken_ <= kOvertakeMost)) {
    task = std::move(ready_.front());
    ready_.pop_front();
    return true;
  }
  if (!bulk_may) return false;
  overtaken_ = 0;
  task = std::move(bulk_ready_.front());
  bulk_ready_.pop_front();
  ++bulk_running_;
  return true;
}

void Executor::finish(const Task& task) {
  bulk_running_ -= task.bulk;
  if (task.bulk && !bulk_ready_.empty()) wake_.notify_one();  // its place is free
  if (stopping_) wake_.notify_all();                          // it may have been the last
  if (task.strand.empty()) return;
  const auto it = strands_.find(task.strand);
  if (it->second.empty()) {
    strands_.erase(it);
    return;
  }
  Task following = std::move(it->second.front());
  it->second.pop_front();
  (following.bulk ? bulk_ready_ : ready_).push_back(std::move(following));
  wake_.notify_one();
}

void Executor::work() {
  std::unique_lock lock(mutex_);
  Task task;
  while (true) {
    wake_.wait(lock, [&] {
      return next(task) || (stopping_ && ready_.empty() && bulk_ready_.empty() && strands_.empty());
    });
    if (!task.work) return;
    lock.unlock();
    task.work();
    task.work = nullptr;
    lock.lock();
    finish(task);
  }
}

}  // namespace syncline

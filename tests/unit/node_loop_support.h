#pragma once
#include <uv.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "node/control_server.h"

namespace syncline {

// A libuv loop on a thread of its own, as the node has it.
class LoopThread {
 public:
  LoopThread() {
    uv_loop_init(&loop_);
    wake_.data = this;
    uv_async_init(&loop_, &wake_, [](uv_async_t* a) { static_cast<LoopThread*>(a->data)->drain(); });
    thread_ = std::thread([this] { uv_run(&loop_, UV_RUN_DEFAULT); });
  }
  ~LoopThread() {
    post([this] { uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr); });
    thread_.join();  // ends when every handle is closed: one that leaks hangs the test
    uv_loop_close(&loop_);
  }
  uv_loop_t* uv() { return &loop_; }

  void post(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    uv_async_send(&wake_);
  }
  // Runs it there and waits for it.
  void run(const std::function<void()>& job) {
    std::promise<void> done;
    post([&] { job(), done.set_value(); });
    done.get_future().wait();
  }

 private:
  void drain() {
    for (;;) {
      std::function<void()> job;
      {
        const std::lock_guard lock(mutex_);
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
      }
      job();
    }
  }

  uv_loop_t loop_{};
  uv_async_t wake_{};
  std::mutex mutex_;
  std::deque<std::function<void()>> jobs_;
  std::thread thread_;
};

// Answers at once by `reply`, or keeps the question when it gives nullopt.
class FakeNode : public ControlHandler {
 public:
  using Reply = std::function<std::optional<Result<ControlReply>>(const ControlRequest&)>;
  explicit FakeNode(Reply reply) : reply_(std::move(reply)) {}

  void handle(const ControlRequest& request, ControlAnswer answer) override {
    if (auto reply = reply_(request)) return answer(*std::move(reply));
    const std::lock_guard lock(mutex_);
    kept_.push_back(std::move(answer));
    changed_.notify_all();
  }
  // Waits until so many questions are kept.
  void wait_for_kept(std::size_t n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return kept_.size() >= n; });
  }
  // On the loop's thread.
  void answer_kept(const Result<ControlReply>& reply) {
    std::deque<ControlAnswer> kept;
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
    }
    for (auto& answer : kept) answer(reply);
  }

 private:
  Reply reply_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ControlAnswer> kept_;
};

}  // namespace syncline

#pragma once
#include <uv.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace syncline {

// The node's event loop: one thread that owns the replica, the index's writing side and the links. A thin
// face over libuv.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;

  // Runs `fn` on the loop's thread, soon. The only thread-safe method.
  void post(std::function<void()> fn);

  // Calls `fn` whenever `fd` is readable, until the loop ends.
  void watch(int fd, std::function<void()> fn);
  void unwatch(int fd);  // before it is closed
  // Calls `fn` each time before the loop waits for something to happen.
  void before_wait(std::function<void()> fn);
  // One alarm each: calls `fn` at the time set last; setting again replaces, nullopt-like
  // `Clock::time_point::max()` clears.
  class Alarm {
   public:
    void set(std::chrono::steady_clock::time_point when);

   private:
    friend class Loop;
    uv_timer_t handle_{};
    std::function<void()> fn_;
  };
  Alarm& alarm(std::function<void()> fn);
  // Calls `fn` on SIGINT and SIGTERM.
  void on_stop_signal(std::function<void()> fn);

  void run();  // until stop()
  void stop();
  uv_loop_t* uv() { return &loop_; }

 private:
  template <class Handle>
  struct Holder {
    Handle handle{};
    std::function<void()> fn;
  };
  void run_posted();

  uv_loop_t loop_{};
  uv_async_t wake_{};
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  std::vector<std::unique_ptr<Holder<uv_poll_t>>> polls_;
  std::vector<std::unique_ptr<Holder<uv_prepare_t>>> prepares_;
  std::vector<std::unique_ptr<Holder<uv_signal_t>>> signals_;
  std::vector<std::unique_ptr<Alarm>> alarms_;
};

}  // namespace syncline

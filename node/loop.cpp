#include "node/loop.h"

#include <algorithm>

namespace syncline {

Loop::Loop() {
  uv_loop_init(&loop_);
  wake_.data = this;
  uv_async_init(&loop_, &wake_, [](uv_async_t* h) { static_cast<Loop*>(h->data)->run_posted(); });
}

Loop::~Loop() {
  uv_walk(
      &loop_,
      [](uv_handle_t* h, void*) {
        if (uv_is_closing(h) == 0) uv_close(h, nullptr);
      },
      nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_loop_close(&loop_);
}

void Loop::post(std::function<void()> fn) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(fn));
  }
  uv_async_send(&wake_);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> now;
  {
    const std::lock_guard lock(mutex_);
    now.swap(posted_);
  }
  for (auto& fn : now) fn();
}

void Loop::watch(int fd, std::function<void()> fn) {
  auto& p = *polls_.emplace_back(std::make_unique<Holder<uv_poll_t>>());
  p.fn = std::move(fn);
  p.handle.data = &p;
  uv_poll_init(&loop_, &p.handle, fd);
  uv_poll_start(&p.handle, UV_READABLE,
                [](uv_poll_t* h, int, int) { static_cast<Holder<uv_poll_t>*>(h->data)->fn(); });
}

void Loop::unwatch(int fd) {
  const auto it = std::find_if(polls_.begin(), polls_.end(), [&](const auto& p) {
    uv_os_fd_t own = -1;
    return uv_fileno(reinterpret_cast<const uv_handle_t*>(&p->handle), &own) == 0 && own == fd;
  });
  if (it == polls_.end()) return;
  Holder<uv_poll_t>* holder = it->release();  // libuv needs it until it says that it is closed
  polls_.erase(it);
  uv_poll_stop(&holder->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&holder->handle),
           [](uv_handle_t* h) { delete static_cast<Holder<uv_poll_t>*>(h->data); });
}

void Loop::before_wait(std::function<void()> fn) {
  auto& p = *prepares_.emplace_back(std::make_unique<Holder<uv_prepare_t>>());
  p.fn = std::move(fn);
  p.handle.data = &p;
  uv_prepare_init(&loop_, &p.handle);
  uv_prepare_start(&p.handle, [](uv_prepare_t* h) { static_cast<Holder<uv_prepare_t>*>(h->data)->fn(); });
}

Loop::Alarm& Loop::alarm(std::function<void()> fn) {
  Alarm& a = *alarms_.emplace_back(std::make_unique<Alarm>());
  a.fn_ = std::move(fn);
  a.handle_.data = &a;
  uv_timer_init(&loop_, &a.handle_);
  return a;
}

void Loop::Alarm::set(std::chrono::steady_clock::time_point when) {
  using namespace std::chrono;
  if (when == steady_clock::time_point::max()) {
    uv_timer_stop(&handle_);
    return;
  }
  // Rounded up: libuv counts whole milliseconds, and an alarm before its time would only be set again.
  const auto wait = std::max<std::int64_t>(
      0, duration_cast<milliseconds>(when - steady_clock::now() + microseconds(999)).count());
  uv_update_time(handle_.loop);
  uv_timer_start(
      &handle_, [](uv_timer_t* h) { static_cast<Alarm*>(h->data)->fn_(); }, static_cast<std::uint64_t>(wait),
      0);
}

void Loop::on_stop_signal(std::function<void()> fn) {
  for (const int number : {SIGINT, SIGTERM}) {
    auto& s = *signals_.emplace_back(std::make_unique<Holder<uv_signal_t>>());
    s.fn = fn;
    s.handle.data = &s;
    uv_signal_init(&loop_, &s.handle);
    uv_signal_start(
        &s.handle, [](uv_signal_t* h, int) { static_cast<Holder<uv_signal_t>*>(h->data)->fn(); }, number);
  }
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }
void Loop::stop() { uv_stop(&loop_); }

}  // namespace syncline

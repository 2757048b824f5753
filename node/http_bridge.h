#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "node/http_server.h"

namespace syncline {

// Between the HTTP threads and the loop: questions go over, answers come back, until it is closed.
class HttpBridge : public std::enable_shared_from_this<HttpBridge> {
 public:
  HttpBridge(ControlHandler& handler, HttpServer::Post post) : handler_(handler), post_(std::move(post)) {}

  // Any thread but the loop's, where `question` runs and is answered. nullopt: no answer in time, or closed.
  template <class T>
  std::optional<T> call(std::function<void(std::function<void(T)>)> question,
                        std::chrono::milliseconds patience) {
    const auto slot = std::make_shared<std::optional<T>>();
    post_([self = shared_from_this(), question = std::move(question), slot] {
      {
        const std::lock_guard lock(self->mutex_);
        if (self->closed_) return;  // who would answer may be gone
      }
      question([self, slot](T answer) {
        const std::lock_guard lock(self->mutex_);
        *slot = std::move(answer);
        self->answered_.notify_all();
      });
    });
    std::unique_lock lock(mutex_);
    answered_.wait_for(lock, patience, [&] { return slot->has_value() || closed_; });
    return std::move(*slot);
  }

  std::optional<Result<ControlReply>> ask(const ControlRequest& request, std::chrono::milliseconds patience) {
    return call<Result<ControlReply>>(
        [this, request](ControlAnswer answer) { handler_.handle(request, std::move(answer)); }, patience);
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    answered_.notify_all();
  }

 private:
  ControlHandler& handler_;
  HttpServer::Post post_;
  std::mutex mutex_;
  std::condition_variable answered_;
  bool closed_ = false;
};

// One of a bounded number of places, for as long as it lives; got: there was one.
class HttpPlace {
 public:
  HttpPlace(std::atomic<std::size_t>& taken, std::size_t max)
      : taken_(taken), got_(taken.fetch_add(1) < max) {}
  ~HttpPlace() { taken_.fetch_sub(1); }
  HttpPlace(const HttpPlace&) = delete;
  HttpPlace& operator=(const HttpPlace&) = delete;
  bool got() const { return got_; }

 private:
  std::atomic<std::size_t>& taken_;
  const bool got_;
};

}  // namespace syncline

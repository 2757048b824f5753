#pragma once
#include <functional>
#include <memory>
#include <string>

#include "protocol/control.h"
#include "protocol/error.h"

typedef struct uv_loop_s uv_loop_t;

namespace syncline {

using ControlAnswer = std::function<void(Result<ControlReply>)>;

// Answers requests from the command line and from HTTP.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // On the loop's thread. Calls `answer` exactly once, now or later, on the same thread; harmless after the
  // one who asked is gone. For a WaitRequest that is no later than its timeout.
  virtual void handle(const ControlRequest& request, ControlAnswer answer) = 0;
};

// Serves protocol/control.h on HOME/control.sock inside the node's loop. One request of a client at a time;
// what it sends meanwhile stays in the kernel. At most limits::control_clients; one more is told so and hung
// up on. SIGPIPE must be ignored by the process.
class ControlServer {
 public:
  // Takes the place of a socket left behind: the caller holds the home's lock. Error: the path is too long
  // for a socket, or the system's reason. The loop must run until the server's handles are closed (uv_run
  // after destruction); handler must live until then.
  static Result<std::unique_ptr<ControlServer>> start(uv_loop_t* loop, const std::string& path,
                                                      ControlHandler& handler);
  ~ControlServer();  // hangs up on every client and removes the socket
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  std::size_t clients() const;

 private:
  struct Impl;
  explicit ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace syncline

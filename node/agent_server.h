#pragma once
#include <functional>
#include <memory>
#include <string>

#include "protocol/error.h"

typedef struct uv_loop_s uv_loop_t;

namespace syncline {

// Answers HAProxy's agent-check: whoever connects gets one line and is hung up on. Inside the node's loop; at
// most limits::agent_clients at once, one more gets nothing. SIGPIPE must be ignored by the process.
class AgentServer {
 public:
  // `line` is asked for each, on the loop's thread; without its newline. `listen` is HOST:PORT, an address or
  // localhost; port 0 = any. Error::busy: the port is in use; other errors: the address cannot be had. The
  // loop must run until the server's handles are closed (uv_run after destruction).
  static Result<std::unique_ptr<AgentServer>> start(uv_loop_t* loop, const std::string& listen,
                                                    std::function<std::string()> line);
  ~AgentServer();
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  std::string local_address() const;  // HOST:PORT really bound

 private:
  struct Impl;
  explicit AgentServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace syncline

#pragma once
#include <functional>
#include <memory>
#include <string>

#include "node/control_server.h"
#include "protocol/error.h"

namespace syncline {

class FileSource;

// Health checks, metrics, status, wait and files over HTTP/1.1 (DESIGN.md, section 6). Every request but
// those of files is answered by the same ControlHandler as the command line, on the loop's thread. Every
// connection carries one request: an idle one would hold a thread.
class HttpServer {
 public:
  struct Options {
    std::string listen;  // HOST:PORT, port 0 = any
    std::string token;   // wanted as "Authorization: Bearer" where listen is not loopback (/healthz and
                         // /readyz excepted)
  };
  // Runs a function on the loop's thread soon. Called from any thread.
  using Post = std::function<void(std::function<void()>)>;

  // Listens at once; `files` null: there is no /v1/file. Error::busy: the port is in use; other errors: the
  // address cannot be had.
  static Result<std::unique_ptr<HttpServer>> start(const Options& options, ControlHandler& handler, Post post,
                                                   FileSource* files = nullptr);
  // On the loop's thread, or after the loop has ended. Requests in progress are answered 503; waits up to
  // some 10 s for slow clients. What was posted and has not run yet may still be run: it does nothing.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string local_address() const;  // HOST:PORT really bound

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The Prometheus text format, 0.0.4.
std::string metrics_text(const StatusReply& status);

}  // namespace syncline

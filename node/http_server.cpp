#include "node/http_server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sodium.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include "node/http_bridge.h"
#include "node/http_file.h"
#include "node/http_reply.h"
#include "node/http_server_pool.h"
#include "protocol/address.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAnswer{3'000};      // a loop that is silent for so long is not healthy
constexpr milliseconds kWaitMargin{1'000};  // a wait ends itself; this much later we do
constexpr time_t kFirstByteSeconds = 2;     // how long an idle connection may hold a thread
constexpr time_t kReadSeconds = 3;
constexpr time_t kWriteSeconds = 10;  // how long a reader may take nothing of a file
// Of one connection, doubled by the kernel: large enough for a balancer next door, small enough for a slow
// reader to be seen to take some of it within kWriteSeconds.
constexpr int kSendBufferBytes = 128 * 1024;
constexpr int kBacklog = 256;
constexpr const char* kJson = "application/json";
constexpr const char* kText = "text/plain; charset=utf-8";

class Pool final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> job) override { pool_.enqueue(std::move(job)); }
  void shutdown() override { pool_.shutdown(); }

 private:
  HttpPool pool_;
};

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

struct HttpServer::Impl {
  Impl(const Options& o, ControlHandler& handler, Post post, FileSource* source)
      : options(o), bridge(std::make_shared<HttpBridge>(handler, std::move(post))) {
    if (source) files = std::make_unique<HttpFiles>(*source, bridge);
  }

  using Request = const httplib::Request&;
  using Response = httplib::Response&;

  void configure() {
    server.new_task_queue = [] { return new Pool; };
    // The library's default is SO_REUSEPORT: a second node would share the port in silence. Its backlog of 5
    // (compiled in, 0.11.4) is raised after the bind.
    server.set_socket_options([this](socket_t s) {
      const int yes = 1;
      ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, reinterpret_cast<const char*>(&yes), sizeof yes);
      ::setsockopt(s, SOL_SOCKET, SO_SNDBUF, reinterpret_cast<const char*>(&kSendBufferBytes),
                   sizeof kSendBufferBytes);
      listener = s;
    });
    server.set_keep_alive_max_count(1);
    server.set_keep_alive_timeout(kFirstByteSeconds);
    server.set_read_timeout(kReadSeconds, 0);
    server.set_write_timeout(kWriteSeconds, 0);
    server.set_payload_max_length(limits::control_request_bytes);
    server.set_tcp_nodelay(true);
    server.set_pre_routing_handler([this](Request q, Response r) {
      const auto admitted = admit(q, r);
      const bool file = files && HttpFiles::is_of(q.target);
      if (admitted == httplib::Server::HandlerResponse::Handled || !file) return admitted;
      // Here rather than by a route: a route's pattern would be matched character by character, and is not
      // given the target as it came. The request is the library's own variable, const only for handlers.
      files->answer(const_cast<httplib::Request&>(q), r);
      return httplib::Server::HandlerResponse::Handled;
    });
    // The library's "Content-Length: 0" would say that the file is empty now.
    server.set_post_routing_handler([](Request, Response r) {
      if (r.status == 304) r.headers.erase("Content-Length");
    });
    server.Get("/healthz", [this](Request, Response r) { health(r); });
    server.Get("/readyz", [this](Request, Response r) { ready(r); });
    server.Get("/metrics", [this](Request, Response r) { metrics(r); });
    server.Get("/v1/status", [this](Request, Response r) { show(StatusRequest{}, r); });
    server.Get("/v1/conflicts", [this](Request, Response r) { show(ConflictsRequest{}, r); });
    server.Post("/v1/wait", [this](Request q, Response r) { wait(q, r); });
  }

  httplib::Server::HandlerResponse admit(Request request, Response response) const {
    using enum httplib::Server::HandlerResponse;
    if (open || request.path == "/healthz" || request.path == "/readyz") return Unhandled;
    const std::string given = request.get_header_value("Authorization");
    constexpr std::string_view scheme = "Bearer ";
    if (given.starts_with(scheme) && !options.token.empty() &&
        same_secret(std::string_view(given).substr(scheme.size()), options.token))
      return Unhandled;
    http_reply_error(response, 401, Error::Code::refused,
                     "wants \"Authorization: Bearer\" with the token of the file http-token");
    response.set_header("WWW-Authenticate", "Bearer");
    return Handled;
  }

  // What strangers may know is one word.
  std::string told(const char* word, const std::string& why) const {
    return word + (open && !why.empty() ? ": " + as_utf8(why) : std::string()) + "\n";
  }

  void health(Response response) {
    const auto reply = bridge->ask(ReadyRequest{}, kAnswer);
    const auto* state = reply && *reply ? std::get_if<ReadyReply>(&**reply) : nullptr;
    response.status = state && state->healthy ? 200 : 503;
    response.set_content(!state           ? "the node does not answer\n"
                         : state->healthy ? "ok\n"
                                          : told("not healthy", state->unhealthy),
                         kText);
  }

  void ready(Response response) {
    const auto reply = bridge->ask(ReadyRequest{}, kAnswer);
    const auto* state = reply && *reply ? std::get_if<ReadyReply>(&**reply) : nullptr;
    response.status = state && state->ready ? 200 : 503;
    if (!state) return response.set_content("the node does not answer\n", kText);
    std::string text = state->ready ? std::string(state_name(state->state)) + "\n"
                                    : told("not ready", fmt::format("{}: {}", state_name(state->state), state->reason));
    if (open) {
      for (const FolderBehind& f : state->folders)
        text += fmt::format("{}: {} changes, {} s behind\n", as_utf8(f.name), f.changes, f.seconds);
      text += fmt::format("{} changes not heard of yet\n", state->missing);
    }
    response.set_content(text, kText);
  }

  void metrics(Response response) {
    const auto reply = bridge->ask(StatusRequest{}, kAnswer);
    const auto* status = reply && *reply ? std::get_if<StatusReply>(&**reply) : nullptr;
    if (!status) return http_reply_silent(response);
    response.set_content(metrics_text(*status) + (files ? files->metrics_text() : ""),
                         "text/plain; version=0.0.4; charset=utf-8");
  }

  void show(const ControlRequest& request, Response response) {
    const auto reply = bridge->ask(request, kAnswer);
    if (!reply) return http_reply_silent(response);
    if (!*reply)
      return http_reply_error(response, http_status_of(reply->error().code), reply->error().code,
                              reply->error().message);
    std::string text = json_text(**reply);
    if (text.size() > limits::control_reply_bytes)
      return http_reply_error(response, 500, Error::Code::full, "the answer is too long to be sent");
    response.set_content(text + "\n", kJson);
  }

  void wait(Request request, Response response) {
    const auto wanted = parse_wait(request.body);
    if (!wanted) return http_reply_error(response, 400, wanted.error().code, wanted.error().message);
    const HttpPlace place(waits, limits::http_waits);
    if (!place.got())
      return http_reply_error(response, 503, Error::Code::busy, "too many waits at once; try again");
    const auto reply = bridge->ask(*wanted, milliseconds(wanted->timeout_ms) + kWaitMargin);
    if (!reply) return http_reply_silent(response);
    if (!*reply)
      return http_reply_error(response, http_status_of(reply->error().code), reply->error().code,
                              reply->error().message);
    const auto* result = std::get_if<WaitReply>(&**reply);
    response.status = result && result->done ? 200 : 504;
    response.set_content(json_text(**reply) + "\n", kJson);
  }

  Status bind() {
    const auto address = parse_address(options.listen);
    if (!address) return fail(Error::Code::invalid, "http: " + address.error().message);
    open = address->is_loopback();
    local = *address;
    errno = 0;
    if (address->port == 0) {
      const int port = server.bind_to_any_port(address->host.c_str());
      if (port > 0) local.port = static_cast<std::uint16_t>(port);
    } else if (!server.bind_to_port(address->host.c_str(), address->port)) {
      local.port = 0;
    }
    const int error = errno;
    if (local.port == 0)
      return fail(
          error == EADDRINUSE ? Error::Code::busy : Error::Code::io,
          error == EADDRINUSE
              ? fmt::format(
                    "http: {} is in use by another program; choose another with --http or in config.toml",
                    address->text())
              : fmt::format("http: cannot listen on {}: {}", address->text(),
                            error ? std::strerror(error) : "no such host"));
    ::listen(listener, kBacklog);
    return {};
  }

  Options options;
  bool open = false;  // bound to loopback: no token wanted
  Address local;
  std::shared_ptr<HttpBridge> bridge;
  std::unique_ptr<HttpFiles> files;
  std::atomic<std::size_t> waits{0};
  socket_t listener = INVALID_SOCKET;
  httplib::Server server;
  std::atomic<bool> ended{false};
  std::thread accepting;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const Options& options, ControlHandler& handler,
                                                      Post post, FileSource* files) {
  auto impl = std::make_unique<Impl>(options, handler, std::move(post), files);
  impl->configure();
  if (const Status bound = impl->bind(); !bound) return tl::unexpected(bound.error());
  impl->accepting = std::thread([i = impl.get()] {
    i->server.listen_after_bind();
    i->ended = true;
  });
  // stop() before it runs would be lost.
  while (!impl->server.is_running() && !impl->ended) std::this_thread::yield();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->bridge->close();
  impl_->server.stop();
  impl_->accepting.join();
}

std::string HttpServer::local_address() const { return impl_->local.text(); }

}  // namespace syncline

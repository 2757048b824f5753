#include "node/control_server.h"

#include <fmt/format.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "node/control_socket.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

// One connection. Its handle keeps it alive (shared) until libuv has closed it, so that late answers and
// write callbacks find it.
class Client : public std::enable_shared_from_this<Client> {
 public:
  using Gone = std::function<void(const std::shared_ptr<Client>&)>;
  Client(ControlHandler& handler, Gone gone) : handler_(handler), gone_(std::move(gone)) {}

  bool accept(uv_loop_t* loop, uv_stream_t* server) {
    uv_pipe_init(loop, &pipe_, 0);
    pipe_.data = this;
    alive_ = shared_from_this();
    if (uv_accept(server, stream()) != 0) return close(), false;
    return true;
  }

  void serve() { read(); }

  void turn_away(const std::string& line) {
    last_ = true;
    send(line);
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    const auto keep = shared_from_this();
    if (gone_) std::exchange(gone_, {})(keep);
    uv_close(reinterpret_cast<uv_handle_t*>(&pipe_), [](uv_handle_t* h) { self(h).alive_.reset(); });
  }

 private:
  template <class Handle>
  static Client& self(Handle* h) {
    return *static_cast<Client*>(h->data);
  }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&pipe_); }

  void read() {
    const auto allocate = [](uv_handle_t* h, std::size_t, uv_buf_t* b) {
      *b = uv_buf_init(self(h).piece_.data(), static_cast<unsigned>(self(h).piece_.size()));
    };
    const auto got = [](uv_stream_t* s, ssize_t n, const uv_buf_t*) { self(s).received(n); };
    if (uv_read_start(stream(), allocate, got) != 0) close();
  }

  void received(ssize_t n) {
    if (n == 0) return;
    if (n < 0) return close();
    input_.append(piece_.data(), static_cast<std::size_t>(n));
    next_line();
  }

  // Takes one line off the input, and no further one before it is answered.
  void next_line() {
    const std::size_t end = input_.find('\n');
    if (end == std::string::npos && input_.size() <= limits::control_request_bytes) return;
    uv_read_stop(stream());
    if (end == std::string::npos || end > limits::control_request_bytes) {
      last_ = true;
      return send(encode_reply(fail(Error::Code::invalid, "bad request: too long")));
    }
    const auto request = decode_request(std::string_view(input_).substr(0, end));
    input_.erase(0, end + 1);
    if (!request) return send(encode_reply(tl::unexpected(request.error())));
    handler_.handle(*request, [weak = weak_from_this()](const Result<ControlReply>& reply) {
      if (const auto client = weak.lock()) client->send(encode_reply(reply));
    });
  }

  void send(std::string line) {
    if (closed_) return;
    output_ = std::move(line);
    output_ += '\n';
    const uv_buf_t buffer = uv_buf_init(output_.data(), static_cast<unsigned>(output_.size()));
    write_.data = this;
    const auto sent = [](uv_write_t* w, int status) { self(w).sent(status); };
    if (uv_write(&write_, stream(), &buffer, 1, sent) != 0) close();
  }

  void sent(int status) {
    if (closed_) return;
    std::string().swap(output_);
    if (status != 0 || last_) return close();
    if (input_.find('\n') != std::string::npos) return next_line();
    read();
  }

  ControlHandler& handler_;
  Gone gone_;
  uv_pipe_t pipe_{};
  uv_write_t write_{};
  std::array<char, 4096> piece_{};
  std::string input_, output_;  // input: at most limits::control_request_bytes and a piece
  bool closed_ = false;
  bool last_ = false;  // hang up once this answer has gone
  std::shared_ptr<Client> alive_;
};

}  // namespace

struct ControlServer::Impl {
  Impl(uv_loop_t* l, ControlHandler& h, std::string p) : loop(l), handler(h), path(std::move(p)) {}

  void connected() {
    const bool room = clients.size() < limits::control_clients;
    const auto forget = [this](const std::shared_ptr<Client>& gone) { clients.erase(gone); };
    auto client = std::make_shared<Client>(handler, room ? Client::Gone(forget) : Client::Gone());
    if (room) clients.insert(client);
    if (!client->accept(loop, reinterpret_cast<uv_stream_t*>(&pipe))) return;
    if (room) return client->serve();
    client->turn_away(encode_reply(fail(Error::Code::busy, "too many clients at once; try again")));
  }

  uv_loop_t* loop;
  ControlHandler& handler;
  std::string path;
  uv_pipe_t pipe{};
  std::unordered_set<std::shared_ptr<Client>> clients;
  std::shared_ptr<Impl> alive;  // until the handle is closed
};

Result<std::unique_ptr<ControlServer>> ControlServer::start(uv_loop_t* loop, const std::string& path,
                                                            ControlHandler& handler) {
  if (const Status good = check_socket_path(path); !good) return tl::unexpected(good.error());
  remove_socket(path);
  auto impl = std::make_shared<Impl>(loop, handler, path);
  uv_pipe_init(loop, &impl->pipe, 0);
  impl->pipe.data = impl.get();
  impl->alive = impl;
  std::unique_ptr<ControlServer> server(new ControlServer(impl));
  const auto connected = [](uv_stream_t* s, int status) {
    if (status == 0) static_cast<Impl*>(s->data)->connected();
  };
  int error = uv_pipe_bind(&impl->pipe, path.c_str());
  if (error == 0) {
    if (const Status done = make_socket_private(path); !done) return tl::unexpected(done.error());
    error = uv_listen(reinterpret_cast<uv_stream_t*>(&impl->pipe), 16, connected);
  }
  if (error != 0) return fail(Error::Code::io, fmt::format("{}: {}", path, uv_strerror(error)));
  return server;
}

ControlServer::~ControlServer() {
  const auto clients = impl_->clients;  // each takes itself off the set
  for (const auto& client : clients) client->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->pipe),
           [](uv_handle_t* h) { static_cast<Impl*>(h->data)->alive.reset(); });
  remove_socket(impl_->path);
}

std::size_t ControlServer::clients() const { return impl_->clients.size(); }

}  // namespace syncline

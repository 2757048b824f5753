#include "node/agent_server.h"

#include <fmt/format.h>
#include <uv.h>

#include <unordered_set>

#include "protocol/address.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

// One connection; it lives until libuv has closed its handle.
struct Asker {
  uv_tcp_t tcp{};
  uv_write_t write{};
  std::string line;
  std::unordered_set<Asker*>* among = nullptr;  // null: not counted, or the server is gone

  void close() {
    if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&tcp))) return;
    if (among) among->erase(this);
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp),
             [](uv_handle_t* h) { delete static_cast<Asker*>(h->data); });
  }
};

Result<sockaddr_storage> socket_address(const Address& address) {
  sockaddr_storage out{};
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  if (uv_ip4_addr(host.c_str(), address.port, reinterpret_cast<sockaddr_in*>(&out)) == 0) return out;
  if (uv_ip6_addr(host.c_str(), address.port, reinterpret_cast<sockaddr_in6*>(&out)) == 0) return out;
  return fail(Error::Code::invalid, fmt::format("agent: {} is no address of this machine", address.host));
}

}  // namespace

struct AgentServer::Impl {
  uv_tcp_t tcp{};
  Address local{};
  std::function<std::string()> line;
  std::unordered_set<Asker*> askers;
  std::shared_ptr<Impl> alive;  // until the handle is closed

  void connected() {
    auto* asker = new Asker;
    uv_tcp_init(tcp.loop, &asker->tcp);
    asker->tcp.data = asker;
    auto* stream = reinterpret_cast<uv_stream_t*>(&asker->tcp);
    if (uv_accept(reinterpret_cast<uv_stream_t*>(&tcp), stream) != 0 || askers.size() >= limits::agent_clients)
      return asker->close();
    askers.insert(asker);
    asker->among = &askers;
    asker->line = line() + "\n";
    const uv_buf_t buffer = uv_buf_init(asker->line.data(), static_cast<unsigned>(asker->line.size()));
    asker->write.data = asker;
    const auto sent = [](uv_write_t* w, int) { static_cast<Asker*>(w->data)->close(); };
    if (uv_write(&asker->write, stream, &buffer, 1, sent) != 0) asker->close();
  }
};

Result<std::unique_ptr<AgentServer>> AgentServer::start(uv_loop_t* loop, const std::string& listen,
                                                        std::function<std::string()> line) {
  const auto address = parse_address(listen);
  if (!address) return fail(Error::Code::invalid, "agent: " + address.error().message);
  const auto socket = socket_address(*address);
  if (!socket) return tl::unexpected(socket.error());
  auto impl = std::make_shared<Impl>();
  impl->local = *address;
  impl->line = std::move(line);
  uv_tcp_init(loop, &impl->tcp);
  impl->tcp.data = impl.get();
  impl->alive = impl;
  std::unique_ptr<AgentServer> server(new AgentServer(impl));
  int error = uv_tcp_bind(&impl->tcp, reinterpret_cast<const sockaddr*>(&*socket), 0);
  const auto connected = [](uv_stream_t* s, int status) {
    if (status == 0) static_cast<Impl*>(s->data)->connected();
  };
  if (error == 0) error = uv_listen(reinterpret_cast<uv_stream_t*>(&impl->tcp), 64, connected);
  if (error == UV_EADDRINUSE)
    return fail(Error::Code::busy, fmt::format("agent: {} is in use by another program; choose another in config.toml",
                                               address->text()));
  if (error != 0)
    return fail(Error::Code::io, fmt::format("agent: cannot listen on {}: {}", address->text(), uv_strerror(error)));
  sockaddr_storage bound{};
  int size = sizeof bound;
  uv_tcp_getsockname(&impl->tcp, reinterpret_cast<sockaddr*>(&bound), &size);
  impl->local.port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                       : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return server;
}

AgentServer::~AgentServer() {
  const auto askers = std::exchange(impl_->askers, {});
  for (Asker* asker : askers) asker->among = nullptr, asker->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&impl_->tcp),
           [](uv_handle_t* h) { static_cast<Impl*>(h->data)->alive.reset(); });
}

std::string AgentServer::local_address() const { return impl_->local.text(); }

}  // namespace syncline

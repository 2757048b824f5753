#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

#include "node/datagram_address.h"
#include "node/datagram_sockaddr_posix.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

Result<std::vector<Endpoint>> look_up(const HostPort& address, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.host.c_str(), nullptr, &hints, &found);
  if (error != 0)
    return fail(Error::Code::not_found,
                fmt::format("cannot resolve '{}': {}", address.host, gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  std::vector<Endpoint> out;
  for (const addrinfo* at = found; at && out.size() < limits::resolved_addresses; at = at->ai_next) {
    auto endpoint = from_sockaddr(*at->ai_addr);
    if (!endpoint) continue;
    endpoint->port = address.port;
    if (std::find(out.begin(), out.end(), *endpoint) == out.end()) out.push_back(*endpoint);
  }
  return out;
}

}  // namespace

std::optional<Endpoint> from_sockaddr(const sockaddr& address) {
  Endpoint out;
  if (address.sa_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    out.ip[10] = out.ip[11] = 0xff;
    std::memcpy(&out.ip[12], &v4.sin_addr, 4);
    out.port = ntohs(v4.sin_port);
    return out;
  }
  if (address.sa_family != AF_INET6) return std::nullopt;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  std::memcpy(out.ip.data(), &v6.sin6_addr, 16);
  out.port = ntohs(v6.sin6_port);
  out.scope = IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) ? v6.sin6_scope_id : 0;
  return out;
}

socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out) {
  if (family == AF_INET) {
    if (!endpoint.is_v4()) return 0;
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, &endpoint.ip[12], 4);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  std::memcpy(&v6.sin6_addr, endpoint.ip.data(), 16);
  v6.sin6_scope_id = endpoint.scope;
  return sizeof v6;
}

std::string to_string(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  if (endpoint.is_v4()) {
    inet_ntop(AF_INET, &endpoint.ip[12], text, sizeof text);
    return fmt::format("{}:{}", text, endpoint.port);
  }
  inet_ntop(AF_INET6, endpoint.ip.data(), text, sizeof text);
  char interface[IF_NAMESIZE] = "";
  if (endpoint.scope != 0 && if_indextoname(endpoint.scope, interface))
    return fmt::format("[{}%{}]:{}", text, interface, endpoint.port);
  return fmt::format("[{}]:{}", text, endpoint.port);
}

std::optional<Endpoint> numeric_endpoint(const HostPort& address) {
  if (address.host.empty()) return Endpoint{{}, address.port, 0};
  const auto found = look_up(address, AI_NUMERICHOST);
  if (!found || found->empty()) return std::nullopt;
  return found->front();
}

Result<std::vector<Endpoint>> resolve(const HostPort& address) {
  auto found = look_up(address, 0);
  if (found && found->empty())
    return fail(Error::Code::not_found, fmt::format("'{}' has no address", address.host));
  return found;
}

}  // namespace syncline

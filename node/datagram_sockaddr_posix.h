#pragma once
#include <sys/socket.h>

#include <cstring>
#include <optional>

#include "node/datagram_address.h"

// Between our addresses and the system's; for the *_posix.cpp files only.
namespace syncline {

std::optional<Endpoint> from_sockaddr(const sockaddr& address);  // nullopt: neither IPv4 nor IPv6
// For a socket of `family`. 0: an IPv6 address on an IPv4 socket.
socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out);

}  // namespace syncline

#pragma once
#include <string>

#include "protocol/error.h"

// What differs between the systems about a local stream socket with a name in the file system.
namespace syncline {

// Error::refused when the system's address structure cannot hold the path (POSIX: some 107 bytes). libuv 1.44
// would cut it off in silence.
Status check_socket_path(const std::string& path);
Status make_socket_private(const std::string& path);  // 0600
void remove_socket(const std::string& path);          // only a socket; anything else stays

}  // namespace syncline

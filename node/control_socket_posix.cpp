#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "node/control_socket.h"

namespace syncline {

Status check_socket_path(const std::string& path) {
  constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= most) return {};
  return fail(Error::Code::refused,
              fmt::format("{}: too long for a socket ({} bytes, at most {}): use a shorter --home", path,
                          path.size(), most));
}

Status make_socket_private(const std::string& path) {
  if (::chmod(path.c_str(), 0600) == 0) return {};
  return fail(Error::Code::io, fmt::format("{}: {}", path, std::strerror(errno)));
}

void remove_socket(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
}

}  // namespace syncline

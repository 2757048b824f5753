#include <poll.h>

#include <algorithm>

#include "node/join_wait.h"

namespace syncline {

void wait_readable(int fd, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd wanted{fd, POLLIN, 0};
  ::poll(&wanted, 1, static_cast<int>(std::clamp<decltype(left)>(left, 0, 1000)));
}

}  // namespace syncline

#pragma once
#include "node/transport.h"

namespace syncline {

// Returns when the socket is readable or the time has come; sooner at will.
void wait_readable(int fd, Clock::time_point until);

}  // namespace syncline

#pragma once
#include <cstdint>

namespace syncline {

// The minute of the day on this machine's wall, 0 to 1439.
std::uint32_t local_minute_of_day();

}  // namespace syncline

#include <ctime>

#include "node/local_time.h"

namespace syncline {

std::uint32_t local_minute_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) return 0;
  return static_cast<std::uint32_t>(local.tm_hour * 60 + local.tm_min);
}

}  // namespace syncline

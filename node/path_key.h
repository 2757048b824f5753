#pragma once
#include <compare>
#include <string>

#include "protocol/ids.h"

namespace syncline {

struct PathKey {
  FolderId folder = 0;
  std::string path{};
  auto operator<=>(const PathKey&) const = default;
};

}  // namespace syncline

#include "node/own_changes.h"

#include <cassert>
#include <utility>

namespace syncline {

std::optional<Look> OwnChanges::end(const std::string& path) {
  const auto it = under_way_.find(path);
  assert(it != under_way_.end() && it->second.applies > 0);
  if (recent_.size() >= kRecentMax) recent_.clear();
  recent_.insert(path);
  if (--it->second.applies > 0) return std::nullopt;
  auto look = std::move(it->second.look);
  under_way_.erase(it);
  return look;
}

bool OwnChanges::puts_off(const Look& look) {
  const auto it = under_way_.find(look.path);
  if (it == under_way_.end()) return false;
  std::optional<Look>& kept = it->second.look;
  const bool force = look.force || (kept && kept->force), written = look.written || (kept && kept->written);
  kept = look;
  kept->force = force, kept->written = written;
  return true;
}

}  // namespace syncline

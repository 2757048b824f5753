#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "storage/look.h"

namespace syncline {

// The paths that this node itself is changing, or has just changed: the watcher reports those, too, and most of them need not be read
// again. One thread.
class OwnChanges {
 public:
  void begin(const std::string& path) { ++under_way_[path].applies; }
  // Returns the look that was put off meanwhile.
  std::optional<Look> end(const std::string& path);
  // True: this look is kept until end(), for nobody knows yet what should be there.
  [[nodiscard]] bool puts_off(const Look& look);
  // The path was changed by this node since this was asked last (or is forgotten: some are remembered).
  [[nodiscard]] bool take_recent(const std::string& path) { return recent_.erase(path) > 0; }

 private:
  static constexpr std::size_t kRecentMax = 4096;  // one forgotten is read once more
  struct UnderWay {
    unsigned applies = 0;
    std::optional<Look> look;
  };
  std::unordered_map<std::string, UnderWay> under_way_;
  std::unordered_set<std::string> recent_;
};

}  // namespace syncline

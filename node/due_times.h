#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "node/path_key.h"

namespace syncline {

// When each of some paths is due. What is due costs its own number, however many wait. Owner's thread; times are monotonic, in ms.
class DueTimes {
 public:
  static constexpr std::uint64_t never = UINT64_MAX;

  bool empty() const { return at_.empty(); }
  bool contains(const PathKey& key) const { return at_.contains(key); }
  std::uint64_t at_ms(const PathKey& key) const {  // `never`, too, for a path that is not here
    const auto it = at_.find(key);
    return it == at_.end() ? never : it->second;
  }
  std::uint64_t next_ms() const { return due_.empty() ? never : due_.begin()->first; }

  void set(const PathKey& key, std::uint64_t at_ms) {
    const auto [it, fresh] = at_.try_emplace(key, at_ms);
    if (!fresh && it->second != never) due_.erase({it->second, key});
    it->second = at_ms;
    if (at_ms != never) due_.insert({at_ms, key});
  }
  void erase(const PathKey& key) {
    const auto it = at_.find(key);
    if (it == at_.end()) return;
    due_.erase({it->second, key});
    at_.erase(it);
  }
  // What is due, which is set to `never`: each is to be set anew, or erased.
  std::vector<PathKey> take_due(std::uint64_t now_ms) {
    std::vector<PathKey> out;
    while (!due_.empty() && due_.begin()->first <= now_ms) {
      out.push_back(due_.begin()->second);
      due_.erase(due_.begin());
      at_[out.back()] = never;
    }
    return out;
  }

 private:
  std::map<PathKey, std::uint64_t> at_;
  std::set<std::pair<std::uint64_t, PathKey>> due_;
};

}  // namespace syncline

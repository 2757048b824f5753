#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "node/path_key.h"

namespace syncline {

// Paths to be taken up again, and when. A path that is being tried keeps its place, so that its back-off grows until it succeeds.
class Retries {
 public:
  static constexpr std::uint64_t never = UINT64_MAX;

  bool contains(const PathKey& key) const { return entries_.contains(key); }
  std::size_t size() const { return entries_.size(); }
  unsigned count(const PathKey& key) const {  // of failures
    const auto it = entries_.find(key);
    return it == entries_.end() ? 0 : it->second.count;
  }
  // Since when the path is behind; `never`: it is large, and may be.
  std::uint64_t since_ms(const PathKey& key) const {
    const auto it = entries_.find(key);
    return it == entries_.end() ? never : it->second.since_ms;
  }
  template <class Visit>  // (key, since_ms) of each
  void each(Visit visit) const {
    for (const auto& [key, e] : entries_) visit(key, e.since_ms);
  }
  std::uint64_t next_ms() const { return due_.empty() ? never : due_.begin()->first; }

  void failed(const PathKey& key, std::uint64_t now_ms, std::uint64_t min_ms, std::uint64_t max_ms) {
    Entry& e = entries_[key];
    e.backoff_ms = std::clamp(e.backoff_ms * 2, min_ms, max_ms);
    ++e.count;
    set(key, e, now_ms + e.backoff_ms);
  }
  void set_since(const PathKey& key, std::uint64_t since_ms) {
    if (const auto it = entries_.find(key); it != entries_.end()) it->second.since_ms = since_ms;
  }
  // At this time, whatever has been before; nothing for a path that is not here or is being tried.
  void hasten(const PathKey& key, std::uint64_t at_ms) {
    const auto it = entries_.find(key);
    if (it == entries_.end() || it->second.at_ms == never) return;
    it->second.backoff_ms = it->second.count = 0;
    set(key, it->second, at_ms);
  }
  void all_due(std::uint64_t now_ms) {
    for (auto& [key, e] : entries_) {
      e.backoff_ms = e.count = 0;
      if (e.at_ms != never) set(key, e, now_ms);
    }
  }
  // What is due, taken from the clock: each is to be settled by failed(), later() or erase().
  std::vector<PathKey> take_due(std::uint64_t now_ms) {
    std::vector<PathKey> out;
    while (!due_.empty() && due_.begin()->first <= now_ms) {
      out.push_back(due_.begin()->second);
      set(out.back(), entries_[out.back()], never);
    }
    return out;
  }
  void later(const PathKey& key, std::uint64_t at_ms) {
    if (const auto it = entries_.find(key); it != entries_.end()) set(key, it->second, at_ms);
  }
  void erase(const PathKey& key) {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return;
    due_.erase({it->second.at_ms, key});
    entries_.erase(it);
  }

 private:
  struct Entry {
    std::uint64_t at_ms = never, backoff_ms = 0;
    unsigned count = 0;
    std::uint64_t since_ms = never;
  };
  void set(const PathKey& key, Entry& e, std::uint64_t at_ms) {
    if (e.at_ms != never) due_.erase({e.at_ms, key});
    e.at_ms = at_ms;
    if (at_ms != never) due_.insert({at_ms, key});
  }

  std::map<PathKey, Entry> entries_;
  std::set<std::pair<std::uint64_t, PathKey>> due_;
};

}  // namespace syncline

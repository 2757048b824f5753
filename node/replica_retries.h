#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "node/due_times.h"

namespace syncline {

// Paths to be taken up again, and when. A path that is being tried keeps its place, so that its back-off grows until it succeeds.
class Retries {
 public:
  static constexpr std::uint64_t never = DueTimes::never;

  bool contains(const PathKey& key) const { return entries_.contains(key); }
  std::size_t size() const { return entries_.size(); }
  bool is_tried(const PathKey& key) const { return contains(key) && due_.at_ms(key) == never; }  // now
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
  std::uint64_t next_ms() const { return due_.next_ms(); }

  void failed(const PathKey& key, std::uint64_t now_ms, std::uint64_t min_ms, std::uint64_t max_ms) {
    Entry& e = entries_[key];
    e.backoff_ms = std::clamp(e.backoff_ms * 2, min_ms, max_ms);
    ++e.count;
    due_.set(key, now_ms + e.backoff_ms);
  }
  void set_since(const PathKey& key, std::uint64_t since_ms) {
    if (const auto it = entries_.find(key); it != entries_.end()) it->second.since_ms = since_ms;
  }
  // At this time, whatever has been before; nothing for a path that is not here or is being tried.
  void hasten(const PathKey& key, std::uint64_t at_ms) {
    const auto it = entries_.find(key);
    if (it == entries_.end() || is_tried(key)) return;
    it->second.backoff_ms = it->second.count = 0;
    due_.set(key, at_ms);
  }
  void all_due(std::uint64_t now_ms) {
    for (auto& [key, e] : entries_) {
      e.backoff_ms = e.count = 0;
      if (due_.at_ms(key) != never) due_.set(key, now_ms);
    }
  }
  // What is due, taken from the clock: each is to be settled by failed(), later() or erase().
  std::vector<PathKey> take_due(std::uint64_t now_ms) { return due_.take_due(now_ms); }
  void later(const PathKey& key, std::uint64_t at_ms) {
    if (entries_.contains(key)) due_.set(key, at_ms);
  }
  void erase(const PathKey& key) {
    if (entries_.erase(key) > 0) due_.erase(key);
  }

 private:
  struct Entry {
    std::uint64_t backoff_ms = 0;
    unsigned count = 0;
    std::uint64_t since_ms = never;
  };

  std::map<PathKey, Entry> entries_;
  DueTimes due_;
};

}  // namespace syncline

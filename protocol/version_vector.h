#pragma once
#include <cstdint>
#include <vector>

#include "protocol/ids.h"

namespace syncline {

// Sparse version vector: actor -> highest seq, an absent actor counting as 0. Sorted by actor, so that equal vectors have
// equal bytes. A record's context holds what the writer had seen of one path; a node's vector what it holds without gaps.
class VersionVector {
 public:
  struct Entry {
    ActorId actor;
    std::uint64_t seq = 0;
    bool operator==(const Entry&) const = default;
  };

  std::uint64_t get(const ActorId& actor) const;
  void raise(const ActorId& actor, std::uint64_t seq);  // to the greater of the two; seq 0 adds nothing
  void raise(const Dot& dot) { raise(dot.actor, dot.seq); }
  void merge(const VersionVector& other);               // the least upper bound
  bool covers(const Dot& dot) const { return get(dot.actor) >= dot.seq; }
  bool covers(const VersionVector& other) const;

  const std::vector<Entry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  bool operator==(const VersionVector&) const = default;

 private:
  std::vector<Entry> entries_;  // strictly ascending by actor, every seq > 0
};

}  // namespace syncline

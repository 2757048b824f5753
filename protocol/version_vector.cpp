#include "protocol/version_vector.h"

#include <algorithm>

namespace syncline {

static auto at(auto& entries, const ActorId& actor) {
  return std::lower_bound(entries.begin(), entries.end(), actor,
                          [](const VersionVector::Entry& e, const ActorId& a) { return e.actor < a; });
}

std::uint64_t VersionVector::get(const ActorId& actor) const {
  const auto it = at(entries_, actor);
  return it != entries_.end() && it->actor == actor ? it->seq : 0;
}

void VersionVector::raise(const ActorId& actor, std::uint64_t seq) {
  if (seq == 0) return;
  const auto it = at(entries_, actor);
  if (it != entries_.end() && it->actor == actor) {
    it->seq = std::max(it->seq, seq);
  } else {
    entries_.insert(it, {actor, seq});
  }
}

void VersionVector::merge(const VersionVector& other) {
  for (const Entry& e : other.entries_) raise(e.actor, e.seq);
}

bool VersionVector::covers(const VersionVector& other) const {
  return std::all_of(other.entries_.begin(), other.entries_.end(),
                     [this](const Entry& e) { return get(e.actor) >= e.seq; });
}

}  // namespace syncline

#pragma once
#include <map>

#include "storage/kv.h"

namespace syncline {

// Changes that lie over an ordered map; a missing value hides the key below.
using KvOverlay = std::map<Bytes, std::optional<Bytes>, std::less<>>;

// Reads [it, end), ascending changes, over the ascending items of `base`: up to `max_items` of what is then
// visible. Base: peek() gives a pointer to a pair of (key, value), null at its end; next() goes on.
template <class It, class Base>
KvItems merge_over(It it, It end, Base& base, std::size_t max_items) {
  KvItems out;
  while (out.size() < max_items) {
    const auto* below = base.peek();
    if (it == end && below == nullptr) break;
    if (it == end || (below != nullptr && below->first < it->first)) {
      out.emplace_back(below->first, below->second);
      base.next();
      continue;
    }
    if (below != nullptr && below->first == it->first) base.next();
    if (it->second) out.emplace_back(it->first, *it->second);
    ++it;
  }
  return out;
}

// Where a range ends in an overlay; `last` empty = at its end.
inline KvOverlay::const_iterator range_end(const KvOverlay& overlay, BytesView last) {
  return last.empty() ? overlay.end() : overlay.lower_bound(last);
}

}  // namespace syncline

#pragma once
#include <optional>

#include "protocol/record.h"

namespace syncline {

// What a path's live version and conflicts become when one more version is heard of.
struct Merged {
  bool incoming_wins = false;      // the incoming record becomes the live one
  bool loser_unseen = false;       // the loser was concurrent and is worth a conflict entry
  friend bool operator==(const Merged&, const Merged&) = default;
};

// Last writer wins by (HLC, dot), whatever the order of delivery; the contexts decide only whether the loser had been
// seen by the winner's writer (DESIGN.md, data model; model.py is the same rule as a program). Pure and total.
// `live` and `incoming` name the same path. The same dot twice changes nothing.
Merged merge(const Record& live, const Record& incoming);

}  // namespace syncline

#pragma once
#include <string>
#include <string_view>

#include "protocol/control.h"
#include "protocol/error.h"

namespace syncline {

struct Diff {
  bool same = false;  // the bytes are equal
  bool text =
      false;  // both sides are text, and `output` is a unified diff; else that says in a line what differs
  std::string output;  // ends with a newline
};

// From the live file (---) to the loser (+++). Reads the two files that the node named. Error: one of them is
// gone, or its bytes are not on this node.
Result<Diff> diff_conflict(const ConflictShowReply& conflict);
std::string diff_json(const ConflictShowReply& conflict, const Diff& diff);

// A unified diff with three lines of context of two texts, "" if they are equal. Myers' O(ND) greedy
// algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986); texts further apart than some
// thousand lines are shown as one replaced by the other.
std::string unified_diff(std::string_view old_text, std::string_view new_text, std::string_view old_name,
                         std::string_view new_name);

}  // namespace syncline

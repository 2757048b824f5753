#pragma once
#include "node/events.h"

namespace syncline::scale {

// What a disk would answer that does all it is told, and has every content that it is asked for.
FileOutcome outcome_of(const FileJob& job);

}  // namespace syncline::scale

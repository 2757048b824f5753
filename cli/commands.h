#pragma once
#include "cli/options.h"

namespace syncline {

// Does it and prints. The exit status: 0 done, 1 refused or failed (one line on standard error), 3 timed out.
int run_command(const Command& command);

}  // namespace syncline

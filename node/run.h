#pragma once
#include <string>

namespace syncline {

struct RunOptions {
  std::string home;  // absolute
};

// `synclined run`: runs the node of this home until SIGTERM or SIGINT. Returns the exit status: 0 asked to
// stop, 1 refused or failed with one line on standard error.
int run_node(const RunOptions& options);

}  // namespace syncline

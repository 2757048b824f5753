#pragma once
#include <string>
#include <vector>

#include "protocol/error.h"

// What the command line needs from the operating system.
namespace syncline {

bool running_as_root();
bool writes_to_terminal();  // standard output

// Becomes synclined: the one beside this program, else the one in PATH. Returns only on failure.
Error become_synclined(const std::vector<std::string>& arguments);

// Sends one line to the node of this home and returns its one-line answer. Error::refused when no node
// answers there; Error::timed_out when it takes longer than timeout_ms.
Result<std::string> ask_node(const std::string& home, std::string line, std::uint64_t timeout_ms);

}  // namespace syncline

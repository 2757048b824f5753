#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/import.h"
#include "cli/lb_check.h"
#include "cli/lb_plan.h"
#include "protocol/control.h"

namespace syncline {

// What the command line asks for (DESIGN.md, section 6).
struct StartNode {  // init, join, run: handed to synclined, with these arguments
  std::vector<std::string> arguments;
};
struct ShowStatus {
  bool watch = false;
};
struct RunVerify {
  bool repair = false;
};
struct ShowFolders {};
struct ShowDiff {
  std::string id;
};
struct PrintLb {
  LbOptions options;
  bool explain = false;
};
struct CheckLb {
  LbCheckOptions options;
};
struct ImportRsync {
  std::string file;  // - is standard input
  std::vector<std::string> clients;
};
using Ask = ControlRequest;  // everything else is one request and its answer

struct Command {
  std::variant<StartNode, ShowStatus, RunVerify, ShowFolders, ShowDiff, PrintLb, CheckLb, ImportRsync, Ask> what;
  std::string home;  // of the node; not used by StartNode, whose arguments name it
  bool json = false;
};

// The command, or an exit status: 0 after --help or --version, 2 after a usage error; the text has been
// printed.
std::variant<Command, int> parse_command_line(int argc, char** argv);

// "500ms", "5s", "10m", "1h", "7d"; a bare number is seconds. nullopt: malformed, or above what 64 bits of
// milliseconds hold.
std::optional<std::uint64_t> parse_duration_ms(std::string_view text);

}  // namespace syncline

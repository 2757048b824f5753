#pragma once
#include <array>

#include "cli/options.h"

namespace CLI {
class App;
}

// Private to cli/options*.cpp: `syncline lb ...` and `syncline import`.
namespace syncline {

struct LbCommands {
  std::array<CLI::App*, std::size(kLbPrograms)> programs{};
  CLI::App *check = nullptr, *import = nullptr;
  // Filled in while the command line is parsed.
  PrintLb print;
  CheckLb checked;
  ImportRsync imported;
  std::string app_server, checks, timeout = "5s";
};

void add_lb_commands(CLI::App& app, LbCommands& commands, bool& json);

// Whether it was one of them; `out` is then what is to be done.
bool take_lb_command(const LbCommands& commands, Command& out);

}  // namespace syncline

#include "cli/commands.h"
#include "cli/options.h"

int main(int argc, char** argv) {
  auto parsed = syncline::parse_command_line(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  return syncline::run_command(std::get<syncline::Command>(parsed));
}

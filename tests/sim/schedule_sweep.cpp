// Every kind of change, each applied on n0 with a fault before its first operation, its second, and so on.
#include <fmt/format.h>

#include "tests/sim/schedule.h"

namespace syncline::sim {
namespace {

constexpr int kOperations = 24;  // more than any of these applies takes

struct Change {
  const char* step;    // of n1; "#" is the round
  const char* expect;  // everywhere, once it has settled; "": nothing said
};
constexpr Change kChanges[] = {
    {"put x one#", "x one#"},     {"put x two#", "x two#"},   {"symlink x a#", ""},     {"symlink x b#", ""},   {"remove x", "x -"},
    {"put x three#", "x three#"}, {"to_dir x", "x /"},        {"to_file x", ""},        {"chmod x 600", ""},    {"remove x", "x -"},
    {"symlink x a#", ""},         {"remove x", "x -"},        {"mkdir d#/e", "d#/e /"}, {"remove d#", "d# -"},  {"put d#/f/g four", "d#/f/g four"},
};

std::string of_round(std::string text, int round) {
  for (auto at = text.find('#'); at != std::string::npos; at = text.find('#')) text.replace(at, 1, std::to_string(round));
  return text;
}

}  // namespace

Schedule make_sweep_schedule(Verb fault, bool exchange) {
  std::string text = fmt::format("nodes 3\nweather no_exchange {}\n", exchange ? 0 : 1);
  std::uint64_t at_ms = 0;
  for (int round = 1; round <= kOperations; ++round) {
    for (const Change& change : kChanges) {
      at_ms += 100;
      text += fmt::format("{} n1 {}\n{} n0 {} {}\n", at_ms, of_round(change.step, round), at_ms, fault == Verb::crash ? "crash" : "glitch", round);
      if (fault == Verb::crash) text += fmt::format("{} n0 start\n", at_ms += 400);
      text += fmt::format("{} n0 settle\n", at_ms);
      if (*change.expect != '\0') text += fmt::format("{} n0 expect {}\n", at_ms, of_round(change.expect, round));
    }
  }
  return *parse_schedule(text);
}

}  // namespace syncline::sim

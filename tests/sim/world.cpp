#include "tests/sim/world.h"

#include <fmt/format.h>

namespace syncline::sim {

namespace {
constexpr std::size_t kTraceLinesMax = 200'000;
constexpr std::size_t kViolationsMax = 20;
}  // namespace

void World::trace(const std::string& line) {
  if (!trace_on || trace_lines.size() >= kTraceLinesMax) return;
  trace_lines.push_back(fmt::format("{:11.6f} {}", static_cast<double>(queue.now_us()) / 1e6, line));
}

void World::mix(std::string_view bytes) {
  mix(bytes.size());
  for (const char c : bytes.substr(0, 4096)) mix(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
}

void World::violation(std::string checker, std::string text) {
  trace(fmt::format("VIOLATION of {}: {}", checker, text));
  if (violations.size() < kViolationsMax) violations.push_back({std::move(checker), std::move(text)});
}

}  // namespace syncline::sim

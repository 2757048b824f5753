#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/simulator.h"

namespace syncline::sim {
namespace {

constexpr std::size_t kTraceLinesShown = 400;

bool still_fails(const Schedule& schedule, const std::string& checker) {
  const Outcome outcome = simulate(schedule);
  return std::any_of(outcome.violations.begin(), outcome.violations.end(),
                     [&](const Violation& v) { return v.checker == checker; });
}

// Takes out runs of steps, long ones first.
bool drop_steps(Schedule& schedule, const std::string& checker, std::size_t& runs) {
  bool any = false;
  for (std::size_t length = std::max<std::size_t>(schedule.steps.size() / 2, 1); length > 0; length /= 2) {
    for (std::size_t at = 0; at < schedule.steps.size() && runs > 0;) {
      Schedule smaller = schedule;
      const auto first = smaller.steps.begin() + static_cast<std::ptrdiff_t>(at);
      smaller.steps.erase(first,
                          first + static_cast<std::ptrdiff_t>(std::min(length, smaller.steps.size() - at)));
      --runs;
      if (still_fails(smaller, checker))
        schedule = std::move(smaller), any = true;
      else
        at += length;
    }
  }
  return any;
}

void calm_weather(Schedule& schedule, const std::string& checker, std::size_t& runs) {
  const Weather calm;
  const auto attempt = [&](auto field) {
    Schedule better = schedule;
    better.weather.*field = calm.*field;
    if (better.weather.*field == schedule.weather.*field || runs == 0) return;
    if (better.weather.latency_us_min > better.weather.latency_us_max) return;
    --runs;
    if (still_fails(better, checker)) schedule = std::move(better);
  };
  for (const auto field :
       {&Weather::latency_us_min, &Weather::latency_us_max, &Weather::latency_us_min, &Weather::rate_bytes_ms,
        &Weather::job_us_max, &Weather::watch_us_max, &Weather::skew_ms_max, &Weather::drift_ppm_max,
        &Weather::ambush_per_mille, &Weather::sync_ms, &Weather::no_leases, &Weather::no_exchange,
        &Weather::late_nodes, &Weather::one_near, &Weather::owners}) {
    attempt(field);
  }
  attempt(&Weather::lane_bytes_max);
}

void drop_nodes(Schedule& schedule, const std::string& checker, std::size_t& runs) {
  while (schedule.nodes > 2 && runs > 0) {
    const std::size_t last = schedule.nodes - 1;
    Schedule smaller = schedule;
    --smaller.nodes;
    std::erase_if(smaller.steps, [&](const Step& s) { return s.node == last; });
    --runs;
    if (!still_fails(smaller, checker)) return;
    schedule = std::move(smaller);
  }
}

}  // namespace

Schedule shrink(const Schedule& schedule, const std::string& checker, std::size_t runs) {
  Schedule out = schedule;
  while (runs > 0) {
    const bool any = drop_steps(out, checker, runs);
    drop_nodes(out, checker, runs);
    calm_weather(out, checker, runs);
    if (!any) break;
  }
  return out;
}

std::string report(const Schedule& schedule, std::size_t shrink_runs) {
  const Outcome first = simulate(schedule);
  if (first.violations.empty()) return fmt::format("seed {}: nothing found\n", schedule.seed);
  std::string out = fmt::format("seed {}: {} objections\n", schedule.seed, first.violations.size());
  for (const Violation& v : first.violations) out += fmt::format("  {}: {}\n", v.checker, v.text);
  const Schedule smaller = shrink(schedule, first.violations.front().checker, shrink_runs);
  const Outcome last = simulate(smaller, true);
  out += "shrunk to:\n" + to_text(smaller) + "which gives:\n";
  for (const Violation& v : last.violations) out += fmt::format("  {}: {}\n", v.checker, v.text);
  out += "trace:\n";
  const std::size_t skip = last.trace.size() > kTraceLinesShown ? last.trace.size() - kTraceLinesShown : 0;
  for (std::size_t i = 0; i < last.trace.size(); ++i) {
    if (i >= skip)
      out += last.trace[i] + "\n";
    else if (i == 0)
      out += fmt::format("({} lines left out; scripts/sim --trace shows all)\n", skip);
  }
  return out;
}

}  // namespace syncline::sim

#include <fmt/format.h>

#include <array>
#include <sstream>

#include "tests/sim/schedule.h"

namespace syncline::sim {
namespace {

enum class Operands : std::uint8_t { none, path, path_number, path_mode, path_word, word, number, peer };
struct VerbForm {
  const char* name;
  Operands operands;
};
constexpr std::array kVerbs = {
    VerbForm{"write", Operands::path_number},  VerbForm{"put", Operands::path_word},
    VerbForm{"save", Operands::path_number},   VerbForm{"append", Operands::path_number},
    VerbForm{"patch", Operands::path},         VerbForm{"sneak", Operands::path},
    VerbForm{"hold", Operands::path_number},   VerbForm{"linger", Operands::path_number},
    VerbForm{"chmod", Operands::path_mode},
    VerbForm{"touch", Operands::path},         VerbForm{"remove", Operands::path},
    VerbForm{"mkdir", Operands::path},         VerbForm{"symlink", Operands::path_word},
    VerbForm{"rename", Operands::path_word},   VerbForm{"swap", Operands::path_word},
    VerbForm{"to_dir", Operands::path},        VerbForm{"to_file", Operands::path},
    VerbForm{"unpack", Operands::path_number}, VerbForm{"ignore", Operands::word},
    VerbForm{"ambush", Operands::number},      VerbForm{"restore", Operands::path},
    VerbForm{"drop", Operands::path},          VerbForm{"revert", Operands::path},
    VerbForm{"cut", Operands::peer},           VerbForm{"mute", Operands::peer},
    VerbForm{"mend", Operands::peer},          VerbForm{"reset", Operands::peer},
    VerbForm{"slow", Operands::peer},          VerbForm{"crash", Operands::number},
    VerbForm{"power", Operands::number},       VerbForm{"start", Operands::none},
    VerbForm{"image", Operands::none},         VerbForm{"rewind", Operands::none},
    VerbForm{"clone", Operands::peer},         VerbForm{"clock", Operands::number},
    VerbForm{"lose", Operands::number},        VerbForm{"full", Operands::number},
    VerbForm{"broken", Operands::path_number}, VerbForm{"rescan", Operands::none},
    VerbForm{"glitch", Operands::number},      VerbForm{"rot", Operands::path},
    VerbForm{"leave", Operands::none},         VerbForm{"give_up", Operands::none},
    VerbForm{"take_up", Operands::none},       VerbForm{"evict", Operands::peer},
    VerbForm{"verify", Operands::none},
    VerbForm{"wait", Operands::path_number},   VerbForm{"find", Operands::path},
    VerbForm{"drain", Operands::none},         VerbForm{"resume", Operands::none},
    VerbForm{"pause", Operands::none},         VerbForm{"unpause", Operands::none},
    VerbForm{"settle", Operands::none},        VerbForm{"expect", Operands::path_word},
    VerbForm{"shows", Operands::path_word},    VerbForm{"conflict", Operands::path_word},
    VerbForm{"conflicts", Operands::number},
};
static_assert(kVerbs.size() == static_cast<std::size_t>(Verb::conflicts) + 1);

bool read_node(std::istream& in, std::int64_t& out) {
  std::string word;
  if (!(in >> word) || word.size() < 2 || word[0] != 'n') return false;
  out = std::strtol(word.c_str() + 1, nullptr, 10);
  return out >= 0;
}

bool read_operands(std::istream& in, Operands operands, Step& step) {
  switch (operands) {
    case Operands::none:
      return true;
    case Operands::path:
      return static_cast<bool>(in >> step.path);
    case Operands::path_number:
      return static_cast<bool>(in >> step.path >> step.number);
    case Operands::path_mode:
      return static_cast<bool>(in >> step.path >> std::oct >> step.number >> std::dec);
    case Operands::path_word:
      return static_cast<bool>(in >> step.path >> step.to);
    case Operands::word:
      return static_cast<bool>(in >> step.to);
    case Operands::number:
      return static_cast<bool>(in >> step.number);
    case Operands::peer:
      return read_node(in, step.number);
  }
  return false;
}

bool read_step(std::istream& in, std::uint64_t at_ms, Step& step) {
  std::int64_t node = 0;
  std::string verb;
  if (!read_node(in, node) || !(in >> verb)) return false;
  step.at_ms = at_ms;
  step.node = static_cast<std::size_t>(node);
  for (std::size_t i = 0; i < kVerbs.size(); ++i) {
    if (verb != kVerbs[i].name) continue;
    step.verb = static_cast<Verb>(i);
    return read_operands(in, kVerbs[i].operands, step);
  }
  return false;
}

// "weather NAME VALUE", so that a schedule of a seed can be kept as a file.
std::uint64_t* weather_field(Weather& w, std::string_view name) {
  if (name == "latency_us_min") return &w.latency_us_min;
  if (name == "latency_us_max") return &w.latency_us_max;
  if (name == "rate_bytes_ms") return &w.rate_bytes_ms;
  if (name == "lane_bytes_max") return &w.lane_bytes_max;
  if (name == "job_us_max") return &w.job_us_max;
  if (name == "watch_us_max") return &w.watch_us_max;
  if (name == "skew_ms_max") return &w.skew_ms_max;
  if (name == "drift_ppm_max") return &w.drift_ppm_max;
  if (name == "ambush_per_mille") return &w.ambush_per_mille;
  if (name == "sync_ms") return &w.sync_ms;
  if (name == "no_leases") return &w.no_leases;
  if (name == "no_exchange") return &w.no_exchange;
  if (name == "late_nodes") return &w.late_nodes;
  if (name == "one_near") return &w.one_near;
  if (name == "owners") return &w.owners;
  if (name == "receive_only") return &w.receive_only;
  if (name == "send_only") return &w.send_only;
  if (name == "modes_end") return &w.modes_end;
  return nullptr;
}

bool read_line(const std::string& line, Schedule& out) {
  std::istringstream in(line);
  std::string head;
  if (!(in >> head) || head[0] == '#') return true;
  if (head == "nodes") return in >> out.nodes && out.nodes >= 1 && out.nodes <= 300;
  if (head == "seed") return static_cast<bool>(in >> out.seed);
  if (head == "weather") {
    std::string name;
    std::uint64_t value = 0;
    if (!(in >> name >> value)) return false;
    std::uint64_t* field = weather_field(out.weather, name);
    return field != nullptr && (*field = value, true);
  }
  if (head.find_first_not_of("0123456789") != std::string::npos) return false;
  Step step;
  if (!read_step(in, std::strtoull(head.c_str(), nullptr, 10), step) || step.node >= out.nodes) return false;
  if (!out.steps.empty() && step.at_ms < out.steps.back().at_ms) return false;
  out.steps.push_back(std::move(step));
  return true;
}

}  // namespace

std::string to_text(const Step& step) {
  const VerbForm& form = kVerbs[static_cast<std::size_t>(step.verb)];
  std::string out = fmt::format("{:6} n{} {}", step.at_ms, step.node, form.name);
  switch (form.operands) {
    case Operands::none:
      break;
    case Operands::path:
      out += " " + step.path;
      break;
    case Operands::path_number:
      out += fmt::format(" {} {}", step.path, step.number);
      break;
    case Operands::path_mode:
      out += fmt::format(" {} {:o}", step.path, step.number);
      break;
    case Operands::path_word:
      out += fmt::format(" {} {}", step.path, step.to);
      break;
    case Operands::word:
      out += " " + step.to;
      break;
    case Operands::number:
      out += fmt::format(" {}", step.number);
      break;
    case Operands::peer:
      out += fmt::format(" n{}", step.number);
      break;
  }
  return out;
}

std::string to_text(const Schedule& schedule) {
  std::string out = fmt::format("seed {}\nnodes {}\n", schedule.seed, schedule.nodes);
  Weather w = schedule.weather, usual;
  for (const char* name :
       {"latency_us_min", "latency_us_max", "rate_bytes_ms", "lane_bytes_max", "job_us_max", "watch_us_max",
        "skew_ms_max", "drift_ppm_max", "ambush_per_mille", "sync_ms", "no_leases", "no_exchange",
        "late_nodes", "one_near", "owners", "receive_only", "send_only", "modes_end"}) {
    if (*weather_field(w, name) != *weather_field(usual, name)) {
      out += fmt::format("weather {} {}\n", name, *weather_field(w, name));
    }
  }
  for (const Step& step : schedule.steps) out += to_text(step) + "\n";
  return out;
}

Result<Schedule> parse_schedule(std::string_view text) {
  Schedule out;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (!read_line(line, out)) return fail(Error::Code::invalid, fmt::format("line {}: {}", number, line));
  }
  return out;
}

}  // namespace syncline::sim

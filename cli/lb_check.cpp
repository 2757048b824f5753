#include "cli/lb_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "protocol/control_text.h"

namespace syncline {
namespace {

using enum LbFinding::Grade;
using Findings = std::vector<LbFinding>;

// That many at random to one of two servers and not the other: 1 in 32.
constexpr std::size_t kEnoughToTell = 6;

bool accepted(int status) { return status >= 200 && status < 300; }
const char* plural(std::size_t n) { return n == 1 ? "" : "s"; }

// "web1 4, web2 8".
std::string counts_text(const std::map<std::string, std::size_t>& counts) {
  std::string out;
  for (const auto& [name, n] : counts) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", name, n);
  return out;
}

void judge_uploads(const LbCheckOptions& o, const LbObservation& seen, Findings& out) {
  std::map<std::string, std::size_t> failures;
  for (const LbProbe& p : seen.probes)
    if (!accepted(p.upload_status))
      ++failures[p.upload_status < 0 ? "no answer:" : fmt::format("status {}:", p.upload_status)];
  if (failures.empty())
    out.push_back({good, fmt::format("{} uploads ({}) were taken", seen.probes.size(), o.method)});
  else
    out.push_back({bad, fmt::format("uploads ({}) failed: {}", o.method, counts_text(failures))});
}

void judge_pinning(const LbCheckOptions& o, const LbObservation& seen, Findings& out) {
  std::map<std::string, std::size_t> takers;
  for (const LbProbe& p : seen.probes)
    if (!p.taken_by.empty()) ++takers[p.taken_by];
  const std::size_t known = std::max(seen.servers.size(), seen.readers.size());
  if (takers.empty()) {
    out.push_back(
        {unknown,
         fmt::format("method pinning: which server took an upload cannot be told: no header {} in the "
                     "answers (--server-header), and no single server had one first (--server)",
                     o.server_header)});
  } else if (takers.size() > 1) {
    out.push_back({good, fmt::format("no method pinning: {} went to {}", o.method, counts_text(takers))});
  } else if (takers.begin()->second < kEnoughToTell) {
    out.push_back(
        {unknown,
         fmt::format(
             "method pinning: {} went to {} every time, but {} uploads are too few to tell (--probes)",
             o.method, takers.begin()->first, takers.begin()->second)});
  } else if (known > 1) {
    out.push_back(
        {bad,
         fmt::format(
             "method pinning: every {} whose server is known went to {} ({} of {}), although there are "
             "{} servers: take the rule for {} out of the balancer",
             o.method, takers.begin()->first, takers.begin()->second, seen.probes.size(), known, o.method)});
  } else {
    out.push_back(
        {unknown, fmt::format("method pinning: only {} was seen; name the app servers with --server",
                              takers.begin()->first)});
  }
}

void judge_first_reads(const LbObservation& seen, Findings& out) {
  std::size_t asked = 0, missing = 0, wrong = 0;
  for (const LbProbe& p : seen.probes) {
    if (!accepted(p.upload_status)) continue;
    ++asked;
    if (!p.first_right) ++(p.first_read == 200 ? wrong : missing);
  }
  if (asked == 0) return;
  if (missing + wrong == 0) {
    out.push_back(
        {good, fmt::format("{} of {} uploads were there when read back at once through the balancer", asked,
                           asked)});
    return;
  }
  if (missing > 0)
    out.push_back(
        {bad,
         fmt::format("{} of {} uploads were not there when read back at once through the balancer: no miss "
                     "handling on the app servers, and no wait in the upload handler",
                     missing, asked)});
  if (wrong > 0)
    out.push_back(
        {bad, fmt::format("stale reads: {} of {} uploads came back with other bytes", wrong, asked)});
}

void judge_servers(const LbCheckOptions& o, const LbObservation& seen, Findings& out) {
  for (std::size_t i = 0; i < seen.servers.size(); ++i) {
    std::size_t asked = 0, first = 0, late = 0;
    for (const LbProbe& p : seen.probes) {
      if (!accepted(p.upload_status)) continue;
      ++asked, first += p.at_once.at(i), late += !p.in_the_end.at(i);
    }
    const std::string& name = seen.servers[i].name;
    if (late > 0)
      out.push_back({bad, fmt::format("stale reads: {} lacked {} of {} uploads after {} ms", name, late,
                                      asked, o.timeout_ms)});
    else if (asked > 0)
      out.push_back(
          {good, fmt::format("{} has every upload ({} of {} at the first look)", name, first, asked)});
  }
}

// How many requests of the check a server got through the balancer, as far as its header tells.
std::size_t requests_to(const LbObservation& seen, const std::string& name) {
  std::size_t n = 0;
  for (const LbProbe& p : seen.probes) n += (p.taken_by == name) + (p.read_from == name);
  return n;
}

void judge_health(const LbCheckOptions& o, const LbObservation& seen, Findings& out) {
  if (seen.servers.empty()) {
    out.push_back(
        {unknown,
         "health checks: name the app servers with --server to have them asked whether they are ready"});
    return;
  }
  bool all_ready = true;
  for (const LbCheckServer& s : seen.servers) {
    if (s.ready == 200) continue;
    all_ready = false;
    const std::size_t n = requests_to(seen, s.name);
    if (s.ready == 404)
      out.push_back(
          {bad, fmt::format(
                    "missing health check: {} answers 404 at {}: no balancer can ask it whether it is ready",
                    s.name, o.ready_path)});
    else if (n > 0)
      out.push_back(
          {bad,
           fmt::format("missing health check: {} is not ready ({}), and the balancer sent it {} request{}",
                       s.name, s.ready < 0 ? "no answer" : std::to_string(s.ready), n, plural(n))});
    else if (seen.readers.empty())
      out.push_back(
          {unknown,
           fmt::format("health checks: {} is not ready; whether it gets requests cannot be told without {}",
                       s.name, o.server_header)});
    else
      out.push_back({good, fmt::format("health checks: {} is not ready and got no request", s.name)});
  }
  if (all_ready)
    out.push_back(
        {unknown,
         "health checks: every server is ready, so nothing shows whether the balancer would leave one out; "
         "check again while one node is stopped"});
}

void judge_rest(const LbObservation& seen, Findings& out) {
  std::string left;
  std::size_t n = 0;
  for (const LbProbe& p : seen.probes)
    if (p.removed && !*p.removed) ++n, left += (left.empty() ? "" : " ") + p.name;
  if (n > 0)
    out.push_back({unknown, fmt::format("{} probe{} could not be removed (DELETE): {}", n, plural(n), left)});
}

const char* grade_name(LbFinding::Grade grade) {
  return grade == good ? "ok" : grade == bad ? "problem" : "unclear";
}

}  // namespace

std::vector<LbFinding> judge(const LbCheckOptions& options, const LbObservation& seen) {
  Findings out;
  judge_uploads(options, seen, out);
  judge_pinning(options, seen, out);
  judge_first_reads(seen, out);
  judge_servers(options, seen, out);
  judge_health(options, seen, out);
  judge_rest(seen, out);
  return out;
}

std::string render(const std::vector<LbFinding>& findings) {
  std::string out;
  for (const LbFinding& f : findings)
    out += fmt::format("{:<8} {}\n", grade_name(f.grade), printable(f.text));
  return out;
}

std::string lb_check_json(const LbObservation& seen, const std::vector<LbFinding>& findings) {
  using Json = nlohmann::ordered_json;
  Json out{{"findings", Json::array()}, {"servers", Json::array()}, {"probes", Json::array()}};
  for (const LbFinding& f : findings)
    out["findings"].push_back({{"grade", grade_name(f.grade)}, {"text", f.text}});
  for (const LbCheckServer& s : seen.servers)
    out["servers"].push_back({{"url", s.url}, {"name", s.name}, {"ready", s.ready}});
  for (const LbProbe& p : seen.probes)
    out["probes"].push_back({{"name", p.name},
                             {"upload", p.upload_status},
                             {"taken_by", p.taken_by},
                             {"first_read", p.first_read},
                             {"first_right", p.first_right},
                             {"read_from", p.read_from},
                             {"at_once", p.at_once},
                             {"in_the_end", p.in_the_end}});
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace syncline

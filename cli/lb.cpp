#include "cli/lb.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "protocol/address.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

std::vector<LbPart> balancer_parts(const LbPlan& plan, const LbExplain& explain) {
  switch (plan.options.balancer) {
    case LbProgram::nginx:
      return {nginx_balancer(plan, explain)};
    case LbProgram::haproxy:
      return {haproxy_balancer(plan, explain)};
    case LbProgram::apache:
      return {apache_balancer(plan, explain)};
    case LbProgram::caddy:
      return {caddy_balancer(plan, explain)};
    case LbProgram::traefik:
      return traefik_balancer(plan, explain);
    case LbProgram::iis:
      break;
  }
  return {iis_balancer(plan, explain)};
}

std::vector<LbPart> app_parts(const LbOptions& o, const LbWords& words, const LbExplain& explain) {
  switch (*o.app_server) {
    case LbProgram::apache:
      return apache_app(o, words, explain);
    case LbProgram::caddy:
      return caddy_app(o, words, explain);
    case LbProgram::iis:
      return iis_app(o, words, explain);
    default:
      return nginx_app(o, words, explain);
  }
}

// App servers whose parts are the same, by what makes them differ.
std::vector<std::vector<LbServer>> alike(const std::vector<LbServer>& servers) {
  std::vector<std::vector<LbServer>> groups;
  for (const LbServer& server : servers) {
    const auto same = [&](const auto& group) {
      const LbServer& first = group.front();
      return first.node == server.node && first.node_token == server.node_token && first.port == server.port;
    };
    const auto group = std::ranges::find_if(groups, same);
    if (group == groups.end())
      groups.push_back({server});
    else
      group->push_back(server);
  }
  return groups;
}

LbExplain explanations(bool explain, LbProgram program) {
  return explain ? lb_explanations(program) : LbExplain{};
}

std::string comment_of(const LbPart& part, std::string_view text) {
  const std::size_t at = part.comment.find("@{}");
  return part.comment.substr(0, at) + std::string(text) + part.comment.substr(at + 3) + "\n";
}

}  // namespace

LbWords lb_words(const LbOptions& o) {
  return {{"listen", std::to_string(o.listen)},
          {"app_port", std::to_string(o.app_port)},
          {"site", o.site},
          {"check_host", o.site.empty() ? "localhost" : o.site},
          {"backend", o.app_backend},
          {"ready_path", o.checks == LbChecks::node ? "/readyz" : kLbReady},
          {"healthy_path", o.checks == LbChecks::node ? "/healthz" : kLbHealthy}};
}

std::string lb_folders(std::string_view lines, const LbOptions& options, const LbWords& words, const LbExplain& explain, std::string_view comment) {
  std::string out;
  for (std::size_t i = 0; i < options.folders.size(); ++i) {
    const LbFolder& f = options.folders[i];
    LbWords here = words;
    here["uri"] = f.uri, here["folder"] = f.path;
    here["prefix"] = f.uri.substr(0, f.uri.size() - 1), here["relative"] = f.uri.substr(1);
    here["miss"] = f.first ? "/v1/file/" : "/v1/folder/" + f.name + "/";
    here["miss_prefix"] = here["miss"].substr(0, here["miss"].size() - 1);
    here["tag"] = i == 0 ? "" : "_" + std::to_string(i + 1);
    out += lb_fill(lines, here, i == 0 ? explain : LbExplain{}, comment);
  }
  if (!out.empty()) out.pop_back();
  return out;
}

std::string lb_port(const std::string& address) {
  const auto parsed = parse_address(address);
  return parsed ? std::to_string(parsed->port) : "";
}

std::string lb_lines(const LbPlan& plan, std::string_view line) {
  std::string out;
  for (const LbServer& server : plan.servers) {
    const auto node = parse_address(server.node_outside);
    const LbWords words{{"name", server.name},
                        {"address", server.address()},
                        {"host", server.host},
                        {"port", std::to_string(server.port)},
                        {"node_host", node ? node->host : ""},
                        {"node_port", node ? std::to_string(node->port) : ""}};
    out += lb_fill(line, words, {}, "");
  }
  if (!out.empty()) out.pop_back();
  return out;
}

std::vector<LbPart> make_lb_parts(const LbPlan& plan, bool explain) {
  const LbOptions& o = plan.options;
  std::vector<LbPart> out = balancer_parts(plan, explanations(explain, o.balancer));
  for (LbPart& part : out)
    part.title = fmt::format("the balancer ({})", kLbPrograms[static_cast<int>(o.balancer)]);
  out.front().notes.push_back("Plain HTTP: the lines for your certificate are yours to add.");
  LbExplain app_explain = explanations(explain, *o.app_server);
  app_explain.erase("check");  // there was nothing to ask before
  const auto groups = alike(plan.servers);
  for (const auto& group : groups) {
    LbOptions here = o;
    here.checks = LbChecks::app, here.app_port = group.front().port;
    LbWords words = lb_words(here);
    words["node"] = group.front().node;
    words["token"] = group.front().node_token ? "yes" : "";
    std::vector<std::string> names;
    for (const LbServer& server : group) names.push_back(server.name);
    const std::string title =
        fmt::format("{}: {} ({})", groups.size() == 1 ? "every app server" : "app server",
                    fmt::join(names, ", "), kLbPrograms[static_cast<int>(*o.app_server)]);
    for (LbPart& part : app_parts(here, words, app_explain)) {
      part.title = title, part.nodes = names;
      out.push_back(std::move(part));
    }
  }
  return out;
}

std::string render(const std::vector<LbPart>& parts) {
  std::string out;
  for (const LbPart& part : parts) {
    const std::string rule(72, '=');
    out += (out.empty() ? "" : "\n") + comment_of(part, rule) + comment_of(part, "For " + part.title) +
           comment_of(part, "File: " + part.file);
    for (const std::string& note : part.notes) out += comment_of(part, note);
    out += comment_of(part, rule) + part.text;
  }
  return out;
}

std::string lb_json(const LbPlan& plan, const std::vector<LbPart>& parts) {
  using Json = nlohmann::ordered_json;
  Json out{{"balancer", kLbPrograms[static_cast<int>(plan.options.balancer)]},
           {"app_server", kLbPrograms[static_cast<int>(*plan.options.app_server)]},
           {"servers", Json::array()},
           {"parts", Json::array()}};
  for (const LbServer& s : plan.servers)
    out["servers"].push_back({{"name", s.name}, {"address", s.address()}, {"node", s.node}});
  for (const LbPart& p : parts)
    out["parts"].push_back(
        {{"for", p.title}, {"nodes", p.nodes}, {"file", p.file}, {"notes", p.notes}, {"text", p.text}});
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace syncline

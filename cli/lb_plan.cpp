#include "cli/lb_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr std::uint16_t kHttpPort = 7441;

tl::unexpected<Error> invalid(std::string text) { return fail(Error::Code::invalid, std::move(text)); }

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool made_of(std::string_view text, std::string_view others) {
  return std::ranges::all_of(text, [&](char c) { return is_alnum(c) || others.find(c) != text.npos; });
}

// What goes into somebody else's configuration language is made of characters that mean nothing there.
bool is_windows_path(std::string_view path) { return path.size() > 3 && path.substr(1, 2) == ":\\"; }

Status check_folder(const LbOptions& o, const LbFolder& f) {
  if (!f.uri.starts_with('/') || !f.uri.ends_with('/') || f.uri.find("//") != std::string::npos || !made_of(f.uri, "/._~-"))
    return invalid(
        fmt::format("--uri {}: a prefix like /uploads/ is wanted: letters, digits and ._~- between slashes",
                    printable(f.uri)));
  if (f.uri == "/") return invalid("--uri /: the uploads need a prefix of their own, like /uploads/");
  const bool windows = o.app_server == LbProgram::iis && is_windows_path(f.path);
  if ((!f.path.starts_with('/') && !windows) || f.path.size() > limits::path_bytes || printable(f.path) != f.path ||
      f.path.find_first_of(windows ? "\"$<>&@{}" : "\"\\$<>&@{}") != std::string::npos)
    return invalid(fmt::format("--folder {}: an absolute path without quotes and the like is wanted",
                               printable(f.path)));
  if (!f.first && !made_of(f.name, "._~-"))
    return invalid(fmt::format("the folder {}: its name cannot be part of an address; letters, digits and ._~- can", printable(f.name)));
  return {};
}

Status check_words(const LbOptions& o) {
  for (const LbFolder& f : o.folders) {
    if (Status good = check_folder(o, f); !good) return good;
    for (const LbFolder& other : o.folders) {
      if (&other == &f || !f.uri.starts_with(other.uri)) continue;
      return invalid(fmt::format("{} and {} would both serve {}: say which prefix is whose with --uri NAME=/prefix/", other.name, f.name, f.uri));
    }
  }
  if (!o.site.empty() && !parse_address(o.site + ":80"))
    return invalid(fmt::format("--site {}: a host name is wanted", printable(o.site)));
  if (!o.app_backend.empty()) {
    const auto backend = parse_address(o.app_backend);
    if (!backend) return invalid("--app-backend: " + backend.error().message);
    if (backend->port == 0 || backend->is_wildcard())
      return invalid("--app-backend: the application's own HOST:PORT is wanted, like 127.0.0.1:8080");
  }
  return {};
}

Status check_checks(const LbOptions& o) {
  if (o.checks == LbChecks::app) return {};
  using enum LbProgram;
  if (o.balancer == haproxy || o.balancer == caddy || o.balancer == traefik) return {};
  return invalid(fmt::format("--checks node: {} can only ask the port that it also sends requests to",
                             kLbPrograms[static_cast<std::size_t>(o.balancer)]));
}

// Of "/uploads/" and "NAME=/avatars/": the bare one, and the others by name.
struct Named {
  std::string bare;
  std::map<std::string, std::string> by_name;
};
Result<Named> named(const std::vector<std::string>& values, std::string_view option) {
  Named out;
  for (const std::string& value : values) {
    const std::size_t equals = value.find('=');
    const bool bare = equals == std::string::npos || equals == 0 || value.starts_with('/') || is_windows_path(value);
    if (bare && !out.bare.empty()) return invalid(fmt::format("{} {}: of which folder? NAME={} is wanted", option, printable(value), printable(value)));
    (bare ? out.bare : out.by_name[value.substr(0, equals)]) = bare ? value : value.substr(equals + 1);
  }
  return out;
}

Result<std::vector<LbFolder>> folders_of(const LbOptions& o, const StatusReply& status) {
  auto uris = named(o.uris, "--uri"), paths = named(o.paths, "--folder");
  if (!uris) return tl::unexpected(uris.error());
  if (!paths) return tl::unexpected(paths.error());
  const bool first_alone = !uris->bare.empty() || !paths->bare.empty();
  const auto take = [](Named& from, const std::string& name, bool first, std::string usual) {
    const auto at = from.by_name.find(name);
    if (at != from.by_name.end()) usual = at->second, from.by_name.erase(at);
    else if (first && !from.bare.empty()) usual = from.bare;
    return usual;
  };
  std::vector<LbFolder> out;
  for (const auto& folder : status.folders) {
    const bool first = out.empty() && &folder == &status.folders.front();
    if (!first && first_alone && !uris->by_name.contains(folder.name) && !paths->by_name.contains(folder.name)) continue;
    out.push_back({folder.name, take(*uris, folder.name, first, "/" + folder.name + "/"), take(*paths, folder.name, first, folder.path), first});
  }
  if (status.folders.empty()) out.push_back({"", uris->bare, paths->bare, true});
  for (const Named* left : {&*uris, &*paths}) {
    if (!left->by_name.empty())
      return invalid(fmt::format("{}: this node has no such folder; see: syncline folder list", printable(left->by_name.begin()->first)));
  }
  for (LbFolder& f : out)
    while (f.path.size() > 1 && f.path.ends_with('/')) f.path.pop_back();
  return out;
}

struct Place {
  std::string host;
  std::uint16_t port = 0;  // 0: not said
};

// "web1=10.0.0.7", "web1=10.0.0.7:8080", "web1=[2001:db8::7]:8080".
Result<std::map<std::string, Place>> places(const std::vector<std::string>& options) {
  std::map<std::string, Place> out;
  for (const std::string& text : options) {
    const std::size_t equals = text.find('=');
    const auto bad = [&] {
      return invalid(fmt::format("--server {}: NAME=HOST or NAME=HOST:PORT is wanted", printable(text)));
    };
    if (equals == std::string::npos || equals == 0) return bad();
    const std::string where = text.substr(equals + 1);
    auto address = parse_address(where);
    const bool with_port = address.has_value();
    if (!address) address = parse_address(where + ":0");
    if (!address || address->is_wildcard() || (with_port && address->port == 0)) return bad();
    out[text.substr(0, equals)] = {address->host, address->port};
  }
  return out;
}

// The first address that another machine may have; a loopback one only where there is no other.
std::string host_of(const MemberStatus& member) {
  std::string loopback;
  for (const std::string& text : member.addresses) {
    const auto address = parse_address(text);
    if (!address || address->is_wildcard()) continue;
    if (!address->is_loopback()) return address->host;
    if (loopback.empty()) loopback = address->host;
  }
  return loopback;
}

void place_node(LbServer& server, const std::string& told, std::uint16_t port) {
  const auto http = parse_address(told);
  Address at = http ? *http : Address{"127.0.0.1", kHttpPort};
  if (port != 0) at.port = port;
  server.node_token = !at.is_loopback();
  if (at.is_wildcard()) {
    server.node_outside = Address{server.host, at.port}.text();
    at.host = "127.0.0.1";
  } else if (!at.is_loopback()) {
    server.node_outside = at.text();
  }
  server.node = at.text();
}

Result<std::vector<LbServer>> servers_of(const LbOptions& o, const MembersReply& members) {
  auto told = places(o.servers);
  if (!told) return tl::unexpected(told.error());
  std::vector<LbServer> out;
  for (const MemberStatus& m : members.members) {
    if (m.state != "joined") continue;
    LbServer server{m.name, host_of(m), o.app_port, "", false, ""};
    if (const auto at = told->find(m.name); at != told->end()) {
      server.host = at->second.host;
      if (at->second.port != 0) server.port = at->second.port;
      told->erase(at);
    }
    if (server.host.empty())
      return invalid(fmt::format("no address of {0} is known: name one with --server {0}=HOST", m.name));
    place_node(server, m.http, o.http_port);
    for (const LbServer& other : out)
      if (other.address() == server.address())
        return invalid(
            fmt::format("{} and {} would both be {}: say where each is reached with --server NAME=HOST:PORT",
                        other.name, server.name, server.address()));
    out.push_back(std::move(server));
  }
  if (!told->empty())
    return invalid(fmt::format("--server {}: no such member; see: syncline cluster members",
                               printable(told->begin()->first)));
  if (out.empty()) return invalid("the cluster has no members");
  std::ranges::sort(out, {}, &LbServer::name);
  return out;
}

}  // namespace

std::string LbServer::address() const { return Address{host, port}.text(); }

std::optional<LbProgram> lb_program(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kLbPrograms); ++i)
    if (kLbPrograms[i] == name) return static_cast<LbProgram>(i);
  return std::nullopt;
}

Result<LbPlan> make_lb_plan(const LbOptions& options, const MembersReply& members,
                            const StatusReply& status) {
  LbPlan plan{options, {}};
  LbOptions& o = plan.options;
  const bool serves_files = o.balancer != LbProgram::haproxy && o.balancer != LbProgram::traefik;
  if (!o.app_server) o.app_server = serves_files ? o.balancer : LbProgram::nginx;
  if (*o.app_server == LbProgram::haproxy || *o.app_server == LbProgram::traefik)
    return invalid("--app-server: haproxy and traefik serve no files; nginx, apache, caddy or iis is wanted");
  auto folders = folders_of(o, status);
  if (!folders) return tl::unexpected(folders.error());
  o.folders = *std::move(folders);
  if (const Status good = check_words(o); !good) return tl::unexpected(good.error());
  if (const Status good = check_checks(o); !good) return tl::unexpected(good.error());
  if (o.agent_port != 0 && o.balancer != LbProgram::haproxy)
    return invalid("--agent-port: only haproxy asks an agent");
  auto servers = servers_of(o, members);
  if (!servers) return tl::unexpected(servers.error());
  plan.servers = *std::move(servers);
  const auto check_port = [&](const LbServer& s) { return parse_address(s.node_outside)->port; };
  for (const LbServer& server : plan.servers) {
    if (o.checks == LbChecks::node && server.node_outside.empty())
      return invalid(
          fmt::format("--checks node: {} answers on {} only; set http in its config.toml, or leave the "
                      "checks to its web server (--checks app)",
                      server.name, server.node));
    if (o.checks == LbChecks::node && o.balancer != LbProgram::haproxy &&
        (parse_address(server.node_outside)->host != server.host ||
         check_port(server) != check_port(plan.servers.front())))
      return invalid(
          fmt::format("--checks node: {} asks one port of every server itself; {} has its node at {}",
                      kLbPrograms[static_cast<std::size_t>(o.balancer)], server.name, server.node_outside));
  }
  return plan;
}

}  // namespace syncline

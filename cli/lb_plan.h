#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/control.h"
#include "protocol/error.h"

// What a balancer configuration is made from: the members as the node knows them, and what only the
// administrator knows.
namespace syncline {

enum class LbProgram : std::uint8_t { nginx, haproxy, apache, caddy, traefik, iis };
inline constexpr std::string_view kLbPrograms[] = {"nginx", "haproxy", "apache", "caddy", "traefik", "iis"};
std::optional<LbProgram> lb_program(std::string_view name);

// Whom a balancer asks whether a server is ready: the application's web server, which passes the question on
// to its node (so that a dead web server is not ready either), or the node itself.
enum class LbChecks : std::uint8_t { app, node };

// One synced folder as the site shows it.
struct LbFolder {
  std::string name;
  std::string uri;     // prefix of its files, "/uploads/"
  std::string path;    // on the app servers
  bool first = false;  // of the node: it needs no name over HTTP
};

struct LbOptions {
  LbProgram balancer = LbProgram::nginx;
  std::optional<LbProgram>
      app_server;  // the app servers' web server; by default the balancer's kind, or nginx
  LbChecks checks = LbChecks::app;
  std::uint16_t listen = 80;         // of the balancer
  std::uint16_t app_port = 80;       // of the app servers' web server
  std::uint16_t http_port = 0;       // of the nodes; 0: as they tell, else 7441
  std::uint16_t agent_port = 0;      // of the nodes' answer to HAProxy's agent-check; 0: not asked
  // "/uploads/" (of the first folder, and then of no other) or "NAME=/avatars/"; none: of all, by their names.
  std::vector<std::string> uris;
  std::vector<std::string> paths;    // the same of where they are on the app servers; none: as on this node
  std::vector<LbFolder> folders;     // what these come to in a plan
  std::string site;                  // host name of the site; empty: any
  std::string app_backend;           // HOST:PORT of the application behind each web server; empty: not known
  std::vector<std::string> servers;  // NAME=HOST[:PORT]: where the balancer reaches a member's web server
};

struct LbServer {
  std::string name;
  std::string host;  // of its web server, as the balancer reaches it; IPv6 without brackets
  std::uint16_t port = 80;
  std::string node;             // HOST:PORT of its node's HTTP server, seen from that machine itself
  bool node_token = false;      // which wants the token of HOME/http-token
  std::string node_outside;     // the same seen from the balancer; empty: it answers on loopback only
  std::string address() const;  // host:port
};

struct LbPlan {
  LbOptions options;  // with all defaults filled in
  std::vector<LbServer> servers;
};

// Error::invalid: an option that cannot be meant; a member whose address is not known; two that would be one.
Result<LbPlan> make_lb_plan(const LbOptions& options, const MembersReply& members, const StatusReply& status);

}  // namespace syncline

#include "cli/lb.h"

namespace syncline {
namespace {

constexpr std::string_view kStatic = R"([entryPoints.web]
  address = ":@{listen}"

[providers.file]
  filename = "/etc/traefik/syncline.toml"
)";

constexpr std::string_view kDynamic = R"([http.routers.syncline]
  entryPoints = ["web"]
  rule = "@{rule}" @@pin
  service = "syncline"

# Servers that have caught up; if there is none, those whose node works; else whoever takes a connection: the site
# does not go dark for caution's sake.
[http.services.syncline.failover]
  service = "syncline-ready"
  fallback = "syncline-second" @@fallback

[http.services.syncline-second.failover]
  service = "syncline-healthy"
  fallback = "syncline-any"

[http.services.syncline-ready.loadBalancer]
  passHostHeader = true
  [http.services.syncline-ready.loadBalancer.healthCheck] @@check
    path = "@{ready_path}"
?site     hostname = "@{site}"
?port     port = @{port}
    interval = "1s"
    timeout = "2s"
  @{ready}

[http.services.syncline-healthy.loadBalancer]
  passHostHeader = true
  [http.services.syncline-healthy.loadBalancer.healthCheck]
    path = "@{healthy_path}"
?site     hostname = "@{site}"
?port     port = @{port}
    interval = "2s"
    timeout = "2s"
  @{healthy}

[http.services.syncline-any.loadBalancer]
  passHostHeader = true
  @{any}
)";

std::string servers(const LbPlan& plan, const std::string& service) {
  return lb_lines(plan, "[[http.services." + service +
                            ".loadBalancer.servers]] # @{name}\n  url = \"http://@{address}\"");
}

}  // namespace

std::vector<LbPart> traefik_balancer(const LbPlan& plan, const LbExplain& explain) {
  const LbOptions& o = plan.options;
  LbWords words = lb_words(o);
  words["rule"] = o.site.empty() ? "PathPrefix(`/`)" : "Host(`" + o.site + "`)";
  words["ready"] = servers(plan, "syncline-ready");
  words["healthy"] = servers(plan, "syncline-healthy");
  words["any"] = servers(plan, "syncline-any");
  words["port"] = o.checks == LbChecks::node ? lb_port(plan.servers.front().node_outside) : "";
  LbPart fixed, dynamic;
  fixed.file = "/etc/traefik/traefik.toml";
  fixed.notes = {"Traefik 2.8 or later (failover)."};
  fixed.text = lb_fill(kStatic, words, explain, fixed.comment);
  dynamic.file = "/etc/traefik/syncline.toml";
  dynamic.text = lb_fill(kDynamic, words, explain, dynamic.comment);
  return {fixed, dynamic};
}

}  // namespace syncline

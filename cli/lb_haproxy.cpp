#include <fmt/format.h>

#include "cli/lb.h"

namespace syncline {
namespace {

constexpr std::string_view kBalancer = R"(global
    log /dev/log local0
    maxconn 4096

defaults
    log global
    mode http
    option httplog
    option forwardfor
    option redispatch 1
    retries 2
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout check 2s

frontend site
    bind :@{listen}
    use_backend ready if { nbsrv(ready) gt 0 } @@pin
    use_backend healthy if { nbsrv(healthy) gt 0 } @@fallback
    default_backend any

# Servers that have caught up: every method, in turn.
backend ready
    balance roundrobin @@affinity
    # What only reads may be asked of another server: one may be cut off and not have noticed yet.
    retry-on conn-failure empty-response 502 503 504
    http-request disable-l7-retry unless METH_GET
    option httpchk @@check
    http-check send meth GET uri @{ready_path} ver HTTP/1.1 hdr Host @{check_host}
    http-check expect status 200
    default-server check inter 1s fastinter 500ms fall 1 rise 1@{agent}
    @{checked}

# None has: those whose node works, so that the site does not go dark for caution's sake.
backend healthy
    balance roundrobin
    option httpchk
    http-check send meth GET uri @{healthy_path} ver HTTP/1.1 hdr Host @{check_host}
    http-check expect status 200
    default-server check inter 2s fastinter 1s fall 2 rise 1
    @{checked}

# Not even that: whoever takes a connection.
backend any
    balance roundrobin
    @{servers}
)";

}  // namespace

LbPart haproxy_balancer(const LbPlan& plan, const LbExplain& explain) {
  LbWords words = lb_words(plan.options);
  words["servers"] = lb_lines(plan, "server @{name} @{address}");
  words["checked"] = plan.options.checks == LbChecks::node
                         ? lb_lines(plan, "server @{name} @{address} addr @{node_host} port @{node_port}")
                         : words["servers"];
  words["agent"] =
      plan.options.agent_port == 0
          ? std::string()
          : fmt::format(" agent-check agent-port {} agent-inter 1s", plan.options.agent_port);
  LbPart part;
  part.file = "/etc/haproxy/haproxy.cfg";
  part.notes = {"HAProxy takes a server that is new to it for ready until its first check, up to a second later: reload it with a newcomer",
                "in here once that one is ready (its /readyz says 200)."};
  part.text = lb_fill(kBalancer, words, explain, part.comment);
  return part;
}

}  // namespace syncline

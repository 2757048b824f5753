#include <fmt/format.h>

#include "cli/lb.h"

// What a farm had before, line by line: POST pinned to one server, rsync from there once a minute.
namespace syncline {
namespace {

// No "--" in here: some of it becomes XML comments.
struct Old {
  LbProgram program;
  const char* pin;
  const char* affinity;
  const char* check;
};

constexpr Old kOld[] = {
    {LbProgram::nginx, "map $request_method $pool { POST app1; default all; }", "ip_hash;",
     "server app1 max_fails=3; (a server that answers at all counts as good)"},
    {LbProgram::haproxy, "use_backend app1 if METH_POST", "balance source", "option httpchk HEAD /"},
    {LbProgram::apache, "RewriteCond %{REQUEST_METHOD} =POST + RewriteRule ^ http://app1%{REQUEST_URI} [P]",
     "ProxySet stickysession=ROUTEID", "BalancerMember http://app1 (no hcmethod: any server that answers)"},
    {LbProgram::caddy, "@post method POST + reverse_proxy @post app1", "lb_policy ip_hash", "health_uri /"},
    {LbProgram::traefik, "rule = \"Method(`POST`)\" with service = \"app1\"", "[loadBalancer.sticky.cookie]",
     "path = \"/\" in [loadBalancer.healthCheck]"},
    {LbProgram::iis, "<add input=\"{REQUEST_METHOD}\" pattern=\"^POST$\" /> with url=\"http://app1/{R:0}\"",
     "<affinity useCookie=\"true\" />", "<healthCheck url=\"http://site/\" />"},
};

constexpr const char* kRsync = "* * * * * rsync -az app1::uploads/ /srv/uploads/ (or the cwRsync task)";

}  // namespace

LbExplain lb_explanations(LbProgram program) {
  LbExplain out;
  const auto add = [&](const char* key, std::string_view old, std::string_view why) {
    out[key] = fmt::format("replaces `{}`: {}", old, why);
  };
  for (const Old& old : kOld) {
    if (old.program != program) continue;
    add("pin", old.pin, "every server may take an upload, the others have it milliseconds later");
    add("affinity", old.affinity, "a client need not come back to the server that took its upload");
    add("check", old.check, "a server gets requests only while its node has caught up (GET /readyz)");
  }
  add("fallback", "(nothing: with app1 down nobody took uploads)",
      "with none ready, those that are healthy serve");
  add("retry", "proxy_next_upstream error timeout", "as before for reads; a POST is never sent twice");
  add("miss", "try_files $uri =404 (or whatever answered 404 until the next minute)",
      "a file that is not here yet is no 404: the node is asked");
  add("rsync", kRsync,
      "the nodes carry each upload at once; for what is still on its way, the node brings it");
  return out;
}

}  // namespace syncline

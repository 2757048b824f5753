#include "cli/lb.h"

namespace syncline {
namespace {

constexpr std::string_view kBalancer = R"(@{where} {
    # Servers that have caught up: every method, in turn.
    reverse_proxy @{servers} { @@pin
        lb_policy round_robin @@affinity
        lb_retries 2
        health_uri @{ready} @@check
?port         health_port @{port}
        health_interval 1s
        health_timeout 2s
        health_status 200
?site         health_headers {
?site             Host @{site}
?site         }
    }
    # None has (Caddy then says 503 by itself): the next block.
    handle_errors {
        @none expression `{http.error.status_code} == 503`
        reverse_proxy @none 127.0.0.1:7480 @@fallback
    }
}

# Those whose node works, so that the site does not go dark for caution's sake; if there is none, whoever takes a
# connection.
http://:7480 {
    bind 127.0.0.1
    reverse_proxy @{servers} {
        lb_policy round_robin
        lb_retries 2
        trusted_proxies 127.0.0.1
        health_uri @{healthy}
?port         health_port @{port}
        health_interval 2s
        health_timeout 2s
        health_status 200
?site         health_headers {
?site             Host @{site}
?site         }
    }
    handle_errors {
        @none expression `{http.error.status_code} == 503`
        reverse_proxy @none @{servers} {
            lb_policy round_robin
            lb_retries 2
            fail_duration 2s
            trusted_proxies 127.0.0.1
        }
    }
}
)";

constexpr std::string_view kApp = R"(# What the balancer asks: this server's own node.
handle @{ready_path} {
    rewrite * /readyz
    reverse_proxy @{node} @@check
}
handle @{healthy_path} {
    rewrite * /healthz
    reverse_proxy @{node}
}
@{uploads}
)";

constexpr std::string_view kUploads = R"(# The node's own directory in the folder is nobody's business.
@syncline_hidden@{tag} path @{uri}.syncline @{uri}.syncline/*
handle @syncline_hidden@{tag} {
    respond 404
}
# An upload is served from this server's own disk; one that is not there yet, by the node, which brings it first.
@syncline_read@{tag} {
    method GET HEAD
    path @{uri}*
}
handle @syncline_read@{tag} {
    uri strip_prefix @{prefix}
    root * "@{folder}"
    @syncline_local file
    handle @syncline_local {
        file_server
    }
    handle {
        rewrite * @{miss_prefix}{uri} @@miss
        reverse_proxy @{node} { @@rsync
?token             header_up Authorization "Bearer {$SYNCLINE_HTTP_TOKEN}"
        }
    }
}
)";

constexpr std::string_view kSite = R"(@{app_where} {
    import syncline.caddy
    handle {
        reverse_proxy @{backend}
    }
}
)";

std::string where(const std::string& site, std::uint16_t port) {
  return "http://" + site + ":" + std::to_string(port);
}

}  // namespace

LbPart caddy_balancer(const LbPlan& plan, const LbExplain& explain) {
  const LbOptions& o = plan.options;
  LbWords words = lb_words(o);
  words["where"] = where(o.site, o.listen);
  std::string servers;
  for (const LbServer& server : plan.servers) servers += (servers.empty() ? "" : " ") + server.address();
  words["servers"] = servers;
  words["ready"] = words.at("ready_path"), words["healthy"] = words.at("healthy_path");
  words["port"] = o.checks == LbChecks::node ? lb_port(plan.servers.front().node_outside) : "";
  LbPart part;
  part.file = "/etc/caddy/Caddyfile";
  part.text = lb_fill(kBalancer, words, explain, part.comment);
  return part;
}

std::vector<LbPart> caddy_app(const LbOptions& options, const LbWords& words, const LbExplain& explain) {
  LbWords here = words;
  here["app_where"] = where(options.site, options.app_port);
  LbPart part;
  part.file = "/etc/caddy/syncline.caddy";
  if (!words.at("token").empty())
    part.notes = {"This node wants its token for files: SYNCLINE_HTTP_TOKEN in Caddy's environment, as in",
                  "/var/lib/syncline/http-token (a systemd drop-in with EnvironmentFile=, mode 0600)."};
  here["uploads"] = lb_folders(kUploads, options, here, explain, part.comment);
  part.text = lb_fill(kApp, here, explain, part.comment);
  if (options.app_backend.empty()) {
    part.notes.push_back("Into the site's block: import syncline.caddy");
    part.notes.push_back(
        "--app-backend HOST:PORT prints that block as well, for an application behind this Caddy.");
    return {part};
  }
  LbPart site;
  site.file = "/etc/caddy/Caddyfile";
  site.text = lb_fill(kSite, here, explain, site.comment);
  return {part, site};
}

}  // namespace syncline

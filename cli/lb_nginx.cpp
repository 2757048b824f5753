#include "cli/lb.h"

// nginx without its commercial part has no health checks of its own. What stands in for them: before each
// request a sub-request asks the servers in turn for one that is ready (a GET, so that the next one may be
// asked at once), and the request itself goes to that one and to no other: a POST is never sent twice.
namespace syncline {
namespace {

constexpr std::string_view kBalancer =
    R"(# The same servers three times, because nginx remembers failures for each group by itself. A server that is not
# ready, or does not answer, is left out for two seconds and then asked again.
upstream syncline_ready {
    zone syncline_ready 64k;
    @{servers}
    keepalive 16;
}
upstream syncline_healthy {
    zone syncline_healthy 64k;
    @{servers}
    keepalive 16;
}
upstream syncline_any {
    zone syncline_any 64k;
    @{servers}
}

# The last one asked, if its answer was 200; else whoever takes a connection.
map "$syncline_asked|$syncline_answers" $syncline_server {
    default syncline_any;
    "~^(?:.*[ ,])?(?<syncline_last>[^ ,|]+)\|(?:.*[ ,])?200$" $syncline_last;
}

server {
    listen @{listen};
?site     server_name @{site};
    client_max_body_size 0;

    location / {
        auth_request /syncline-pick; @@check
        auth_request_set $syncline_asked $upstream_addr;
        auth_request_set $syncline_answers $upstream_status;
        proxy_pass http://$syncline_server; @@pin
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_connect_timeout 2s;
        error_page 502 504 = @syncline_again; @@retry
    }

    # The chosen server died in that very moment. What only reads is asked of another one; what may have been
    # done already is not done twice.
    location @syncline_again {
        if ($request_method !~ ^(GET|HEAD|OPTIONS)$) {
            return 502;
        }
        proxy_pass http://syncline_any;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_connect_timeout 2s;
    }

    recursive_error_pages on;

    location = /syncline-pick {
        internal;
        proxy_pass http://syncline_ready@{ready_path};
        proxy_pass_request_body off;
        proxy_http_version 1.1;
        proxy_set_header Content-Length "";
        proxy_set_header Connection "";
        proxy_set_header Host @{check_host};
        proxy_connect_timeout 1s;
        proxy_read_timeout 2s;
        proxy_next_upstream error timeout invalid_header http_403 http_404 http_429 http_500 http_502 http_503 http_504;
        proxy_intercept_errors on;
        error_page 301 302 400 401 403 404 429 500 502 503 504 = /syncline-pick-healthy; @@fallback
    }
    # None is ready: one that is merely healthy will do.
    location = /syncline-pick-healthy {
        internal;
        proxy_pass http://syncline_healthy@{healthy_path};
        proxy_pass_request_body off;
        proxy_http_version 1.1;
        proxy_set_header Content-Length "";
        proxy_set_header Connection "";
        proxy_set_header Host @{check_host};
        proxy_connect_timeout 1s;
        proxy_read_timeout 2s;
        proxy_next_upstream error timeout invalid_header http_403 http_404 http_429 http_500 http_502 http_503 http_504;
        proxy_intercept_errors on;
        error_page 301 302 400 401 403 404 429 500 502 503 504 = /syncline-pick-any;
    }
    # Not even that: whoever takes a connection. The site never goes dark for caution's sake.
    location = /syncline-pick-any {
        internal;
        return 204;
    }
}
)";

constexpr std::string_view kCache =
    R"(# The answer to "ready?" is kept for a second, so that the node is not asked for every request of the site.
proxy_cache_path /var/lib/nginx/syncline keys_zone=syncline:64k max_size=1m inactive=10s;
)";

// Everything about Syncline that belongs into the site's server block.
constexpr std::string_view kLocations = R"(# What the balancer asks: this server's own node.
location = @{ready_path} {
    proxy_pass http://@{node}/readyz; @@check
    proxy_cache syncline;
    proxy_cache_key ready-$proxy_host;
    proxy_cache_valid 200 503 1s;
    proxy_cache_use_stale updating;
    proxy_cache_lock on;
    proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
    proxy_connect_timeout 1s;
    proxy_read_timeout 4s;
    access_log off;
}
location = @{healthy_path} {
    proxy_pass http://@{node}/healthz;
    proxy_cache syncline;
    proxy_cache_key healthy-$proxy_host;
    proxy_cache_valid 200 503 1s;
    proxy_cache_use_stale updating;
    proxy_cache_lock on;
    proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
    proxy_connect_timeout 1s;
    proxy_read_timeout 4s;
    access_log off;
}

@{uploads}
?backend location @syncline_app {
?backend     proxy_pass http://@{backend};
?backend     proxy_set_header Host $http_host;
?backend     proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
?backend     proxy_set_header X-Forwarded-Proto $scheme;
?backend }
)";

constexpr std::string_view kUploads = R"(# An upload is served from this server's own disk; one that is not there yet, by the node, which brings it first.
location ^~ @{uri} {
    alias "@{folder}/";
?backend     error_page 418 = @syncline_app;
?backend     if ($request_method !~ ^(GET|HEAD)$) {
?backend         return 418;
?backend     }
    try_files $uri @syncline@{tag}; @@miss
}
location @syncline@{tag} {
    rewrite ^@{uri}(.*)$ @{miss}$1 break;
    proxy_pass http://@{node}; @@rsync
?token     include /etc/nginx/syncline-token.conf;
    proxy_connect_timeout 1s;
    proxy_read_timeout 60s;
    proxy_intercept_errors on;
}
# The node's own directory in the folder is nobody's business.
location ^~ @{uri}.syncline {
    return 404;
}
)";

constexpr std::string_view kSite = R"(server {
    listen @{app_port};
?site     server_name @{site};
    client_max_body_size 0;

    location / {
        proxy_pass http://@{backend};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
    }

    include snippets/syncline.conf;
}
)";

}  // namespace

LbPart nginx_balancer(const LbPlan& plan, const LbExplain& explain) {
  LbWords words = lb_words(plan.options);
  words["servers"] = lb_lines(plan, "server @{address} max_fails=1 fail_timeout=2s; # @{name}");
  LbPart part;
  part.file = "/etc/nginx/conf.d/syncline-balancer.conf";
  part.notes = {
      "nginx without its commercial part has no health checks of its own: each request is preceded by a",
      "sub-request that finds a server which is ready (auth_request; some tenths of a millisecond)."};
  part.text = lb_fill(kBalancer, words, explain, part.comment);
  return part;
}

std::vector<LbPart> nginx_app(const LbOptions& options, const LbWords& words, const LbExplain& explain) {
  LbPart cache, locations;
  cache.file = "/etc/nginx/conf.d/syncline.conf";
  cache.text = lb_fill(kCache, words, explain, cache.comment);
  locations.file = "/etc/nginx/snippets/syncline.conf";
  LbWords here = words;
  here["uploads"] = lb_folders(kUploads, options, words, explain, locations.comment);
  locations.text = lb_fill(kLocations, here, explain, locations.comment);
  if (!words.at("token").empty())
    locations.notes = {"This node wants its token for files. Once, as root:",
                       "  (umask 077; printf 'proxy_set_header Authorization \"Bearer %s\";\\n' \"$(cat "
                       "/var/lib/syncline/http-token)\" "
                       "> /etc/nginx/syncline-token.conf)"};
  std::vector<LbPart> out{cache, locations};
  if (options.app_backend.empty()) {
    out[1].notes.push_back("Into the site's server block: include snippets/syncline.conf;");
    out[1].notes.push_back(
        "--app-backend HOST:PORT prints that block as well, for an application behind this nginx.");
    return out;
  }
  LbPart site;
  site.file = "/etc/nginx/conf.d/syncline-site.conf";
  site.text = lb_fill(kSite, words, explain, site.comment);
  out.push_back(site);
  return out;
}

}  // namespace syncline

#include "cli/lb.h"

// mod_proxy_hcheck asks for itself. "Only if none of the others is ready" is a hot standby, and a server can
// be in a group only once: so the standby of each group is this same Apache on a loopback port, with the next
// group.
namespace syncline {
namespace {

constexpr std::string_view kBalancer = R"(?port Listen @{port}
Listen 127.0.0.1:7480
Listen 127.0.0.1:7481

# Servers that have caught up: every method, in turn.
<VirtualHost *:@{listen}>
?site     ServerName @{site}
    ProxyRequests Off
    ProxyPreserveHost On
    <Proxy "balancer://syncline-ready">
        @{ready}
        BalancerMember "http://127.0.0.1:7480" status=+H retry=0 @@fallback
        ProxySet lbmethod=byrequests @@affinity
    </Proxy>
    ProxyPass "/" "balancer://syncline-ready/" @@pin
    ProxyPassReverse "/" "balancer://syncline-ready/"
</VirtualHost>

# None has: those whose node works, so that the site does not go dark for caution's sake.
<VirtualHost 127.0.0.1:7480>
    ProxyRequests Off
    ProxyPreserveHost On
    <Proxy "balancer://syncline-healthy">
        @{healthy}
        BalancerMember "http://127.0.0.1:7481" status=+H retry=0
        ProxySet lbmethod=byrequests
    </Proxy>
    ProxyPass "/" "balancer://syncline-healthy/"
    ProxyPassReverse "/" "balancer://syncline-healthy/"
</VirtualHost>

# Not even that: whoever takes a connection.
<VirtualHost 127.0.0.1:7481>
    ProxyRequests Off
    ProxyPreserveHost On
    <Proxy "balancer://syncline-any">
        @{any}
        ProxySet lbmethod=byrequests
    </Proxy>
    ProxyPass "/" "balancer://syncline-any/"
    ProxyPassReverse "/" "balancer://syncline-any/"
</VirtualHost>
)";

constexpr std::string_view kApp = R"(# What the balancer asks: this server's own node.
ProxyPass "@{ready_path}" "http://@{node}/readyz" connectiontimeout=1 timeout=4 retry=0 @@check
ProxyPass "@{healthy_path}" "http://@{node}/healthz" connectiontimeout=1 timeout=4 retry=0

RewriteEngine On
@{uploads}
)";

constexpr std::string_view kUploads = R"(# An upload is served from this server's own disk; one that is not there yet, by the node, which brings it first.
Alias "@{uri}" "@{folder}/"
<Directory "@{folder}">
    Options -Indexes +FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
# The node's own directory in the folder is nobody's business.
RewriteRule "^@{uri}\.syncline" "-" [R=404,L]
RewriteCond "%{REQUEST_METHOD}" "^(GET|HEAD)$"
RewriteCond "@{folder}/$1" !-f @@miss
RewriteRule "^@{uri}(.+)$" "http://@{node}@{miss}$1" [P,L] @@rsync
<Proxy "http://@{node}@{miss}">
    ProxySet connectiontimeout=1 timeout=60 retry=0
?token     Include /etc/apache2/syncline-token.conf
</Proxy>
)";

constexpr std::string_view kSite = R"(?port Listen @{port}
<VirtualHost *:@{app_port}>
?site     ServerName @{site}
    ProxyRequests Off
    ProxyPreserveHost On
    Include conf-available/syncline.conf

    # An upload's prefix is also where the application may take it: what is not read goes there.
    @{writes}
    ProxyPass "/" "http://@{backend}/"
    ProxyPassReverse "/" "http://@{backend}/"
</VirtualHost>
)";

constexpr std::string_view kWrites = R"(RewriteCond "%{REQUEST_METHOD}" "!^(GET|HEAD)$"
RewriteRule "^(@{uri}.*)$" "http://@{backend}$1" [P,L]
ProxyPass "@{uri}" "!"
)";

std::string port_to_open(std::uint16_t port) { return port == 80 ? "" : std::to_string(port); }

}  // namespace

LbPart apache_balancer(const LbPlan& plan, const LbExplain& explain) {
  LbWords words = lb_words(plan.options);
  const std::string member = "BalancerMember \"http://@{address}\" connectiontimeout=2 retry=2";
  words["any"] = lb_lines(plan, member);
  words["ready"] =
      lb_lines(plan, member + " hcmethod=GET hcuri=" + kLbReady + " hcinterval=1 hcpasses=1 hcfails=1");
  words["healthy"] =
      lb_lines(plan, member + " hcmethod=GET hcuri=" + kLbHealthy + " hcinterval=2 hcpasses=1 hcfails=2");
  words["port"] = port_to_open(plan.options.listen);
  LbPart part;
  part.file = "/etc/apache2/sites-available/syncline-balancer.conf";
  part.notes = {
      "a2enmod proxy proxy_http proxy_balancer proxy_hcheck lbmethod_byrequests slotmem_shm && a2ensite "
      "syncline-balancer"};
  if (!plan.options.site.empty())
    part.notes.push_back(
        "Its checks name the app server's address as the host: the site must be the first virtual host "
        "there.");
  LbExplain here = explain;
  part.text = lb_fill(kBalancer, words, here, part.comment);
  return part;
}

std::vector<LbPart> apache_app(const LbOptions& options, const LbWords& words, const LbExplain& explain) {
  LbPart part;
  part.file = "/etc/apache2/conf-available/syncline.conf";
  part.notes = {"a2enmod proxy proxy_http rewrite headers alias"};
  if (!words.at("token").empty())
    part.notes.insert(part.notes.end(), {"This node wants its token for files. Once, as root:",
                                         "  (umask 077; printf 'RequestHeader set Authorization \"Bearer "
                                         "%s\"\\n' \"$(cat /var/lib/syncline/http-token)\" "
                                         "> /etc/apache2/syncline-token.conf)"});
  LbWords here = words;
  here["uploads"] = lb_folders(kUploads, options, words, explain, part.comment);
  here["writes"] = lb_folders(kWrites, options, words, {}, part.comment);
  part.text = lb_fill(kApp, here, explain, part.comment);
  if (options.app_backend.empty()) {
    part.notes.push_back("Into the site's <VirtualHost>: Include conf-available/syncline.conf");
    part.notes.push_back(
        "--app-backend HOST:PORT prints that block as well, for an application behind this Apache.");
    return {part};
  }
  LbPart site;
  site.file = "/etc/apache2/sites-available/syncline-site.conf";
  here["port"] = port_to_open(options.app_port);
  site.text = lb_fill(kSite, here, explain, site.comment);
  return {part, site};
}

}  // namespace syncline

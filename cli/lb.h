#pragma once
#include <string>
#include <vector>

#include "cli/lb_plan.h"
#include "cli/lb_template.h"

// `syncline lb PROGRAM`: balancer configurations without a pinned method. Pure.
namespace syncline {

// One file of the configuration.
struct LbPart {
  std::string title;               // whose it is: "the balancer", "every app server (web1, web2)"
  std::vector<std::string> nodes;  // of which app servers; empty: the balancer's
  std::string file;                // where it usually goes
  std::vector<std::string> notes;  // what else is to be done
  std::string comment = "# @{}";   // see lb_fill()
  std::string text;
};

// The balancer's part and one for each kind of app server; with `explain`, comments say which line stands for
// which line of a set-up with pinned POST and rsync once a minute.
std::vector<LbPart> make_lb_parts(const LbPlan& plan, bool explain);

std::string render(const std::vector<LbPart>& parts);  // one text, every part under a head
std::string lb_json(const LbPlan& plan, const std::vector<LbPart>& parts);

// ---- private to lb_*.cpp

// The app servers' paths that a balancer asks: they pass it on to their node.
inline constexpr const char* kLbReady = "/syncline-readyz";
inline constexpr const char* kLbHealthy = "/syncline-healthz";

// What all the templates know: listen, site, backend, ready_path, healthy_path, check_host.
LbWords lb_words(const LbOptions& options);
// A template once for each folder, as a word of several lines. It knows besides `words`: uri, prefix (uri without the last slash), relative
// (without the first), folder, miss (where the node serves it; miss_prefix: without the last slash) and tag (for names that must differ). What the first explains, the others do not.
std::string lb_folders(std::string_view lines, const LbOptions& options, const LbWords& words, const LbExplain& explain, std::string_view comment);
// One line per server by `line`, which knows name, address, host, port, node_port.
std::string lb_lines(const LbPlan& plan, std::string_view line);

// The port of a HOST:PORT.
std::string lb_port(const std::string& address);

LbPart nginx_balancer(const LbPlan& plan, const LbExplain& explain);
LbPart haproxy_balancer(const LbPlan& plan, const LbExplain& explain);
LbPart apache_balancer(const LbPlan& plan, const LbExplain& explain);
LbPart caddy_balancer(const LbPlan& plan, const LbExplain& explain);
std::vector<LbPart> traefik_balancer(const LbPlan& plan, const LbExplain& explain);
LbPart iis_balancer(const LbPlan& plan, const LbExplain& explain);

// One app server's web server; `words` has node (HOST:PORT), token ("" or "yes") besides lb_words().
std::vector<LbPart> nginx_app(const LbOptions& options, const LbWords& words, const LbExplain& explain);
std::vector<LbPart> apache_app(const LbOptions& options, const LbWords& words, const LbExplain& explain);
std::vector<LbPart> caddy_app(const LbOptions& options, const LbWords& words, const LbExplain& explain);
std::vector<LbPart> iis_app(const LbOptions& options, const LbWords& words, const LbExplain& explain);

LbExplain lb_explanations(LbProgram program);

}  // namespace syncline

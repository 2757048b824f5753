#include "cli/options_lb.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

void add_print_options(CLI::App* c, LbCommands& lb) {
  LbOptions& o = lb.print.options;
  const CLI::Range port(1, 65535);
  c->add_option("--app-port", o.app_port, "of the app servers' web server")
      ->check(port)
      ->capture_default_str();
  c->add_option("--http-port", o.http_port, "of the nodes (default: as they tell, else 7441)")->check(port);
  c->add_option("--agent-port", o.agent_port, "haproxy: ask the nodes' agent as well (config.toml, [balancer])")
      ->check(port);
  c->add_option("--listen", o.listen, "port of the balancer")->check(port)->capture_default_str();
  c->add_option("--uri", o.uris, "prefix of the first folder's files, and of no other's; NAME=/prefix/: of the folder of that name "
                "(default: all folders by their names, as in /uploads/)")
      ->expected(1)
      ->take_all();
  c->add_option("--folder", o.paths, "the same of where a folder is on the app servers (default: as on this node)")->expected(1)->take_all();
  c->add_option("--site", o.site, "host name of the site (default: any)");
  c->add_option("--server", o.servers, "NAME=HOST[:PORT]: where the balancer reaches a member's web server")
      ->expected(1)
      ->take_all();
  c->add_option("--app-server", lb.app_server, "web server of the app servers: nginx, apache, caddy, iis")
      ->check(CLI::IsMember({"nginx", "apache", "caddy", "iis"}));
  c->add_option("--app-backend", o.app_backend, "HOST:PORT of the application behind that web server");
  c->add_option("--checks", lb.checks, "app: ask through the app server; node: ask the node's port")
      ->check(CLI::IsMember({"app", "node"}));
  c->add_flag("--explain", lb.print.explain, "say which line replaces which of a pinned set-up");
}

void add_check_options(CLI::App* c, LbCommands& lb) {
  LbCheckOptions& o = lb.checked.options;
  c->add_option("URL", o.url, "of the balancer, with the uploads' prefix: http://HOST[:PORT]/uploads/")
      ->required();
  c->add_option("--server", o.servers, "URL of an app server, with the same prefix; once for each")
      ->expected(1)
      ->take_all();
  c->add_option("--method", o.method, "of an upload")
      ->check(CLI::IsMember({"POST", "PUT"}))
      ->capture_default_str();
  c->add_option("--form", o.form, "POST a form with the file in this field, as a browser does");
  c->add_option("--upload-path", o.upload_path, "relative to URL, or absolute")->capture_default_str();
  c->add_option("--read-path", o.read_path, "relative to URL, or absolute")->capture_default_str();
  c->add_option("--server-header", o.server_header, "by which an answer tells its server")
      ->capture_default_str();
  c->add_option("--ready-path", o.ready_path, "where an app server tells whether it is ready")
      ->capture_default_str();
  c->add_option("--probes", o.probes, "how many")
      ->check(CLI::Range(2u, limits::lb_check_probes))
      ->capture_default_str();
  c->add_option("--timeout", lb.timeout, "how long every server may take to have a probe")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const auto ms = parse_duration_ms(text);
            return ms && *ms > 0 && *ms <= limits::lb_check_timeout_ms
                       ? std::string()
                       : fmt::format("{} is no duration like 500ms or 5s, or too long", printable(text));
          },
          "TIME"))
      ->capture_default_str();
}

}  // namespace

void add_lb_commands(CLI::App& app, LbCommands& lb, bool& json) {
  auto* group =
      app.add_subcommand("lb", "balancer configurations without POST pinning; look at a running one");
  group->require_subcommand(1)->fallthrough();
  for (std::size_t i = 0; i < std::size(kLbPrograms); ++i) {
    auto* command = group->add_subcommand(std::string(kLbPrograms[i]),
                                          fmt::format("print a configuration for {}", kLbPrograms[i]));
    add_print_options(command, lb);
    lb.programs[i] = command;
  }
  lb.check = group->add_subcommand("check", "upload through a balancer, read back through every server");
  add_check_options(lb.check, lb);
  lb.import = app.add_subcommand("import", "what an rsyncd.conf and rsync command lines become");
  lb.import->add_option("FILE", lb.imported.file, "an rsyncd.conf; - reads it from standard input")
      ->required();
  lb.import->add_option("--client", lb.imported.clients, "an rsync command line, in one word; once for each")
      ->expected(1)
      ->take_all();
  for (auto* command : lb.programs) command->fallthrough()->add_flag("--json", json, "print JSON");
  for (auto* command : {lb.check, lb.import}) command->fallthrough()->add_flag("--json", json, "print JSON");
}

bool take_lb_command(const LbCommands& lb, Command& out) {
  for (std::size_t i = 0; i < lb.programs.size(); ++i) {
    if (!lb.programs[i]->parsed()) continue;
    PrintLb print = lb.print;
    print.options.balancer = static_cast<LbProgram>(i);
    if (!lb.app_server.empty()) print.options.app_server = lb_program(lb.app_server);
    if (lb.checks == "node") print.options.checks = LbChecks::node;
    out.what = print;
    return true;
  }
  if (lb.check->parsed()) {
    CheckLb check = lb.checked;
    check.options.timeout_ms = parse_duration_ms(lb.timeout).value_or(0);
    out.what = check;
    return true;
  }
  if (lb.import->parsed()) {
    out.what = lb.imported;
    return true;
  }
  return false;
}

}  // namespace syncline

#include <fmt/format.h>
#include <sodium.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

#include "node/allocator.h"
#include "node/home_setup.h"
#include "node/join.h"
#include "node/run.h"
#include "node/transport.h"
#include "protocol/control_text.h"

namespace {

using namespace syncline;

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

int failed(const Error& error) {
  fmt::print(stderr, "syncline: {}\n", error.message);
  return kFailed;
}

std::string home_option(const std::string& home) {
  const auto usual = resolve_home("");
  return usual && *usual == home ? "" : " --home " + home;
}

int report(const Home& home, bool json, bool founded) {
  if (json) {
    fmt::print("{}\n",
               json_text(SetupReport{home.config.name, home.identity.node, home.cluster.cluster, home.path,
                                     home.config.folder.path, home.config.listen, home.config.http}));
    return kDone;
  }
  const std::string option = home_option(home.path);
  fmt::print("{} cluster {} as node {}.\n", founded ? "Founded" : "Joined",
             to_hex(home.cluster.cluster).substr(0, 12), home.config.name);
  fmt::print("  folder   {}\n  home     {}\n  listens  udp {}, http {}\n", printable(home.config.folder.path),
             printable(home.path), home.config.listen, home.config.http);
  fmt::print("Next: syncline run{}\n", option);
  if (founded) fmt::print("Then, for every other node: syncline cluster invite{}\n", option);
  return kDone;
}

// "-": the first line of standard input, so that the token shows in no list of processes.
std::string read_token(const std::string& argument) {
  std::string line = argument;
  if (argument == "-") std::getline(std::cin, line);
  return line;
}

struct Arguments {
  SetupOptions setup;
  std::string home, token;
  bool json = false;
};

void add_setup_options(CLI::App& command, Arguments& a) {
  command.add_option("FOLDER", a.setup.folder, "the folder to sync")->required();
  command.add_option("--name", a.setup.name, "this node's name (host name)");
  command.add_option("--listen", a.setup.listen, fmt::format("UDP HOST:PORT ({})", Config::kDefaultListen));
  command.add_option("--http", a.setup.http, fmt::format("TCP HOST:PORT ({})", Config::kDefaultHttp));
  command.add_flag("--json", a.json, "print JSON");
}

int run_command(const CLI::App& app, Arguments& a) {
  const auto home = resolve_home(a.home);
  if (!home) return failed(home.error());
  a.setup.home = *home;
  if (app.got_subcommand("run")) return run_node({*home});
  const bool founding = app.got_subcommand("init");
  const auto made =
      founding ? init_home(a.setup) : join_cluster(read_token(a.token), a.setup, &Transport::create);
  return made ? report(*made, a.json, founding) : failed(made.error());
}

}  // namespace

int main(int argc, char** argv) {
  tune_allocator();
#ifdef SIGPIPE
  std::signal(SIGPIPE, SIG_IGN);  // a client that hangs up is no reason to die
#endif
  if (sodium_init() < 0) return failed({Error::Code::io, "the system gives no random numbers"});
  CLI::App app("The Syncline node. Administrators use `syncline`, which starts this.", "synclined");
  Arguments a;
  app.require_subcommand(1)->fallthrough();
  app.add_option("--home", a.home, "where this node keeps its keys and its index (or SYNCLINE_HOME)");
  add_setup_options(*app.add_subcommand("init", "found a cluster with this folder"), a);
  auto* join = app.add_subcommand("join", "join a cluster with this folder");
  join->add_option("TOKEN", a.token, "what `syncline cluster invite` printed; - reads it from standard input")
      ->required();
  add_setup_options(*join, a);
  app.add_subcommand("run", "run the node in the foreground");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return run_command(app, a);
}

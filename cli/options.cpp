#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "cli/options_lb.h"
#include "cli/system.h"
#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"
#include "protocol/member.h"

namespace syncline {
namespace {

struct Values {
  std::string home, folder, token, name, listen, http, id, as, path, folder_name, mode, durability, ttl = "1h", nodes = "all",
                                                                                  timeout = "5s", drain_timeout = "1m";
  std::uint32_t uses = 1;
  bool json = false, repair = false, watch = false, durable = false, accept_deletions = false;
  LbCommands lb;
};

// The node may have another working directory.
std::string absolute_path(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

CLI::Validator duration(std::uint64_t most_ms) {
  return CLI::Validator(
      [most_ms](const std::string& text) {
        const auto ms = parse_duration_ms(text);
        return ms && *ms > 0 && *ms <= most_ms
                   ? std::string()
                   : fmt::format("{} is no duration like 500ms, 5s, 10m, 1h, or too long", printable(text));
      },
      "TIME");
}

CLI::Validator node_count() {
  return CLI::Validator(
      [](const std::string& text) {
        const auto nodes = parse_wait_for(text);
        return nodes ? std::string() : nodes.error().message;
      },
      "all|majority|N");
}

CLI::Validator host_port() {
  return CLI::Validator(
      [](const std::string& text) {
        const auto address = parse_address(text);
        return address ? std::string() : address.error().message;
      },
      "HOST:PORT");
}

CLI::Validator node_name() {
  return CLI::Validator(
      [](const std::string& text) {
        return valid_node_name(text) ? std::string()
                                     : fmt::format("\"{}\": use 1 to {} letters, digits, '.', '-' or '_'",
                                                   printable(text), limits::node_name_bytes);
      },
      "NODE");
}

void add_setup_options(CLI::App* command, Values& v) {
  command->add_option("FOLDER", v.folder, "the folder to sync")->required();
  command->add_option("--name", v.name, "this node's name (default: the host name)")->check(node_name());
  command->add_option("--listen", v.listen, "UDP, for the links (default: 0.0.0.0:7440)")->check(host_port());
  command->add_option("--http", v.http, "TCP, for health checks and metrics (default: 127.0.0.1:7441)")
      ->check(host_port());
  command->add_flag("--json", v.json, "print JSON");
}

// One that prints data. --home may come before or behind any of them.
CLI::App* add_command(CLI::App& above, const char* name, const char* help, Values& v) {
  auto* command = above.add_subcommand(name, help);
  command->fallthrough();
  command->add_flag("--json", v.json, "print JSON");
  return command;
}

struct Commands {
  CLI::App *init, *run, *cluster, *invite, *join, *members, *status, *conflicts, *show, *diff, *restore, *leave, *evict, *verify,
      *drop, *wait, *drain, *resume, *folder, *folders, *revert, *folder_add, *folder_pause, *folder_resume, *folder_remove;
};

void add_conflicts(CLI::App& app, Values& v, Commands& c) {
  c.conflicts =
      add_command(app, "conflicts", "list versions that lost to a concurrent one, and get them back", v);
  c.conflicts->require_subcommand(0, 1);
  c.conflicts->add_option("--folder", v.folder_name, "only of the folder of this name");
  add_command(*c.conflicts, "list", "all that are open", v);
  const auto with_id = [&](const char* name, const char* help) {
    auto* command = add_command(*c.conflicts, name, help, v);
    command->add_option("ID", v.id, "as listed; a unique start will do")->required();
    return command;
  };
  c.show = with_id("show", "everything about one");
  c.diff = with_id("diff", "how the loser differs from the live file");
  c.restore =
      with_id("restore", "make the loser live again (the present version is then overwritten knowingly)");
  c.restore->add_option("--as", v.as, "under this path instead, relative to the folder");
  c.drop = with_id("drop", "give the loser up, on all nodes");
}

void add_folders(CLI::App& app, Values& v, Commands& c) {
  c.folder = app.add_subcommand("folder", "the folders of this node: list, add, pause, resume, remove, revert");
  c.folder->require_subcommand(1);
  c.folders = add_command(*c.folder, "list", "the folders of this node, and what their modes keep back; those that only others have", v);
  c.folder_add = add_command(*c.folder, "add", "take part in the cluster's folder of this name, or found it", v);
  c.folder_add->add_option("PATH", v.path, "where it is on this machine")->required();
  c.folder_add->add_option("--name", v.folder_name, "as it is called on all nodes (default: the last part of PATH)");
  c.folder_add->add_option("--mode", v.mode, "what this node does with it (default: send-receive)")
      ->check(CLI::IsMember({"send-receive", "receive-only", "send-only"}));
  c.folder_add->add_option("--durability", v.durability, "when a received version is shown (default: group)")
      ->check(CLI::IsMember({"group", "strict"}));
  const auto with_name = [&](const char* name, const char* help, bool required) {
    auto* command = add_command(*c.folder, name, help, v);
    auto* option = command->add_option("NAME", v.folder_name, required ? "as listed" : "as listed; may be left out where the node has one");
    if (required) option->required();
    return command;
  };
  c.folder_pause = with_name("pause", "look at nothing in it and take nothing over, across restarts, until it is resumed", false);
  c.folder_resume = with_name("resume", "end a pause; try one that has stopped again at once", false);
  c.folder_resume->add_flag("--accept-deletions", v.accept_deletions, "what its next scan misses was deleted on purpose: delete it everywhere");
  c.folder_remove = with_name("remove", "take no part in it any more; its files stay where they are", true);
}

Commands add_commands(CLI::App& app, Values& v) {
  Commands c{};
  c.init = app.add_subcommand("init", "found a cluster with this folder; starts nothing");
  add_setup_options(c.init, v);
  c.run = app.add_subcommand("run", "run the node in the foreground");
  c.cluster = app.add_subcommand("cluster", "invite, join, members, leave, evict");
  c.cluster->require_subcommand(1);
  c.invite =
      add_command(*c.cluster, "invite", "print a token for `syncline cluster join` on another machine", v);
  c.invite->add_option("--uses", v.uses, "how many nodes may use it")
      ->check(CLI::Range(1u, limits::invite_uses));
  c.invite->add_option("--ttl", v.ttl, "how long it is good")
      ->check(duration(limits::invite_ttl_ms))
      ->capture_default_str();
  c.join = c.cluster->add_subcommand("join", "join a cluster with this folder; starts nothing");
  c.join->add_option("TOKEN", v.token, "what `invite` printed; - reads it from standard input")->required();
  add_setup_options(c.join, v);
  c.members = add_command(*c.cluster, "members", "who belongs to the cluster", v);
  c.leave = add_command(*c.cluster, "leave", "take this node out of the cluster once another one has everything", v);
  c.leave->add_option("--timeout", v.drain_timeout, "give up after; the node is out of service then, and still a member")
      ->check(duration(limits::wait_timeout_ms))
      ->capture_default_str();
  c.evict = add_command(*c.cluster, "evict", "take another node out, which may be lost: no member talks to it again", v);
  c.evict->add_option("NODE", v.id, "its name, or the start of its id")->required();
  c.status = add_command(app, "status", "this node, its peers, lag, transfers, what is wrong", v);
  c.status->add_flag("--watch", v.watch, "again every second, until Ctrl-C");
  add_conflicts(app, v, c);
  c.wait = add_command(app, "wait", "return when that many nodes have this version of a file", v);
  c.wait->add_option("PATH", v.path, "absolute, or relative to the folder")->required();
  c.wait->add_option("--nodes", v.nodes, "how many")->check(node_count())->capture_default_str();
  c.wait->add_flag("--durable", v.durable, "synced to their disks, not only visible");
  c.wait->add_option("--timeout", v.timeout, "give up after")
      ->check(duration(limits::wait_timeout_ms))
      ->capture_default_str();
  c.wait->add_option("--folder", v.folder_name, "the folder of this name");
  c.verify = add_command(app, "verify", "hash everything again, compare with the cluster", v);
  c.verify->add_flag("--repair", v.repair, "fetch what is damaged from another node");
  add_folders(app, v, c);
  c.revert = add_command(*c.folder, "revert", "give up what was changed here in a folder that only receives", v);
  c.revert->add_option("PATH", v.path, "only this path and all below, absolute or relative to the folder");
  c.revert->add_option("--folder", v.folder_name, "the folder of this name");
  c.drain = add_command(app, "drain", "take this node out of service once another one has everything", v);
  c.drain->add_option("--timeout", v.drain_timeout, "stop waiting after; the node goes on with it")
      ->check(duration(limits::wait_timeout_ms))
      ->capture_default_str();
  c.resume = add_command(app, "resume", "put it into service again", v);
  add_lb_commands(app, v.lb, v.json);
  for (auto* command : {c.init, c.run, c.cluster, c.join, c.folder}) command->fallthrough();
  return c;
}

StartNode start_node(const char* command, const Commands& c, const Values& v) {
  StartNode start{{command, "--home=" + v.home}};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) start.arguments.push_back(fmt::format("{}={}", option, value));
  };
  add("--name", v.name), add("--listen", v.listen), add("--http", v.http);
  if (v.json) start.arguments.push_back("--json");
  if (c.run->parsed()) return start;
  start.arguments.push_back("--");  // the rest are no options, whatever they look like
  if (c.join->parsed()) start.arguments.push_back(v.token);
  start.arguments.push_back(v.folder);
  return start;
}

Command command_of(const Commands& c, const Values& v) {
  Command out{{}, v.home, v.json};
  if (take_lb_command(v.lb, out)) return out;
  if (c.init->parsed()) {
    out.what = start_node("init", c, v);
  } else if (c.run->parsed()) {
    out.what = start_node("run", c, v);
  } else if (c.join->parsed()) {
    out.what = start_node("join", c, v);
  } else if (c.invite->parsed()) {
    out.what = Ask(InviteRequest{v.uses, parse_duration_ms(v.ttl).value_or(0)});
  } else if (c.members->parsed()) {
    out.what = Ask(MembersRequest{});
  } else if (c.leave->parsed()) {
    out.what = Ask(LeaveRequest{parse_duration_ms(v.drain_timeout).value_or(0)});
  } else if (c.evict->parsed()) {
    out.what = Ask(EvictRequest{v.id});
  } else if (c.status->parsed()) {
    out.what = ShowStatus{v.watch};
  } else if (c.folders->parsed()) {
    out.what = ShowFolders{};
  } else if (c.folder_add->parsed()) {
    out.what = Ask(FolderAddRequest{absolute_path(v.path), v.folder_name, v.mode, v.durability});
  } else if (c.folder_pause->parsed()) {
    out.what = Ask(FolderPauseRequest{v.folder_name});
  } else if (c.folder_resume->parsed()) {
    out.what = Ask(FolderResumeRequest{v.folder_name, v.accept_deletions});
  } else if (c.folder_remove->parsed()) {
    out.what = Ask(FolderRemoveRequest{v.folder_name});
  } else if (c.revert->parsed()) {
    out.what = Ask(RevertRequest{v.folder_name, v.path});
  } else if (c.show->parsed()) {
    out.what = Ask(ConflictShowRequest{v.id});
  } else if (c.diff->parsed()) {
    out.what = ShowDiff{v.id};
  } else if (c.restore->parsed()) {
    out.what = Ask(ConflictRestoreRequest{v.id, v.as});
  } else if (c.drop->parsed()) {
    out.what = Ask(ConflictDropRequest{v.id});
  } else if (c.conflicts->parsed()) {
    out.what = Ask(ConflictsRequest{v.folder_name});
  } else if (c.drain->parsed()) {
    out.what = Ask(DrainRequest{parse_duration_ms(v.drain_timeout).value_or(0)});
  } else if (c.verify->parsed()) {
    out.what = RunVerify{v.repair};
  } else if (c.resume->parsed()) {
    out.what = Ask(ResumeRequest{});
  } else {
    out.what = Ask(WaitRequest{v.folder_name, v.path, *parse_wait_for(v.nodes), v.durable,
                               parse_duration_ms(v.timeout).value_or(0)});
  }
  return out;
}

}  // namespace

std::optional<std::uint64_t> parse_duration_ms(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value > 1'000'000'000) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit == "ms") return value;
  if (unit.empty() || unit == "s") return value * 1000;
  if (unit == "m") return value * 60'000;
  if (unit == "h") return value * 3'600'000;
  if (unit == "d") return value * 86'400'000;
  return std::nullopt;
}

std::variant<Command, int> parse_command_line(int argc, char** argv) {
  CLI::App app("Keeps the upload folders of a web farm equal.", "syncline");
  Values v;
  app.require_subcommand(1);
  app.set_version_flag("--version", "syncline " SYNCLINE_VERSION);
  app.add_option("--home", v.home, "where the node keeps its keys and its index")->envname("SYNCLINE_HOME");
  const Commands commands = add_commands(app, v);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (v.home.empty())
    v.home = default_home(running_as_root(), std::getenv("XDG_STATE_HOME"), std::getenv("HOME")).value_or("");
  if (v.home.empty()) {
    fmt::print(stderr, "syncline: no home directory is known: name one with --home DIR\n");
    return 2;
  }
  return command_of(commands, v);
}

}  // namespace syncline

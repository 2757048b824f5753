#include "cli/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "cli/ask.h"
#include "cli/diff.h"
#include "cli/lb.h"
#include "cli/render.h"
#include "cli/system.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr int kDone = 0, kFailed = 1, kTimedOut = 3;

int failed(const Error& error) {
  fmt::print(stderr, "syncline: {}\n", printable(error.message));
  return error.code == Error::Code::timed_out ? kTimedOut : kFailed;
}

// False when nobody reads any more (`syncline status --watch | head`).
bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int run(const Command&, const StartNode& start) { return failed(become_synclined(start.arguments)); }

int run(const Command& command, const ShowStatus& show) {
  for (;;) {
    const auto status = ask(command.home, StatusRequest{});
    if (!status) return failed(status.error());
    std::string text = command.json ? json_text(*status) + "\n" : render(*status);
    if (show.watch && !command.json) text = writes_to_terminal() ? "\x1b[H\x1b[2J" + text : text + "\n";
    if (!print(text)) return kFailed;
    if (!show.watch) return kDone;
    std::this_thread::sleep_for(std::chrono::seconds(1));  // a picture a second, whatever happens in between
  }
}

int run(const Command& command, const ShowFolders&) {
  const auto status = ask(command.home, StatusRequest{});
  if (!status) return failed(status.error());
  print(command.json ? folders_json(*status) + "\n" : render_folders(*status));
  return kDone;
}

int run(const Command& command, const ShowDiff& show) {
  const auto conflict = ask(command.home, ConflictShowRequest{show.id});
  if (!conflict) return failed(conflict.error());
  const auto diff = diff_conflict(*conflict);
  if (!diff) return failed(diff.error());
  print(command.json ? diff_json(*conflict, *diff) + "\n" : diff->output);
  return kDone;
}

int run(const Command& command, const PrintLb& print_lb) {
  const auto members = ask(command.home, MembersRequest{});
  if (!members) return failed(members.error());
  const auto status = ask(command.home, StatusRequest{});
  if (!status) return failed(status.error());
  const auto plan = make_lb_plan(print_lb.options, *members, *status);
  if (!plan) return failed(plan.error());
  const auto parts = make_lb_parts(*plan, print_lb.explain);
  print(command.json ? lb_json(*plan, parts) + "\n" : render(parts));
  return kDone;
}

int run(const Command& command, const CheckLb& check) {
  const auto seen = observe(check.options);
  if (!seen) return failed(seen.error());
  const auto findings = judge(check.options, *seen);
  print(command.json ? lb_check_json(*seen, findings) + "\n" : render(findings));
  const bool bad =
      std::ranges::any_of(findings, [](const LbFinding& f) { return f.grade == LbFinding::Grade::bad; });
  return bad ? kFailed : kDone;
}

int run(const Command& command, const ImportRsync& import) {
  const auto text = read_import_file(import.file);
  if (!text) return failed(text.error());
  const ImportResult result =
      import_rsync(*text, import.file == "-" ? "standard input" : import.file, import.clients);
  print(command.json ? import_json(result) + "\n" : render(result));
  return kDone;
}

// What is said about a reply, and the exit status it means.
template <class Reply>
int tell(const Command& command, const Reply& reply) {
  print(command.json ? json_text(reply) + "\n" : render(reply));
  return kDone;
}
int tell(const Command& command, const Done& reply) {
  if (command.json) print(json_text(reply) + "\n");
  return kDone;
}
int tell(const Command& command, const RestoreReply& reply) {
  print(command.json ? json_text(reply) + "\n" : fmt::format("restored {}\n", printable(reply.path)));
  return kDone;
}
int tell(const Command& command, const EvictReply& reply) {
  print(command.json ? json_text(reply) + "\n"
                     : fmt::format("{} is not a member any more; its files stay on its disk\n", printable(reply.name)));
  return kDone;
}
int tell(const Command& command, const FolderReply& reply) {
  print(command.json ? json_text(reply) + "\n"
                     : fmt::format("{}: {}{}\n", printable(reply.name), printable(reply.path), reply.founded ? "; new to the cluster" : ""));
  return kDone;
}
int tell(const Command& command, const RevertReply& reply) {
  print(command.json ? json_text(reply) + "\n" : fmt::format("reverting {} path{}\n", reply.paths, reply.paths == 1 ? "" : "s"));
  return kDone;
}
int tell(const Command& command, const WaitReply& reply) {
  if (command.json) print(json_text(reply) + "\n");
  if (reply.done) {
    if (!command.json) print(render(reply));
    return kDone;
  }
  std::string why = reply.lacking.empty() ? "too few nodes can have it"
                                          : fmt::format("lacking on {}", fmt::join(reply.lacking, ", "));
  if (!reply.have.empty())
    why += fmt::format("; {} ha{} it", fmt::join(reply.have, ", "), reply.have.size() == 1 ? "s" : "ve");
  if (!reply.absent.empty()) why += fmt::format("; absent: {}", fmt::join(reply.absent, ", "));
  fmt::print(stderr, "syncline: timed out: {}\n", printable(why));
  return kTimedOut;
}

int tell(const Command& command, const ReadyReply& reply) {
  print(command.json ? json_text(reply) + "\n" : render(reply));
  return kDone;
}
std::string why_not_drained(const DrainReply& reply) {
  std::string why = reply.lacking.empty() ? "no other node is linked"
                                          : fmt::format("{} ha{} not everything yet", fmt::join(reply.lacking, ", "),
                                                        reply.lacking.size() == 1 ? "s" : "ve");
  if (!reply.have.empty()) why = fmt::format("{} may lack what was written last", fmt::join(reply.have, ", "));
  if (!reply.absent.empty()) why += fmt::format("; absent: {}", fmt::join(reply.absent, ", "));
  return why;
}
int tell(const Command& command, const DrainReply& reply) {
  if (command.json) print(json_text(reply) + "\n");
  if (reply.done) {
    if (!command.json) print(render(reply));
    return kDone;
  }
  if (reply.state == NodeState::stopped) {
    fmt::print(stderr, "syncline: timed out: this node has left, and no other has heard of it yet; let it run until one has\n");
    return kTimedOut;
  }
  fmt::print(stderr, "syncline: timed out: {}; the node goes on draining until `syncline resume`\n",
             printable(why_not_drained(reply)));
  return kTimedOut;
}

// The node tells now and then how far it is, so that a dead one is noticed.
int run(const Command& command, const RunVerify& verify) {
  VerifyRequest request{.repair = verify.repair};
  for (;;) {
    const auto reply = ask(command.home, request, kAnswerMs + request.timeout_ms);
    if (!reply) return failed(reply.error());
    request.run = reply->run;
    if (!reply->done) continue;
    print(command.json ? json_text(*reply) + "\n" : render(*reply));
    const std::uint64_t left = reply->damaged_count + reply->unreadable_count - reply->repaired;
    if (left == 0) return kDone;
    fmt::print(stderr, "syncline: {} file{} damaged or unreadable{}\n", left, left == 1 ? " is" : "s are",
               verify.repair ? "; `syncline status` says what keeps them from being repaired" : "; repair with: syncline verify --repair");
    return kFailed;
  }
}

int run(const Command& command, const Ask& request) {
  return std::visit(
      [&](const auto& r) {
        std::uint64_t patience = kAnswerMs;
        if constexpr (requires { r.timeout_ms; }) patience += r.timeout_ms;
        const auto reply = ask(command.home, r, patience);
        if (!reply) return failed(reply.error());
        return tell(command, *reply);
      },
      request);
}

}  // namespace

int run_command(const Command& command) {
  return std::visit([&](const auto& what) { return run(command, what); }, command.what);
}

}  // namespace syncline

#include "cli/commands.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "cli/diff.h"
#include "cli/render.h"
#include "cli/system.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr int kDone = 0, kFailed = 1, kTimedOut = 3;
constexpr std::uint64_t kAnswerMs = 30'000;

int failed(const Error& error) {
  fmt::print(stderr, "syncline: {}\n", printable(error.message));
  return error.code == Error::Code::timed_out ? kTimedOut : kFailed;
}

// False when nobody reads any more (`syncline status --watch | head`).
bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

template <class Request>
Result<typename Request::Reply> ask(const std::string& home, const Request& request,
                                    std::uint64_t patience_ms = kAnswerMs) {
  const auto line = ask_node(home, encode_request(request), patience_ms);
  if (!line) return tl::unexpected(line.error());
  return decode_reply<typename Request::Reply>(*line);
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

int run(const Command& command, const ShowDiff& show) {
  const auto conflict = ask(command.home, ConflictShowRequest{show.id});
  if (!conflict) return failed(conflict.error());
  const auto diff = diff_conflict(*conflict);
  if (!diff) return failed(diff.error());
  print(command.json ? diff_json(*conflict, *diff) + "\n" : diff->output);
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

int run(const Command& command, const Ask& request) {
  return std::visit(
      [&](const auto& r) {
        std::uint64_t patience = kAnswerMs;
        if constexpr (requires { r.timeout_ms; }) patience += r.timeout_ms;
        const auto reply = ask(command.home, r, patience);
        if (!reply) return failed(reply.error());
        if constexpr (std::is_same_v<std::decay_t<decltype(*reply)>, ReadyReply>) {
          return kDone;  // no command asks this
        } else {
          return tell(command, *reply);
        }
      },
      request);
}

}  // namespace

int run_command(const Command& command) {
  return std::visit([&](const auto& what) { return run(command, what); }, command.what);
}

}  // namespace syncline

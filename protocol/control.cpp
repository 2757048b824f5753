#include "protocol/control.h"

#include <fmt/format.h>
#include <sodium.h>

#include <charconv>

#include "protocol/codec.h"
#include "protocol/control_fields.h"

namespace syncline {
namespace {

using json::Json;

// The word in "request".
std::string_view request_name(const ControlRequest& request) {
  static constexpr std::array<std::string_view, std::variant_size_v<ControlRequest>> words{
      "status", "ready", "members", "invite", "conflicts", "show", "restore", "drop", "wait", "revert",
      "drain", "resume", "leave", "evict", "verify", "folder_add", "folder_remove", "folder_pause", "folder_resume"};
  return words[request.index()];
}

// A default request of the type that goes by this name.
template <std::size_t I = 0>
std::optional<ControlRequest> request_named(std::string_view name) {
  if constexpr (I < std::variant_size_v<ControlRequest>) {
    ControlRequest request(std::in_place_index<I>);
    return request_name(request) == name ? request : request_named<I + 1>(name);
  }
  return std::nullopt;
}

Result<Json> parse_object(std::string_view text, std::size_t limit) {
  if (text.size() > limit) return fail(Error::Code::invalid, "too long");
  Json object = Json::parse(text, nullptr, false);
  if (object.is_discarded() || !object.is_object()) return fail(Error::Code::invalid, "no JSON object");
  return object;
}

std::string line(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);  // the other handlers throw
}

Json nodes_json(const WaitFor& nodes) {
  if (nodes.what == WaitFor::What::count) return nodes.count;
  return nodes.what == WaitFor::What::all ? "all" : "majority";
}

Result<WaitFor> nodes_of(const Json& json) {
  if (json.is_string()) return parse_wait_for(json.get_ref<const std::string&>());
  if (json.is_number_unsigned()) return parse_wait_for(line(json));
  return parse_wait_for("?");
}

Status check(const WaitRequest& wait) {
  if (wait.path.empty()) return fail(Error::Code::invalid, "\"path\" is missing");
  return {};
}
Status check(const InviteRequest& invite) {
  if (invite.uses == 0 || invite.ttl_ms == 0) return fail(Error::Code::invalid, "0 uses or no time to live");
  return {};
}
Status check(const EvictRequest& evict) {
  if (evict.node.empty()) return fail(Error::Code::invalid, "\"node\" is missing");
  return {};
}
Status check(const FolderAddRequest& add) {
  if (add.path.empty() || add.path.front() != '/') return fail(Error::Code::invalid, "\"path\" is missing, or not absolute");
  return {};
}
template <class T>
Status check(const T& request) {
  if constexpr (requires { request.id; }) {
    if (request.id.empty()) return fail(Error::Code::invalid, "\"id\" is missing");
  }
  return {};
}

template <class T>
Status read(const Json& object, T& into) {
  json::In io(object);
  fields(io, into);
  if (!io.ok()) return fail(Error::Code::invalid, io.error());
  if constexpr (std::same_as<T, WaitRequest>) {
    if (const auto at = object.find("nodes"); at != object.end()) {
      const auto nodes = nodes_of(*at);
      if (!nodes) return tl::unexpected(nodes.error());
      into.nodes = *nodes;
    }
  }
  return {};
}

}  // namespace

std::string encode_request(const ControlRequest& request) {
  Json object{{"request", request_name(request)}};
  json::Out io(object);
  std::visit([&](const auto& r) { fields(io, r); }, request);
  if (const auto* wait = std::get_if<WaitRequest>(&request)) object["nodes"] = nodes_json(wait->nodes);
  return line(object);
}

Result<ControlRequest> decode_request(std::string_view text) {
  const auto object = parse_object(text, limits::control_request_bytes);
  const auto bad = [](const std::string& why) { return fail(Error::Code::invalid, "bad request: " + why); };
  if (!object) return bad(object.error().message);
  const auto name = object->find("request");
  if (name == object->end() || !name->is_string()) return bad("\"request\" is missing");
  auto request = request_named(name->get_ref<const std::string&>());
  if (!request)
    return fail(Error::Code::unsupported,
                fmt::format("this node knows no request \"{}\"",
                            printable(name->get_ref<const std::string&>().substr(0, 40))));
  const Status done = std::visit(
      [&](auto& r) -> Status {
        if (const Status read_all = read(*object, r); !read_all) return read_all;
        return check(r);
      },
      *request);
  if (!done) return bad(done.error().message);
  return *std::move(request);
}

std::string encode_reply(const Result<ControlReply>& reply) {
  Json object{{"ok", reply.has_value()}};
  if (reply) {
    json::Out io(object);
    std::visit([&](const auto& r) { fields(io, r); }, *reply);
  } else {
    object["code"] = code_name(reply.error().code);
    object["error"] = as_utf8(reply.error().message.substr(0, limits::error_text_bytes));
  }
  std::string text = line(object);
  if (text.size() <= limits::control_reply_bytes) return text;
  return encode_reply(fail(Error::Code::full, "the answer is too long to be sent"));
}

template <class Reply>
Result<Reply> decode_reply(std::string_view text) {
  const auto bad = [](const std::string& why) {
    return fail(Error::Code::invalid, "bad answer from the node: " + why);
  };
  const auto object = parse_object(text, limits::control_reply_bytes);
  if (!object) return bad(object.error().message);
  const auto ok = object->find("ok");
  if (ok == object->end() || !ok->is_boolean()) return bad("\"ok\" is missing");
  if (!ok->template get<bool>()) {
    Error::Code code = Error::Code::io;
    std::string message = "the node gave no reason";
    json::In io(*object);
    io("code", code), io("error", message);
    if (!io.ok()) return bad(io.error());
    return fail(code, printable(message));
  }
  Reply reply;
  if (const Status done = read(*object, reply); !done) return bad(done.error().message);
  return reply;
}
template Result<Done> decode_reply(std::string_view);
template Result<StatusReply> decode_reply(std::string_view);
template Result<ReadyReply> decode_reply(std::string_view);
template Result<MembersReply> decode_reply(std::string_view);
template Result<InviteReply> decode_reply(std::string_view);
template Result<ConflictsReply> decode_reply(std::string_view);
template Result<ConflictShowReply> decode_reply(std::string_view);
template Result<RestoreReply> decode_reply(std::string_view);
template Result<WaitReply> decode_reply(std::string_view);
template Result<RevertReply> decode_reply(std::string_view);
template Result<DrainReply> decode_reply(std::string_view);
template Result<EvictReply> decode_reply(std::string_view);
template Result<VerifyReply> decode_reply(std::string_view);
template Result<FolderReply> decode_reply(std::string_view);

std::string json_text(const ControlReply& reply, int indent) {
  Json object = std::visit([](const auto& r) { return json::to_json(r); }, reply);
  if (std::holds_alternative<ConflictsReply>(reply)) return line(object["conflicts"], indent);
  return line(object, indent);
}

std::string folders_json(const StatusReply& status) {
  Json folders = json::to_json(status)["folders"];
  for (const std::string& name : status.elsewhere)
    folders.push_back(json::to_json(FolderStatus{.name = name, .path = {}, .state = FolderState::elsewhere, .reason = {}}));
  return line(folders);
}

std::string json_text(const SetupReport& report) { return line(json::to_json(report)); }

Result<WaitRequest> parse_wait(std::string_view text) {
  const auto object = parse_object(text, limits::control_request_bytes);
  if (!object) return tl::unexpected(object.error());
  WaitRequest wait;
  if (const Status done = read(*object, wait); !done) return tl::unexpected(done.error());
  if (const Status good = check(wait); !good) return tl::unexpected(good.error());
  return wait;
}

Result<WaitFor> parse_wait_for(std::string_view text) {
  if (text == "all") return WaitFor{WaitFor::What::all, 0};
  if (text == "majority") return WaitFor{WaitFor::What::majority, 0};
  std::uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size() || count == 0 || count > limits::members)
    return fail(Error::Code::invalid,
                fmt::format("nodes must be all, majority or a number from 1 to {}", limits::members));
  return WaitFor{WaitFor::What::count, count};
}

std::string_view code_name(Error::Code code) { return names(code)[static_cast<std::size_t>(code)]; }
std::string_view kind_name(Kind kind) { return names(kind)[static_cast<std::size_t>(kind)]; }
std::string_view state_name(FolderState state) { return names(state)[static_cast<std::size_t>(state)]; }
std::string_view state_name(NodeState state) { return names(state)[static_cast<std::size_t>(state)]; }

std::string conflict_id(const Record& loser) {
  Writer w;
  w.u32(loser.folder), write(w, loser.dot), w.raw(loser.path);
  std::array<unsigned char, 16> hash;
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(w.data().data()),
                     w.data().size(), nullptr, 0);
  return to_hex(BytesView(reinterpret_cast<const char*>(hash.data()), 6));
}

}  // namespace syncline

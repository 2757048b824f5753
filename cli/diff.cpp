#include "cli/diff.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/render.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr std::uint64_t kTextBytes = 16 * 1024 * 1024;  // larger files are compared, not shown

Result<Bytes> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Bytes bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad())
    return fail(Error::Code::io, fmt::format("{}: {}", path, std::strerror(errno)));
  return bytes;
}

bool is_text(BytesView bytes) { return is_utf8(bytes) && bytes.find('\0') == BytesView::npos; }

std::string name_of(const ConflictSide& side, const std::string& path) {
  return fmt::format("{}\t{} on {}", printable(path), iso8601(side.time), printable(side.node));
}

// Lines of a stranger's file on an administrator's terminal: tabs and newlines are what text is made of, the
// rest is not.
std::string safe_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\t\n");
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) break;
    out += text[end];
    text.remove_prefix(end + 1);
  }
  return out;
}

std::string summary(const ConflictSide& side) {
  if (side.kind == Kind::symlink) return fmt::format("symlink to {}", printable(side.target));
  if (side.kind == Kind::file) return fmt::format("{}, mode {:04o}", human_size(side.size), side.mode);
  return std::string(kind_name(side.kind));
}

}  // namespace

Result<Diff> diff_conflict(const ConflictShowReply& reply) {
  const ConflictEntry& c = reply.conflict;
  const std::string sides = fmt::format("live: {}\nloser: {}\n", summary(c.winner), summary(c.loser));
  if (c.winner.kind != Kind::file || c.loser.kind != Kind::file) return Diff{false, false, sides};
  if (c.winner.hash == c.loser.hash)
    return Diff{true, false,
                (c.winner.mode == c.loser.mode ? "" : sides) + std::string("the bytes are the same\n")};
  if (std::max(c.winner.size, c.loser.size) > kTextBytes)
    return Diff{false, false, sides + "the bytes differ\n"};
  if (reply.winner_file.empty() || reply.loser_file.empty())
    return fail(Error::Code::not_found,
                "the bytes are not on this node yet; try again, or on the node that wrote them");
  const auto live = read_file(reply.winner_file), loser = read_file(reply.loser_file);
  if (!live) return tl::unexpected(live.error());
  if (!loser) return tl::unexpected(loser.error());
  if (!is_text(*live) || !is_text(*loser)) return Diff{*live == *loser, false, sides + "the bytes differ\n"};
  return Diff{*live == *loser, true,
              safe_text(unified_diff(*live, *loser, name_of(c.winner, c.path), name_of(c.loser, c.path)))};
}

std::string diff_json(const ConflictShowReply& conflict, const Diff& diff) {
  const nlohmann::ordered_json json{
      {"id", conflict.conflict.id}, {"same", diff.same}, {"text", diff.text}, {"diff", diff.output}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace syncline

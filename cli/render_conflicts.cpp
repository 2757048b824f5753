#include <fmt/format.h>

#include "cli/render.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr auto kLeft = Table::Align::left, kRight = Table::Align::right;

std::string size_of(const ConflictSide& side) {
  return side.kind == Kind::file ? human_size(side.size) : std::string(kind_name(side.kind));
}

std::string describe(const char* head, const ConflictSide& side, const std::string& file) {
  std::string out = fmt::format("{}\n  written   {} on {}\n  kind      {}\n", head, iso8601(side.time),
                                printable(side.node), kind_name(side.kind));
  if (side.kind == Kind::symlink) out += fmt::format("  target    {}\n", printable(side.target));
  if (side.kind == Kind::file) {
    out += fmt::format("  size      {} ({} bytes)\n  mode      {:04o}\n  modified  {}\n  hash      {}\n",
                       human_size(side.size), human_count(side.size), side.mode, iso8601(side.mtime),
                       to_hex(side.hash));
    out += fmt::format("  bytes     {}\n", file.empty() ? "not on this node" : printable(file));
  }
  return out;
}

}  // namespace

std::string render(const ConflictsReply& reply) {
  if (reply.conflicts.empty()) return "no open conflicts\n";
  Table table({{"id", kLeft},
               {"path", kLeft},
               {"loser", kLeft},
               {"size", kRight},
               {"written", kLeft},
               {"winner", kLeft},
               {"size", kRight},
               {"written", kLeft}});
  for (const ConflictEntry& c : reply.conflicts)
    table.row({c.id, c.path, c.loser.node, size_of(c.loser), iso8601(c.loser.time), c.winner.node,
               size_of(c.winner), iso8601(c.winner.time)});
  std::string out = table.text();
  if (reply.total > reply.conflicts.size())
    out += fmt::format("and {} more\n", human_count(reply.total - reply.conflicts.size()));
  return out;
}

std::string render(const ConflictShowReply& reply) {
  const ConflictEntry& c = reply.conflict;
  return fmt::format("conflict {}\n  path      {}\n  folder    {}\n  detected  {}\n", printable(c.id),
                     printable(c.path), printable(c.folder), iso8601(c.detected)) +
         describe("loser", c.loser, reply.loser_file) +
         describe("winner (live)", c.winner, reply.winner_file);
}

}  // namespace syncline

// What of a node the end of a simulation looks at.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/node.h"
#include "tests/sim/trace.h"

namespace syncline::sim {
namespace {

std::optional<State> loser_state(const Content& content, Folder& folder, History& history) {
  if (content.kind == Kind::symlink) return State{FileType::symlink, 0, 0, content.target};
  if (content.kind != Kind::file) return std::nullopt;
  if (content.size == 0) return State{FileType::file, history.content(""), content.mode, {}};
  Bytes bytes;
  while (bytes.size() < content.size) {
    const auto piece = folder.read_version(content.hash, bytes.size(),
                                           static_cast<std::size_t>(content.size - bytes.size()));
    if (!piece || piece->empty()) return std::nullopt;
    bytes += *piece;
  }
  return State{FileType::file, history.content(bytes), content.mode, {}};
}

}  // namespace

std::optional<Shown> Node::shown(const std::string& path) { return read_path(*disk_, world_.history, path); }
Tree Node::tree() { return read_tree(*disk_, world_.history); }

bool Node::has_bytes(const Conflict& conflict) const {
  const Content& content = conflict.loser.content;
  return content.kind != Kind::file || content.size == 0 || process_->folder->has_version(content.hash) ||
         may_be_gone(conflict);
}

bool Node::may_be_gone(const Conflict& conflict) const {
  return world_.history.may_be_gone(conflict.loser.path, [&](const std::string& bytes) {
    return world_.hash_key.hash(bytes) == conflict.loser.content.hash;
  });
}

bool Node::has_conflict_bytes() const {
  const auto open = process_->index->conflicts(1, false, SIZE_MAX);
  return std::all_of(open.begin(), open.end(), [this](const Conflict& c) { return has_bytes(c); });
}

bool Node::searches_in_vain() const {
  const auto open = process_->index->conflicts(1, false, SIZE_MAX);
  return std::any_of(open.begin(), open.end(), [this](const Conflict& c) {
    return c.loser.content.size > 0 && !process_->folder->has_version(c.loser.content.hash) && may_be_gone(c);
  });
}

bool Node::knows(const std::string& path, const std::optional<State>& state) const {
  const auto shown = read_path(*disk_, world_.history, path);
  if (state) return shown && shown->state == *state;
  const auto entry = process_ ? process_->index->get(1, path) : std::nullopt;
  return entry && entry->live && entry->live->content.kind == Kind::deleted;
}

NodeView Node::view() {
  NodeView out;
  out.name = name_;
  out.number = number_;
  out.mode = mode_;
  out.rules_since_us = rules_since_us_;
  out.tree = read_tree(*disk_, world_.history);
  Process& p = *process_;
  for (const Conflict& c : p.index->conflicts(1, true, SIZE_MAX)) {
    ConflictView v;
    v.path = c.loser.path;
    v.key = fmt::format("{} {}:{}", c.loser.path, to_hex(c.loser.dot.actor).substr(0, 8), c.loser.dot.seq);
    v.resolved = c.resolved;
    if (!c.resolved) v.loser = loser_state(c.loser.content, *p.folder, world_.history);
    if (!c.resolved && !v.loser) v.forgiven = may_be_gone(c);
    out.conflicts.push_back(std::move(v));
  }
  for (const auto& actor : p.index->vector().entries()) {
    for (const LogEntry& e : p.index->log(actor.actor, 0, SIZE_MAX, SIZE_MAX)) {
      out.log.push_back(std::visit([](const auto& item) { return to_text(item); }, e.item));
    }
  }
  std::sort(out.log.begin(), out.log.end());
  return out;
}

}  // namespace syncline::sim

#include "tests/sim/history.h"

#include <fmt/format.h>

namespace syncline::sim {

std::size_t History::content(const std::string& bytes) {
  const auto [it, fresh] = numbers_.try_emplace(bytes, contents_.size());
  if (fresh) contents_.push_back(&it->first);
  return it->second;
}

std::size_t History::content(const std::shared_ptr<const std::string>& bytes) {
  constexpr std::size_t known_max = 1024;
  const auto it = known_.find(bytes.get());
  if (it != known_.end()) return it->second.number;
  if (known_.size() >= known_max) known_.clear();
  const std::size_t number = content(*bytes);
  known_.emplace(bytes.get(), Known{bytes, number});
  return number;
}

void History::wrote(std::uint64_t at_us, std::size_t node, const std::string& path,
                    std::optional<State> before, std::optional<State> after) {
  if (after) {
    showable_.insert({path, after->type, after->content, after->target});
  }
  const bool away = away_.contains(node);
  const bool of_untold = away || (!after && untold_[node].contains(path));
  const std::size_t since = away ? away_[node] : killed_at_[node];
  for (std::size_t i = since; of_untold && i < writes_.size(); ++i)  // of what was done to it before its removal nothing is left
    writes_[i].of_untold |= writes_[i].node == node && writes_[i].path == path;
  writes_.push_back(
      {.id = writes_.size(), .at_us = at_us, .node = node, .path = path, .before = std::move(before),
                     .after = std::move(after), .racing = racing_, .of_untold = of_untold,
                     .unpublished = receive_only_.contains(node), .unwatched = unwatched_ || away});
}

void History::reverted(std::size_t node, const std::string& path) {
  for (Write& w : writes_) w.forgiven |= w.node == node && w.path == path;
}

void History::half_written(std::size_t node, const std::string& path, const std::string& bytes) {
  half_written_.insert({node, path, content(bytes)});
}

void History::begun(std::uint64_t at_us, std::size_t node, const std::string& path, std::optional<State> before) {
  wrote(at_us, node, path, std::move(before), std::nullopt);
  writes_.back().unfinished = true;
}

// Names come back as they were at one moment. Where this path was not there yet, that is before whatever was removed since an application
// made what it lost, or, where an apply made it, before whatever was removed in it.
void History::removed_unknown(std::size_t node, const std::function<bool(const std::string& path, const State& before)>& forgot) {
  for (Write& w : writes_) {
    if (w.node == node && !w.after && w.before && !w.of_untold && forgot(w.path, *w.before)) w.of_untold = true;
  }
}

void History::forgive_removals(std::size_t node, const std::string& lost, const State& state) {
  std::uint64_t since_us = UINT64_MAX;
  for (const Write& w : writes_) {
    if (w.node == node && w.path == lost) since_us = w.after == state ? w.at_us : UINT64_MAX;
  }
  for (Write& w : writes_) {
    const bool in_it = state.type == FileType::directory && since_us == UINT64_MAX && w.path != lost && is_below(w.path, lost);
    if (w.node == node && !w.after && (in_it || w.at_us >= since_us)) w.forgiven = true;
  }
}

void History::lost_power(std::uint64_t at_us, std::size_t node, const std::string& path,
                         std::optional<State> before, std::optional<State> after) {
  // Everything that this node's applications did here since the state that has come back.
  for (auto w = writes_.rbegin(); w != writes_.rend(); ++w) {
    if (w->node != node || w->path != path || w->forgiven) continue;
    if (w->after == after && !w->unfinished) break;
    w->forgiven = true;
  }
  if (before && !after) forgive_removals(node, path, *before);
  wrote(at_us, node, path, std::move(before), std::move(after));
  writes_.back().forgiven = writes_.back().by_crash = true;
}

void History::set_back(
    std::size_t node, std::size_t since,
    const std::function<bool(const std::string& path, const std::optional<State>& state)>& elsewhere) {
  for (std::size_t i = since; i < writes_.size(); ++i) {
    Write& w = writes_[i];
    if (w.node == node && !elsewhere(w.path, w.after)) w.forgiven = true;
  }
}

void History::imaged_untold(const std::string& path, const State& state) {
  for (Write& w : writes_) w.imaged_untold |= w.path == path && w.after == state;
}

bool History::may_show(std::size_t node, const std::string& path, const State& state) const {
  return was_written(path, state) ||
         (state.type == FileType::file && half_written_.contains({node, path, state.content}));
}

bool History::was_written(const std::string& path, const State& state) const {
  return state.type == FileType::directory ||
         showable_.contains({path, state.type, state.content, state.target});
}

bool History::may_be_gone(const std::string& path,
                          const std::function<bool(const std::string& bytes)>& is) const {
  for (const Write& w : writes_) {
    if (w.forgiven && w.path == path && w.after && w.after->type == FileType::file &&
        is(bytes(w.after->content)))
      return true;
  }
  return false;
}

std::string History::describe(const std::optional<State>& state) const {
  if (!state) return "nothing";
  switch (state->type) {
    case FileType::directory:
      return fmt::format("a directory {:o}", state->mode);
    case FileType::symlink:
      return "a symlink to " + state->target;
    case FileType::other:
      return "something else";
    case FileType::file:
      break;
  }
  const std::string& b = bytes(state->content);
  return fmt::format("file c{} \"{}\" ({} bytes, {:o})", state->content,
                     b.substr(0, std::min(b.find('\n'), std::size_t{24})), b.size(), state->mode);
}

std::optional<Shown> read_path(MemoryFileSystem& disk, History& history, const std::string& path) {
  const auto stat = disk.app_stat(path);
  if (!stat) return std::nullopt;
  Shown out{{stat->type, 0, 0, {}}, stat->print.mtime_ns, stat->print.inode, stat->print.ctime_ns};
  if (stat->type == FileType::file) out.state.content = history.content(disk.app_bytes(path));
  if (stat->type == FileType::symlink)
    out.state.target = disk.app_read_link(path);
  else
    out.state.mode = stat->mode;
  return out;
}

static void walk(MemoryFileSystem& disk, History& history, const std::string& directory, Tree& out) {
  for (const DirectoryItem& item : disk.app_list(directory)) {
    if (directory.empty() && item.name == kOwnDirectory) continue;
    const std::string path = join(directory, item.name);
    if (const auto shown = read_path(disk, history, path)) out[path] = *shown;
    if (item.type == FileType::directory) walk(disk, history, path, out);
  }
}

Tree read_tree(MemoryFileSystem& disk, History& history) {
  Tree out;
  walk(disk, history, "", out);
  return out;
}

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

}  // namespace syncline::sim

#include "tests/sim/application.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/ignore.h"

namespace syncline::sim {
namespace {

constexpr std::uint32_t kFileMode = 0644, kDirectoryMode = 0755, kSymlinkMode = 0;

State file_state(std::size_t content, std::uint32_t mode) { return {FileType::file, content, mode, {}}; }

}  // namespace

std::optional<State> Application::at(const std::string& path) {
  const auto s = shown(path);
  return s ? std::optional(s->state) : std::nullopt;
}

// Never the same twice in one history, and readable in a trace.
std::string Application::fresh_bytes(std::size_t size) {
  if (size == 0) return {};
  std::string out = fmt::format("n{} {} {}\n", node_, at_us_ / 1000, ++made_);
  Random filler(node_ * 1'000'003 + at_us_ * 31 + made_);
  while (out.size() < size) {
    std::uint64_t word = filler.next();
    for (int i = 0; i < 8; ++i, word >>= 8) out.push_back(static_cast<char>(word & 0xff));
  }
  return out;
}

bool Application::holds(const std::string& path) const {
  return std::any_of(holds_.begin(), holds_.end(),
                     [&](const auto& h) { return !h->unlinked && h->path == path; });
}

// Where the disk has no leases an apply may have taken the file out of its place meanwhile: then what happens
// to the name does not concern it.
bool Application::is_in_place(const Hold& hold) {
  const auto stat = disk_.app_stat(hold.path);
  return !hold.unlinked && stat && stat->print.inode == hold.inode;
}

bool Application::holds_half(const std::string& path) const {
  return std::any_of(holds_.begin(), holds_.end(),
                     [&](const auto& h) { return !h->unlinked && !h->before && h->path == path; });
}

void Application::unlink_holds(const std::string& path) {
  for (auto& h : holds_) {
    if (is_below(h->path, path) && is_in_place(*h)) h->unlinked = true;
  }
}

bool Application::make_parents(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return true;
  const std::string parent = path.substr(0, slash);
  if (!make_parents(parent)) return false;
  const auto there = at(parent);
  if (there) return there->type == FileType::directory;
  disk_.app_make_directory(parent, kDirectoryMode);
  wrote(parent, std::nullopt, at(parent));
  note(parent);
  return true;
}

bool Application::ready_for_file(const std::string& path) {
  if (holds(path) || !make_parents(path)) return false;
  const auto there = at(path);
  return !there || there->type == FileType::file;
}

void Application::write(const std::string& path, const std::string& bytes, bool keep_mtime) {
  if (!ready_for_file(path)) return;
  const auto old = shown(path);
  // The truncation can be seen for a moment; a crash, or a reader between two operations, finds it.
  history_.half_written(node_, path, "");
  disk_.app_write(path, bytes);
  if (keep_mtime && old) disk_.app_set_mtime(path, old->mtime_ns);
  wrote(path, old ? std::optional(old->state) : std::nullopt,
        file_state(history_.content(bytes), old ? old->state.mode : kFileMode));
  note(path, true);
}

void Application::save(const std::string& path, const std::string& bytes) {
  if (!ready_for_file(path)) return;
  const auto old = at(path);
  // What a loss of power left of such a file may have become everybody's, and a directory somewhere.
  if (const auto aside = at(path + ".app-tmp"); aside && aside->type == FileType::directory) return;
  unlink_holds(path);
  disk_.app_replace(path, bytes);
  wrote(path, old, file_state(history_.content(bytes), kFileMode));
  note(path);
}

// The same size, so that only the content tells; from 64 KiB on most of the old content stays, so that a
// delta pays.
void Application::edit(const std::string& path, bool sneak) {
  const auto old = at(path);
  if (!old || old->type != FileType::file) return;
  // Within the tick of the last change, with the mtime set back, no fingerprint could tell.
  if (sneak && disk_.now_ns() - shown(path)->ctime_ns < disk_.stamp_tick_ns()) return;
  std::string bytes = history_.bytes(old->content);
  const std::string patch = fresh_bytes(std::min<std::size_t>(bytes.size(), 100));
  if (bytes.empty() || patch.size() > bytes.size()) return;
  const std::size_t place = bytes.size() == patch.size() ? 0 : random_.below(bytes.size() - patch.size());
  bytes.replace(place, patch.size(), patch);
  write(path, bytes, sneak);
}

void Application::append(const std::string& path, std::size_t size) {
  const auto old = at(path);
  if (!old || old->type != FileType::file || holds(path)) return;
  const std::string more = fresh_bytes(size);
  const auto writer = disk_.app_open(path, false);
  writer->append(more);
  writer->close();
  wrote(path, old, file_state(history_.content(history_.bytes(old->content) + more), old->mode));
  note(path, true);
}

void Application::hold(const std::string& path) {
  if (!ready_for_file(path)) return;
  auto h = std::make_unique<Hold>();
  const auto old = at(path);
  h->path = path;
  h->mode = old ? old->mode : kFileMode;
  if (old) history_.begun(at_us_, node_, path, old);
  h->bytes = fresh_bytes(1000 + random_.below(1000));
  h->written = h->bytes.size() / 2;
  history_.half_written(node_, path, "");
  history_.half_written(node_, path, h->bytes.substr(0, h->written));
  h->writer = disk_.app_open(path, true);
  h->writer->append(h->bytes.substr(0, h->written));
  h->inode = disk_.app_stat(path)->print.inode;
  holds_.push_back(std::move(h));
  note(path);
}

void Application::linger(const std::string& path) {
  const auto old = at(path);
  if (!old || old->type != FileType::file || holds(path)) return;
  auto h = std::make_unique<Hold>();
  h->path = path;
  h->mode = old->mode;
  h->before = old;
  h->bytes = history_.bytes(old->content);
  h->written = h->bytes.size();
  h->bytes += fresh_bytes(200);
  h->writer = disk_.app_open(path, false);
  h->inode = disk_.app_stat(path)->print.inode;
  holds_.push_back(std::move(h));
}

std::vector<Notice> Application::finish_hold(const std::string& path, std::uint64_t at_us) {
  at_us_ = at_us;
  notices_.clear();
  const auto it = std::find_if(holds_.begin(), holds_.end(), [&](const auto& h) { return h->path == path; });
  if (it == holds_.end()) return {};
  const auto h = std::move(*it);
  holds_.erase(it);
  h->writer->append(h->bytes.substr(h->written));
  h->writer->close();
  if (h->unlinked) return {};
  wrote(h->path, h->before, file_state(history_.content(h->bytes), h->mode));
  note(h->path, true);
  return std::move(notices_);
}

std::vector<std::string> Application::held() const {
  std::vector<std::string> out;
  for (const auto& h : holds_) {
    if (!h->unlinked) out.push_back(h->path);
  }
  return out;
}

std::vector<Notice> Application::finish_all(std::uint64_t at_us) {
  std::vector<Notice> out;
  while (!holds_.empty()) {
    for (Notice& n : finish_hold(std::string(holds_.front()->path), at_us)) out.push_back(std::move(n));
  }
  return out;
}

void Application::change_mode(const std::string& path, std::uint32_t mode) {
  const auto old = at(path);
  if (!old || old->type == FileType::symlink || old->mode == mode || holds(path)) return;
  disk_.app_chmod(path, mode);
  State now = *old;
  now.mode = mode;
  wrote(path, old, now);
  note(path);
}

void Application::touch(const std::string& path) {
  const auto old = shown(path);
  if (!old || holds(path)) return;
  disk_.app_set_mtime(
      path, old->mtime_ns + 1'000'000'000 + static_cast<std::int64_t>(random_.below(1'000'000'000)));
  wrote(path, old->state, old->state);
  note(path);
}

void Application::remove(const std::string& path) {
  const Tree tree = read_tree(disk_, history_);
  for (auto it = tree.rbegin(); it != tree.rend(); ++it) {
    if (!is_below(it->first, path)) continue;
    unlink_holds(it->first);
    disk_.app_remove(it->first);
    wrote(it->first, it->second.state, std::nullopt);
    note(it->first);
  }
}

void Application::make_link(const std::string& path, const std::string& target) {
  const auto old = at(path);
  if ((old && old->type == FileType::directory) || holds(path) || !make_parents(path)) return;
  if (old) disk_.app_remove(path);
  disk_.app_symlink(path, target);
  wrote(path, old, State{FileType::symlink, 0, kSymlinkMode, target});
  note(path);
}

void Application::rename(const std::string& from, const std::string& to) {
  const auto what = at(from);
  if (!what || is_below(to, from) || is_below(from, to) || !make_parents(to)) return;
  const auto old = at(to);
  if (old && (old->type == FileType::directory || what->type == FileType::directory)) return;
  move(from, to);
}

// By way of a third name.
void Application::swap(const std::string& a, const std::string& b) {
  if (!at(a) || !at(b) || is_below(a, b) || is_below(b, a)) return;
  const std::string aside = a + ".swap";
  move(a, aside);
  move(b, a);
  move(aside, b);
}

void Application::move(const std::string& from, const std::string& to) {
  const auto old = at(to);
  const Tree tree = read_tree(disk_, history_);
  unlink_holds(to);
  std::vector<Hold*> moved;
  for (auto& h : holds_) {
    if (is_below(h->path, from) && is_in_place(*h)) moved.push_back(h.get());
  }
  disk_.app_rename(from, to);
  for (Hold* h : moved) {
    h->path = to + h->path.substr(from.size());
    if (h->before) continue;
    history_.half_written(node_, h->path, h->bytes.substr(0, h->written));
    history_.half_written(node_, h->path, "");
  }
  for (const auto& [path, shown] : tree) {
    if (!is_below(path, from)) continue;
    const std::string now = to + path.substr(from.size());
    // A file still being written is no version yet; its old name's content is gone all the same.
    if (!holds_half(now))
      wrote(now, now == to ? old : std::nullopt, shown.state);
    else if (now == to && old)
      wrote(now, old, std::nullopt);
    note(now);
  }
  for (const auto& [path, shown] : tree) {
    if (is_below(path, from)) wrote(path, shown.state, std::nullopt), note(path);
  }
}

std::vector<Notice> Application::run(const Step& step, std::uint64_t at_us) {
  at_us_ = at_us;
  notices_.clear();
  made_ = 0;  // so that what this step writes does not depend on what others wrote
  const auto size = static_cast<std::size_t>(step.number);
  switch (step.verb) {
    case Verb::write:
      write(step.path, fresh_bytes(size));
      break;
    case Verb::put:
      write(step.path, step.to + "\n");
      break;
    case Verb::ignore:
      save(std::string(kIgnoreFile), rules_of(step.to));
      break;
    case Verb::save:
      save(step.path, fresh_bytes(size));
      break;
    case Verb::append:
      append(step.path, size);
      break;
    case Verb::patch:
      edit(step.path, false);
      break;
    case Verb::sneak:
      edit(step.path, true);
      break;
    case Verb::hold:
      hold(step.path);
      break;
    case Verb::linger:
      linger(step.path);
      break;
    case Verb::chmod:
      change_mode(step.path, static_cast<std::uint32_t>(step.number));
      break;
    case Verb::touch:
      touch(step.path);
      break;
    case Verb::remove:
      remove(step.path);
      break;
    case Verb::mkdir:
      if (!at(step.path)) make_parents(step.path + "/x");
      break;
    case Verb::symlink:
      make_link(step.path, step.to);
      break;
    case Verb::rename:
      rename(step.path, step.to);
      break;
    case Verb::swap:
      swap(step.path, step.to);
      break;
    case Verb::unpack:
      for (std::int64_t i = 0; i < step.number; ++i) write(step.path + fmt::format("/f{}", i), fresh_bytes(60));
      break;
    case Verb::to_dir:
      if (const auto old = at(step.path); !old || old->type == FileType::directory) break;
      remove(step.path);
      write(step.path + "/a", fresh_bytes(100));
      break;
    case Verb::to_file:
      if (const auto old = at(step.path); !old || old->type != FileType::directory) break;
      remove(step.path);
      write(step.path, fresh_bytes(100));
      break;
    default:
      break;
  }
  return std::exchange(notices_, {});
}

// No `sneak` here: an edit in the very clock tick of the apply, with size and mtime as before, shows only in
// the event of its close, which may be lost.
std::vector<Notice> Application::interfere(const std::string& path, std::uint64_t at_us) {
  history_.set_racing(true);
  Step step{at_us / 1000, node_, Verb::write, path, "", static_cast<std::int64_t>(random_.below(300))};
  const std::uint64_t k = random_.below(100);
  if (k < 30)
    step.verb = Verb::write;
  else if (k < 50)
    step.verb = Verb::save;
  else if (k < 60)
    step.verb = Verb::append;
  else if (k < 65)
    step.verb = Verb::symlink, step.to = "a";
  else if (k < 75)
    step.verb = Verb::remove;
  else if (k < 80)
    step.verb = Verb::chmod, step.number = 0600;
  else if (k < 85)
    step.verb = Verb::mkdir;
  else if (k < 90)
    step.verb = Verb::to_dir;
  else if (k < 95)
    step.verb = Verb::rename, step.to = "c";
  else
    step.verb = Verb::touch;
  auto notices = run(step, at_us);
  history_.set_racing(false);
  return notices;
}

}  // namespace syncline::sim

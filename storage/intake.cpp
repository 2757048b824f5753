#include "storage/intake.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/record.h"

namespace syncline {
namespace {

bool within(std::string_view path, std::string_view directory) {
  if (directory.empty()) return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string_view common_directory(std::string_view a, std::string_view b) {
  while (!within(b, a)) a = parent_path(a);
  return a;
}

}  // namespace

Intake::Intake(IntakeDelays delays, std::size_t paths_max) : delays_(delays), paths_max_(paths_max) {
  assert(paths_max > 1);
}

void Intake::clear() {
  entries_.clear();
  schedule_.clear();
  collapsed_.reset();
}

bool Intake::covered(std::string_view path) const { return collapsed_ && within(path, *collapsed_); }

void Intake::reschedule(Entries::value_type& item, TimePoint due) {
  Entry& entry = item.second;
  if (entry.order != 0) schedule_.erase({entry.due, entry.order, &item.first});
  entry.due = due;
  entry.order = ++last_order_;
  schedule_.insert({due, entry.order, &item.first});
}

// The look that waits for `path`, due at the latest at `due`; null if a wider look will see the path anyway.
Look* Intake::schedule(const std::string& path, TimePoint due) {
  if (covered(path)) return nullptr;
  auto& item = *entries_.try_emplace(path).first;
  Entry& entry = item.second;
  if (entry.order == 0 || due < entry.due) reschedule(item, due);
  entry.lazy_since.reset();
  if (entries_.size() <= paths_max_) return &entry.look;
  collapse();
  return nullptr;
}

void Intake::collapse() {
  const TimePoint due = schedule_.begin()->due;
  std::optional<std::string_view> common;
  for (const auto& [path, entry] : entries_) {
    if (path != kRootPath) common = common ? common_directory(*common, path) : path;
  }
  const std::string directory(common.value_or(""));
  const bool root = entries_.contains(std::string(kRootPath));
  clear();
  if (Look* look = schedule(directory, due)) {
    look->subtree = look->directory = true;
    look->reason = "more than " + std::to_string(paths_max_) + " changed paths waited";
  }
  if (root) schedule(std::string(kRootPath), due)->directory = true;
  collapsed_ = directory;
}

// A directory's times change with every entry: it is looked at when that has ended, or at the latest after
// directory_max.
void Intake::touch_directory(const std::string& directory, TimePoint now) {
  const std::string path = directory.empty() ? std::string(kRootPath) : directory;
  if (covered(path)) return;
  auto found = entries_.find(path);
  if (found == entries_.end()) {
    if (Look* look = schedule(path, now + delays_.directory_quiet)) {
      look->directory = true;
      entries_.find(path)->second.lazy_since = now;
    }
    return;
  }
  Entry& entry = found->second;
  if (!entry.lazy_since) return;  // due sooner for a better reason
  reschedule(*found, std::min(now + delays_.directory_quiet, *entry.lazy_since + delays_.directory_max));
}

void Intake::touch_parent(const std::string& path, TimePoint now) {
  touch_directory(std::string(parent_path(path)), now);
}

void Intake::on_moved(const WatchEvent& event, TimePoint now) {
  std::string origin = event.from;
  // a -> b -> c before anybody looked: the content is known to others as a, so c comes before a as well as
  // before b.
  auto passed = entries_.find(event.from);
  if (passed != entries_.end() && !passed->second.look.moved_from.empty()) {
    origin = std::exchange(passed->second.look.moved_from, {});
    if (origin == event.path) origin = event.from;  // there and back
  }
  if (Look* look = schedule(event.path, now)) {
    look->directory = event.directory;
    look->subtree = look->subtree || event.subtree;
    look->moved_from = origin;
    if (event.subtree) look->reason = "directory renamed";
  }
  if (origin != event.from) {
    if (auto old = entries_.find(origin); old != entries_.end()) reschedule(*old, now);
  }
  if (Look* look = schedule(event.from, now)) {
    look->directory = event.directory;
    look->subtree = look->subtree || event.subtree;
    if (event.subtree) look->reason = "directory renamed";
    reschedule(*entries_.find(event.from), now);
  }
  touch_parent(event.path, now);
  touch_parent(event.from, now);
}

// One name came, went or was written.
void Intake::on_entry(const WatchEvent& event, TimePoint now) {
  using Kind = WatchEvent::Kind;
  TimePoint due = now;
  if (event.kind == Kind::created && !event.directory) {
    due += lease_known_ ? delays_.created : delays_.created_without_lease;
  }
  if (event.kind == Kind::attributes) due += delays_.attributes;
  if (Look* look = schedule(event.path, due)) {
    look->directory = event.directory;
    look->written = look->written || event.kind == Kind::closed_write;
    look->force = look->force || look->written;
    look->subtree = look->subtree || event.subtree;
    if (event.kind != Kind::attributes) look->attempts = 0;
    if (event.subtree) look->reason = "directory moved out";
  }
  if (event.kind != Kind::closed_write && event.kind != Kind::attributes) touch_parent(event.path, now);
}

void Intake::on_event(const WatchEvent& event, TimePoint now) {
  switch (event.kind) {
    case WatchEvent::Kind::root_lost:
      clear();
      return;
    case WatchEvent::Kind::rescan:
      if (Look* look = schedule(event.path, now)) {
        look->subtree = look->directory = true;
        look->reason = event.reason;
      }
      return;
    case WatchEvent::Kind::moved:
      return on_moved(event, now);
    case WatchEvent::Kind::attributes:
      if (event.directory) return touch_directory(event.path, now);
      [[fallthrough]];
    default:
      return on_entry(event, now);
  }
}

void Intake::again(const Look& look, TimePoint now) {
  auto delay = delays_.busy_first;
  for (std::uint32_t i = 0; i < look.attempts && delay < delays_.busy_max; ++i) delay *= 2;
  const bool fresh = !entries_.contains(look.path);
  Look* waiting = schedule(look.path, now + std::min(delay, delays_.busy_max));
  if (waiting == nullptr) return;
  waiting->force = waiting->force || look.force;
  waiting->written = waiting->written || look.written;
  if (!fresh) return;
  waiting->directory = look.directory;
  waiting->moved_from = look.moved_from;
  waiting->attempts = look.attempts + 1;
}

std::vector<Look> Intake::take(TimePoint now, std::size_t max) {
  std::vector<Look> out;
  while (out.size() < max && !schedule_.empty() && schedule_.begin()->due <= now) {
    auto item = entries_.find(*schedule_.begin()->path);
    schedule_.erase(schedule_.begin());
    Look look = std::move(item->second.look);
    look.path = item->first;
    if (collapsed_ && *collapsed_ == look.path) collapsed_.reset();
    entries_.erase(item);
    out.push_back(std::move(look));
  }
  return out;
}

std::optional<Intake::TimePoint> Intake::next_deadline() const {
  if (schedule_.empty()) return std::nullopt;
  return schedule_.begin()->due;
}

}  // namespace syncline

// What is not brought to the live version, and what is not published: ignored paths, and folders that only send or only receive.
#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

namespace {

constexpr std::size_t kSweepEntries = 1000;  // of the index, a tick

std::string rules_name(FolderId folder) { return "ignore/" + std::to_string(folder); }
bool is_present(const PathEntry& entry) { return entry.disk && entry.disk->state.present(); }

}  // namespace

FolderMode Replica::Impl::mode(FolderId folder) const {
  const auto it = options.modes.find(folder);
  const FolderMode mode = it == options.modes.end() ? FolderMode::send_receive : it->second;
  if (planted(Fault::receiver_publishes) && mode == FolderMode::receive_only) return FolderMode::send_receive;
  if (planted(Fault::sender_takes_over) && mode == FolderMode::send_only) return FolderMode::send_receive;
  return mode;
}

// ---- ignored paths
// ---------------------------------------------------------------------------------------------------------

bool Replica::Impl::has_rules(FolderId folder) const {
  const auto it = rules.find(folder);
  return it != rules.end() && !it->second->empty();
}

bool Replica::Impl::is_ignored(FolderId folder, const std::string& path, Kind kind) const {
  const auto it = rules.find(folder);
  return it != rules.end() && it->second->ignores(path, kind == Kind::directory) && !planted(Fault::ignored_is_synced);
}

// As what it is on the others or as what it is here: neither is then made, replaced or removed.
bool Replica::Impl::is_ignored(FolderId folder, const std::string& path, const PathEntry& entry) const {
  if (entry.live && entry.live->content.kind != Kind::deleted && is_ignored(folder, path, entry.live->content.kind)) return true;
  return is_present(entry) && is_ignored(folder, path, entry.disk->state.content.kind);
}

bool Replica::Impl::is_ignored(const PathKey& key, const Observation& o, const PathEntry& entry) const {
  using State = Observation::State;
  if (!has_rules(key.folder)) return false;
  if (o.state == State::present || o.state == State::unchanged) return is_ignored(key.folder, key.path, o.disk.content.kind);
  if (o.state == State::absent) return is_ignored(key.folder, key.path, entry);
  return rules.at(key.folder)->ignores_either(key.path);
}

// A directory that was deleted elsewhere has nothing in it, as far as is known, but what stays for good.
bool Replica::Impl::has_only_held(const PathKey& directory) const {
  bool found = has_rules(directory.folder);  // then what the index does not know may be in it
  for (std::string after;;) {
    const auto part = index.below(directory.folder, directory.path, after, kSweepEntries);
    for (const auto& [path, entry] : part) {
      // What is a directory for as long as something is in it is judged by that.
      const bool idle = is_present(entry) && entry.disk->state.content.kind == Kind::directory && (!entry.live || entry.live->content.kind == Kind::deleted);
      const bool stays = entry.held != Held::no || idle || is_ignored(directory.folder, path, entry);
      if (is_present(entry) && !stays) return false;
      found |= is_present(entry);
    }
    if (part.empty()) return found;
    after = part.back().first;
  }
}

// As rsync leaves a directory that has something excluded in it.
void Replica::Impl::hold_for_good(const PathKey& directory) {
  auto entry = index.get(directory.folder, directory.path);
  if (!entry) return;
  entry->held = Held::kept;
  index.put(directory.folder, directory.path, *entry);
  retries.erase(directory);
  no_problem(directory);
  log(false, directory.path + ": deleted elsewhere; here it stays, for it has entries that are not synced");
}

// One that is held so, and nothing has changed in it.
bool Replica::Impl::is_still_kept(const PathKey& key, const PathEntry& entry) const {
  if (entry.held != Held::kept || !entry.live || entry.live->content.kind == Kind::directory || !is_present(entry)) return false;
  return entry.disk->state.content.kind == Kind::directory && has_only_held(key);
}

// Something in it was removed: perhaps that was the last.
void Replica::Impl::wake_directory(FolderId folder, const std::string& path) {
  auto entry = index.get(folder, path);
  if (!entry || entry->held != Held::kept) return;
  entry->held = Held::no;
  index.put(folder, path, *entry);
  start_work(folder, path);
}

// The index knows an ignored path only where others have a version for its place: what is there keeps that out.
void Replica::Impl::take_ignored(const PathKey& key, const Observation& o, PathEntry& entry) {
  const bool wanted = entry.live && entry.live->content.kind != Kind::deleted && !is_ignored(key.folder, key.path, entry.live->content.kind);
  // What was a version once is none any more: nobody finds those bytes here, and when the path is synced again it is somebody's new file.
  const bool changed = is_present(entry) && entry.disk->dot.seq > 0 && o.state == Observation::State::present &&
                       (entry.disk->state.content.hash != o.disk.content.hash || entry.disk->state.content.kind != o.disk.content.kind);
  if (o.state == Observation::State::present && wanted)
    entry.disk = OnDisk{o.disk, {}, {}, {}};
  else if (changed)
    entry.disk.reset();
  else if (o.state == Observation::State::absent && entry.held == Held::ignored && entry.disk)
    entry.disk.reset();
  else
    return;
  index.put(key.folder, key.path, entry);
}

void Replica::Impl::on_rules(FolderId folder, std::shared_ptr<const IgnoreRules> changed) {
  if (!owns(folder)) return;
  const std::string settled = index.meta(rules_name(folder)).value_or("");
  rules[folder] = std::move(changed);
  if (rules[folder]->text() == settled && !rules_unsettled.contains(folder)) return;
  // Nobody looks at such a path any more; what is seen all the same says so again.
  std::erase_if(problems, [&](const auto& p) {
    return p.first.folder == folder && !p.first.path.empty() && !stuck.contains(p.first) && rules[folder]->ignores_either(p.first.path);
  });
  rules_unsettled.insert(folder);
  sweeps[folder] = {};
}

// ---- what is held
// ---------------------------------------------------------------------------------------------------------

Held Replica::Impl::due_hold(FolderId folder, const std::string& path, const PathEntry& entry) const {
  if (folder == kClusterFolder || entry.held == Held::unpublished) return entry.held;
  if (is_ignored(folder, path, entry)) return Held::ignored;
  // It may have been removed while it was ignored: the scan by the new rules tells (release).
  if (entry.held == Held::ignored && rules_unsettled.contains(folder)) return Held::ignored;
  if (is_still_kept({folder, path}, entry)) return Held::kept;
  if (entry.behind() && is_below_unpublished(folder, path)) return Held::unapplied;
  const bool behind = mode(folder) == FolderMode::send_only && entry.behind();
  return behind && node_of(entry.live->dot.actor) != options.self ? Held::unapplied : Held::no;
}

// Where nothing is taken over, a directory's time is nobody's work: the version counts as shown, and its time stays.
bool Replica::Impl::adopt_time(PathEntry& entry) const {
  if (!entry.live || entry.live->content.kind != Kind::directory || mode(entry.live->folder) != FolderMode::send_only) return false;
  if (!is_present(entry) || !entry.behind() || !same_but_for_mtime(entry.disk->state.content, entry.live->content)) return false;
  entry.disk->dot = entry.live->dot, entry.disk->context = entry.live->context, entry.disk->hlc = entry.live->hlc;
  entry.held = Held::no;
  return true;
}

// Whether nothing is to be done to the path.
bool Replica::Impl::hold_back(const PathKey& key, const PathEntry& entry) {
  if (mode(key.folder) == FolderMode::send_only) {
    PathEntry adopted = entry;
    if (adopt_time(adopted)) return index.put(key.folder, key.path, adopted), true;
  }
  const Held due = due_hold(key.folder, key.path, entry);
  if (due != entry.held && (entry.live || entry.disk)) {
    PathEntry now_held = entry;
    now_held.held = due;
    index.put(key.folder, key.path, now_held);
  }
  if (due != Held::no) retries.erase(key), path_changed(key.folder, key.path);
  return due != Held::no;
}

// A path that was ignored is seen again. What is gone was not deleted: nobody looked.
void Replica::Impl::release(const PathKey& key, const Observation& o, PathEntry& entry) {
  using State = Observation::State;
  if (o.state != State::present && o.state != State::unchanged && o.state != State::absent) return;
  entry.held = Held::no;
  if (o.state == State::absent) entry.disk.reset();
  index.put(key.folder, key.path, entry);
}

// A file that a reader does not get here but from the disk, and that nobody else has from here.
bool Replica::Impl::is_withheld(const PathKey& key, const std::optional<PathEntry>& entry) const {
  return (entry && entry->held != Held::no) || is_ignored(key.folder, key.path, Kind::file);
}

// A node that says so is not waited for.
bool Replica::Impl::never_shows(FolderId folder, const std::string& path, const Dot& dot) const {
  if (!owns(folder)) return true;
  const auto entry = index.get(folder, path);
  if (entry && entry->held != Held::no) return true;
  const bool of_others = node_of(dot.actor) != options.self;
  return is_ignored(folder, path, Kind::file) || (of_others && mode(folder) == FolderMode::send_only);
}

void Replica::Impl::settle_held(FolderId folder) {
  if (rules_unsettled.erase(folder) > 0) sweeps[folder] = {{}, true};
  for (std::string after;;) {
    const auto part = index.held(folder, after, kSweepEntries);
    for (const std::string& path : part) {
      const auto entry = index.get(folder, path);
      if (!entry) continue;
      if (entry->held == Held::unpublished && mode(folder) != FolderMode::receive_only) publish_held(folder, path, *entry);
      if (entry->held == Held::unapplied) hold_back({folder, path}, *entry);
    }
    if (part.empty()) return;
    after = part.back();
  }
}

void Replica::Impl::sweep() {
  for (auto it = sweeps.begin(); it != sweeps.end();) {
    auto& [folder, pass] = *it;
    const auto part = index.below(folder, "", pass.cursor, kSweepEntries);
    for (const auto& [path, entry] : part) {
      const bool other = entry.held != Held::ignored && due_hold(folder, path, entry) == Held::ignored;
      if (other || (pass.release && entry.held == Held::ignored)) hold_back({folder, path}, entry);
      if (pass.release && entry.held == Held::kept) wake_directory(folder, path);
    }
    if (!part.empty()) {
      pass.cursor = part.back().first;
      ++it;
      continue;
    }
    if (pass.release) {
      index.put_meta(rules_name(folder), rules.contains(folder) ? rules.at(folder)->text() : "");
      backlog.insert(folder);
    }
    it = sweeps.erase(it);
  }
}

// ---- folders that only receive
// ---------------------------------------------------------------------------------------------------------

// What was changed here stays as it is, until it is reverted or is the same as elsewhere.
void Replica::Impl::keep_unpublished(FolderId folder, const Observation& o, PathEntry entry) {
  OnDisk disk{o.disk, {}, {}, {}};
  if (o.path == kRootPath) {  // its attributes follow the others'
    entry.disk = disk;
    return index.put(folder, o.path, entry);
  }
  if (o.state == Observation::State::absent) disk.state = {};
  if (entry.disk) {
    disk.context = entry.disk->context;
    if (entry.disk->dot.seq > 0) disk.context.raise(entry.disk->dot);
    disk.hlc = entry.disk->hlc;
  }
  entry.disk = std::move(disk);
  entry.held = Held::unpublished;
  heal_unpublished(entry);
  index.put(folder, o.path, entry);
  path_changed(folder, o.path);
}

// Where a directory above it should be is a file that was made here, and stays.
bool Replica::Impl::is_below_unpublished(FolderId folder, const std::string& path) const {
  if (mode(folder) != FolderMode::receive_only || index.counts(folder).unpublished == 0 || path == kRootPath) return false;
  for (std::string_view above = parent_path(path); !above.empty(); above = parent_path(above)) {
    const auto entry = index.get(folder, above);
    if (entry && entry->held == Held::unpublished && is_present(*entry) && entry->disk->state.content.kind != Kind::directory) return true;
  }
  return false;
}

// That file may have gone.
void Replica::Impl::wake_below(FolderId folder, const std::string& directory) {
  if (mode(folder) != FolderMode::receive_only || index.counts(folder).unapplied == 0) return;
  for (std::string after = directory;;) {
    const auto part = index.held(folder, after, kSweepEntries);
    for (const std::string& path : part) {
      if (!path.starts_with(directory + "/")) return;
      auto entry = index.get(folder, path);
      if (!entry || entry->held != Held::unapplied || due_hold(folder, path, *entry) != Held::no) continue;
      entry->held = Held::no;
      index.put(folder, path, *entry);
      start_work(folder, path);
    }
    if (part.empty()) return;
    after = part.back();
  }
}

// The same as elsewhere, but for times, which then are set.
bool Replica::Impl::heal_unpublished(PathEntry& entry) const {
  if (entry.held != Held::unpublished || !entry.disk) return false;
  const Content& here = entry.disk->state.content;
  const bool gone = !entry.live || entry.live->content.kind == Kind::deleted;
  if (here.kind == Kind::deleted && gone) {
    entry.disk.reset();
  } else if (!gone && same_but_for_mtime(here, entry.live->content)) {
    entry.disk = OnDisk{entry.disk->state, {}, {}, {}};
  } else {
    return false;
  }
  entry.held = Held::no;
  return true;
}

// The folder does not only receive any more.
void Replica::Impl::publish_held(FolderId folder, const std::string& path, const PathEntry& entry) {
  Observation o;
  o.path = path;
  o.state = is_present(entry) ? Observation::State::present : Observation::State::absent;
  o.disk = entry.disk ? entry.disk->state : DiskState{};
  if (o.state == Observation::State::present)
    publish(folder, o, entry, true, std::nullopt);
  else
    delete_local(folder, path, entry, true);
}

// An application's bytes that came to light as their file was replaced, in a folder that publishes nothing.
void Replica::Impl::keep_stray(const PathKey& key, const Hash128& hash) {
  kept.emplace(key.folder, hash);
  problem(key, "written here as a version from elsewhere replaced it; this folder only receives, the bytes are kept in .syncline/versions/" +
                    to_hex(hash));
}

void Replica::Impl::revert(const PathKey& key) {
  auto entry = index.get(key.folder, key.path);
  if (!entry || entry->held != Held::unpublished) return;
  entry->held = Held::no;
  // Of this node alone: a tombstone that nobody wrote takes it away, and goes with it (applied_work).
  if (!entry->live) entry->live = Record{.folder = key.folder, .path = key.path};
  if (entry->live->content.kind == Kind::deleted && !is_present(*entry)) entry->disk.reset();
  index.put(key.folder, key.path, *entry);
  start_work(key.folder, key.path);
}

// ---- requests
// ---------------------------------------------------------------------------------------------------------

std::vector<HeldView> Replica::held(FolderId folder, std::size_t limit) const {
  std::vector<HeldView> out;
  for (std::string& path : impl_->index.held(folder, "", limit)) {
    const auto entry = impl_->index.get(folder, path);
    if (entry) out.push_back({std::move(path), entry->held});
  }
  return out;
}

// ---- repair
// ---------------------------------------------------------------------------------------------------------

// What is there is nobody's version. Who edits it before it is whole again has not seen the version (its base tells): that becomes a conflict.
Status Replica::repair(FolderId folder, const std::string& path, const DiskState& known, const Hash128& found, Now now) {
  Impl& r = *impl_;
  r.now = now;
  const PathKey key{folder, path};
  if (planted(Fault::repair_forgotten)) return {};
  auto entry = r.index.get(folder, path);
  if (!entry || !entry->disk || !(entry->disk->state == known) || !entry->live || !(entry->live->dot == entry->disk->dot) ||
      entry->held != Held::no || r.works.contains(key) || r.publishing.contains(key))
    return fail(Error::Code::refused, path + " has changed meanwhile");
  entry->disk->state.content.hash = found;
  entry->disk->context.raise(entry->disk->dot);
  entry->disk->dot = {};
  r.index.put(folder, path, *entry);
  r.start_work(folder, path, {}, nullptr, nullptr);
  return {};
}

void Replica::refetch_kept(FolderId folder, const Hash128& content) { impl_->look_for_kept(folder, content); }

Result<std::size_t> Replica::revert(FolderId folder, const std::string& path, Now now) {
  Impl& r = *impl_;
  r.now = now;
  std::vector<std::string> paths;
  for (std::string after;;) {
    const auto part = r.index.held(folder, after, kSweepEntries);
    for (const std::string& p : part) {
      const auto entry = r.index.get(folder, p);
      const bool below = path.empty() || p == path || p.starts_with(path + "/");
      if (below && entry && entry->held == Held::unpublished) paths.push_back(p);
    }
    if (part.empty()) break;
    after = part.back();
  }
  if (paths.empty()) return fail(Error::Code::not_found, "nothing was changed here that could be reverted");
  for (const std::string& p : paths) r.revert({folder, p});
  return paths.size();
}

}  // namespace syncline

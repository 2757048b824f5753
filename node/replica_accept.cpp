#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/merge.h"
#include "protocol/planted_fault.h"

namespace syncline {

// A context covers all earlier versions of an actor, those too that lost unseen: the base tells what was really there.
static bool overwrites(const Record& by, const Record& loser) {
  return by.context.covers(loser.dot) && !by.base.is_zero() && by.base == loser.content.hash;
}

Dot Replica::Impl::next_dot() {
  if (own_seq == 0 && planted(Fault::counter_restored)) own_seq = pushed_seq = index.vector().get(options.actor);
  if (own_seq == 0) {
    // The first thing an actor says is whose it is, so that conflicts can name the node.
    own_seq = 1;
    Record who{.folder = kClusterFolder, .path = "actors/" + to_hex(options.actor)};
    who.content = {.kind = Kind::value, .target = options.actor_certificate};
    who.dot = {options.actor, 1};
    who.hlc = clock.tick(now.wall_ms);
    index.put(kClusterFolder, who.path, PathEntry{who, std::nullopt});
    push.push_back({std::move(who), std::nullopt});
  }
  if (planted(Fault::dot_used_again) && own_seq % 4 == 3) --own_seq;
  const Dot dot{options.actor, ++own_seq};
  index.advance(options.actor, own_seq);
  schedule_announcements(options.actor);
  return dot;
}

void Replica::Impl::accept(Record record, std::optional<Entries::Attachment> attachment, const NodeId& from) {
  clock.observe(record.hlc);
  const FolderId folder = record.folder;
  const std::string path = record.path;
  PathEntry entry = index.get(folder, path).value_or(PathEntry{});
  Merged merged{.incoming_wins = true};
  if (entry.live) {
    if (entry.live->dot == record.dot) return;
    merged = merge(*entry.live, record);
    const Record& winner = merged.incoming_wins ? record : *entry.live;
    if (merged.loser_unseen) raise_conflict(merged.incoming_wins ? *entry.live : record, winner);
    if (attachment && attachment->encoding == Encoding::raw && !merged.incoming_wins)
      keep_listed(record, std::make_shared<const Bytes>(std::move(attachment->bytes)));
  }
  resolve_dominated(record);
  if (!merged.incoming_wins) return;
  entry.live = record;
  if (!heal_unpublished(entry) && !adopt_time(entry)) entry.held = due_hold(folder, path, entry);
  index.put(folder, path, entry);
  if (folder == kClusterFolder) {
    members_known = false;
    effects.push_back(MembersChanged{});
    return;
  }
  repair_around(folder, path);
  std::shared_ptr<const Bytes> raw, delta;
  if (attachment) {
    (attachment->encoding == Encoding::raw ? raw : delta) =
        std::make_shared<const Bytes>(std::move(attachment->bytes));
  }
  if (raw) keep_listed(record, raw);  // the repair may have made a loser of it
  start_work(folder, path, from, std::move(raw), std::move(delta));
  path_changed(folder, path);
}

// If the version has lost and is listed: its bytes came with it, and may be nowhere else by tomorrow.
void Replica::Impl::keep_listed(const Record& record, std::shared_ptr<const Bytes> bytes) {
  const auto listed = index.conflict(record.folder, record.path, record.dot);
  if (!listed || listed->resolved || !owns(record.folder)) return;
  const Hash128& hash = record.content.hash;
  start_job(record.folder, "#" + to_hex(hash), false, StageVersionJob{hash, record.content.size, std::move(bytes)});
}

void Replica::Impl::accept(Conflict entry, const NodeId&) {
  clock.observe(entry.loser.hlc);
  const auto known = index.conflict(entry.loser.folder, entry.loser.path, entry.loser.dot);
  if (known && !newer(entry, *known) && !planted(Fault::resolution_undone)) return;
  index.put_conflict(entry);
  if (entry.resolved) {
    if (!known || !known->resolved) ensure_version(entry);
    return;
  }
  if (known) return;
  // The entry may have come after the version that makes it void.
  const auto live = index.get(entry.loser.folder, entry.loser.path);
  if (live && live->live) resolve_dominated(*live->live);
  resolve_dominated(entry.loser);
  for (const Conflict& c : index.conflicts_of(entry.loser.folder, entry.loser.path)) {
    if (overwrites(c.loser, entry.loser)) resolve_dominated(c.loser);
  }
  ensure_version(entry);
}

bool Replica::Impl::accept_own(Record record, PathEntry entry, std::optional<OnDisk> disk,
                               std::optional<Entries::Attachment> attachment) {
  const FolderId folder = record.folder;
  const std::string path = record.path;
  Merged merged{.incoming_wins = true};
  if (entry.live) {
    merged = merge(*entry.live, record);
    if (merged.loser_unseen) {
      if (merged.incoming_wins)
        raise_conflict(*entry.live, record);
      else
        raise_conflict(record, *entry.live);
    }
  }
  resolve_dominated(record);
  entry.disk = std::move(disk);
  if (merged.incoming_wins) entry.live = record;
  entry.held = Held::no;
  entry.held = due_hold(folder, path, entry);
  // raise_conflict() has written after the record: a record's own dot is the older, and the push goes by
  // dots.
  index.put(folder, path, entry);
  if (merged.incoming_wins) {
    const auto place = std::find_if(push.begin(), push.end(), [&](const Entries::Item& i) {
      return std::visit([](const auto& e) { return e.dot.seq; }, i.entry) > record.dot.seq;
    });
    push.insert(place, {record, std::move(attachment)});
  }
  if (folder != kClusterFolder) {
    repair_around(folder, path);
    start_work(folder, path);
    path_changed(folder, path);
  }
  return merged.incoming_wins;
}

void Replica::Impl::raise_conflict(const Record& loser, const Record& winner) {
  if (loser.folder == kClusterFolder) return;
  if (index.conflict(loser.folder, loser.path, loser.dot)) return;
  // Its news may come late, after those of the version that overwrote it, and that one may have lost as well.
  const auto others = index.conflicts_of(loser.folder, loser.path);
  if (std::any_of(others.begin(), others.end(), [&](const Conflict& c) { return overwrites(c.loser, loser); })) return;
  Conflict entry{.loser = loser,
                 .winner = winner.dot,
                 .detected = Hlc::at_ms(now.wall_ms),
                 .resolved = false,
                 .dot = next_dot()};
  index.put_conflict(entry);
  push.push_back({entry, std::nullopt});
  ensure_version(entry);
}

void Replica::Impl::resolve(Conflict entry) {
  entry.resolved = true;
  entry.dot = next_dot();
  index.put_conflict(entry);
  push.push_back({entry, std::nullopt});
  ensure_version(entry);
}

// What somebody overwrote after having seen it needs no entry any more. Every node comes to the same: a
// resolved entry stays so.
void Replica::Impl::resolve_dominated(const Record& by) {
  if (planted(Fault::dominated_listed)) return;
  if (by.folder == kClusterFolder || index.counts(by.folder).open_conflicts == 0) return;
  for (const Conflict& c : index.conflicts_of(by.folder, by.path)) {
    if (!c.resolved && overwrites(by, c.loser)) resolve(c);
  }
}

// The tree must be a tree: what is live needs directories above it. The repair's content and time are
// functions of the records alone, so that nodes making it at once agree, and any real write of the path wins
// over it.
void Replica::Impl::repair_around(FolderId folder, const std::string& path, unsigned depth) {
  // A node that takes nothing over leaves it to the others.
  if (path == kRootPath || depth > limits::path_bytes || mode(folder) == FolderMode::send_only) return;
  const auto entry = index.get(folder, path);
  if (!entry || !entry->live) return;
  if (entry->live->content.kind != Kind::directory && index.has_live_child(folder, path)) {
    make_directory(folder, path, depth);
    return;
  }
  const std::string parent(parent_path(path));
  if (entry->live->content.kind == Kind::deleted || parent.empty()) return;
  const auto above = index.get(folder, parent);
  if (above && above->live && above->live->content.kind != Kind::directory)
    make_directory(folder, parent, depth + 1);
}

void Replica::Impl::make_directory(FolderId folder, const std::string& path, unsigned depth) {
  PathEntry entry = *index.get(folder, path);
  const Record was = *entry.live;
  Record repair{.folder = folder, .path = path};
  repair.content = {
      .kind = Kind::directory, .mode = 0755, .mtime_ns = static_cast<std::int64_t>(was.hlc.ms()) * 1'000'000};
  // It has not "seen" what it replaces: the merge then lists a file that had to give way, the same entry on
  // every node.
  repair.context = was.context;
  repair.hlc = was.hlc.next();
  repair.dot = next_dot();
  clock.observe(repair.hlc);
  if (merge(was, repair).loser_unseen) raise_conflict(was, repair);
  entry.live = repair;
  entry.held = due_hold(folder, path, entry);
  index.put(folder, path, entry);
  const auto place = std::find_if(push.begin(), push.end(), [&](const Entries::Item& i) {
    return std::visit([](const auto& e) { return e.dot.seq; }, i.entry) > repair.dot.seq;
  });
  push.insert(place, {repair, std::nullopt});
  start_work(folder, path);
  repair_around(folder, path, depth + 1);
}

// Brings a conflict's bytes into versions/ while it is open, and out of there afterwards.
void Replica::Impl::ensure_version(const Conflict& entry) {
  const Content& content = entry.loser.content;
  if (content.kind != Kind::file || content.size == 0 || !owns(entry.loser.folder)) return;
  if (!entry.resolved) {
    if (!planted(Fault::loser_bytes_lost)) version_queue.push_back(entry);
    return;
  }
  if (index.conflict_needs(content.hash)) return;
  if (const auto fetch = fetches.find(content.hash); fetch != fetches.end() && fetch->second.purpose == Fetch::For::version) {
    forget_wants(fetch->second);
    fetches.erase(fetch);
  }
  drop_staged(entry.loser.folder, content.hash);
  if (kept.contains({entry.loser.folder, content.hash})) return;
  // A path being restored from it still needs it: such bytes go when that is done (applied_work).
  for (const auto& [key, work] : works) {
    if (key.folder == entry.loser.folder && work.target.content.hash == content.hash) {
      kept.emplace(key.folder, content.hash);
      return;
    }
  }
  drop_version(entry.loser.folder, content.hash);
}

// The bytes of these losers may not be here any more.
void Replica::Impl::look_for_kept(FolderId folder, const Hash128& content) {
  for (const Conflict& c : index.conflicts(folder, false, SIZE_MAX)) {
    if (c.loser.content.hash == content) ensure_version(c);
  }
}

// Not at once, and never while an apply may be filing the same bytes: an entry that was resolved is often followed by the next one.
void Replica::Impl::next_drops() {
  for (auto it = drops.begin(); it != drops.end();) {
    const auto& [folder, hash] = it->first;
    auto& drop = it->second;
    if (drop.under_way || now.mono_ms < drop.at_ms) {
      ++it;
      continue;
    }
    const bool needed = index.conflict_needs(hash) || kept.contains(it->first);
    const bool in_use = std::any_of(works.begin(), works.end(), [&](const auto& w) {
      return w.second.target.content.hash == hash || (w.second.applying && w.second.expected.content.hash == hash);
    });
    if (needed) {
      it = drops.erase(it);
      continue;
    }
    if (in_use) {
      drop.at_ms = now.mono_ms + tuning::retry_max_ms;
    } else {
      drop.under_way = true;
      drop_jobs[start_job(folder, "#" + to_hex(hash), false, DropVersionJob{hash})] = it->first;
    }
    ++it;
  }
}

void Replica::Impl::next_versions() {
  while (!version_queue.empty() && version_jobs.size() < tuning::bulk_works_max) {
    const Conflict entry = std::move(version_queue.front());
    version_queue.pop_front();
    const JobId id = start_job(entry.loser.folder, "#" + to_hex(entry.loser.content.hash), false,
                               HasVersionJob{entry.loser.content.hash, recovering || index.after_power_loss()});
    version_jobs[id] = {entry, false};
  }
}

// ---- requests
// -------------------------------------------------------------------------------------------------------------

Status Replica::drop_conflict(FolderId folder, const std::string& path, const Dot& loser, Now now) {
  impl_->now = now;
  const auto entry = impl_->index.conflict(folder, path, loser);
  if (!entry || entry->resolved) return fail(Error::Code::not_found, "no such open conflict");
  impl_->resolve(*entry);
  return {};
}

Status Replica::restore_conflict(FolderId folder, const std::string& path, const Dot& loser,
                                 const std::string& as, Now now) {
  Impl& r = *impl_;
  r.now = now;
  const auto conflict = r.index.conflict(folder, path, loser);
  if (!conflict || conflict->resolved) return fail(Error::Code::not_found, "no such open conflict");
  const std::string target = as.empty() ? path : as;
  if (!is_canonical_path(target) || target == kRootPath)
    return fail(Error::Code::invalid, "not a path inside the folder: " + target);
  if (r.mode(folder) == FolderMode::receive_only)
    return fail(Error::Code::refused, "this node only receives: restore it on another one");
  if (r.is_ignored(folder, target, conflict->loser.content.kind))
    return fail(Error::Code::refused, target + " is ignored by " + std::string(kIgnoreFile));
  PathEntry entry = r.index.get(folder, target).value_or(PathEntry{});
  Record record = conflict->loser;
  record.path = target;
  record.context = {};
  record.base = {};
  if (entry.live) {
    record.context = entry.live->context;
    record.context.raise(entry.live->dot);
  }
  // Only on its own path does the restored version stand for the loser; elsewhere it is a copy, and this
  // path's entry is resolved as such.
  if (target == path) {
    record.context.merge(conflict->loser.context);
    record.context.raise(loser);
  }
  record.hlc = r.next_time(entry.live ? entry.live->hlc : Hlc{});
  record.dot = r.next_dot();
  if (record.content.kind == Kind::file) r.kept.emplace(folder, record.content.hash);
  const std::optional<OnDisk> disk = entry.disk;
  r.accept_own(std::move(record), std::move(entry), disk, std::nullopt);
  const auto still = r.index.conflict(folder, path, loser);
  if (still && !still->resolved) r.resolve(*still);
  return {};
}

}  // namespace syncline

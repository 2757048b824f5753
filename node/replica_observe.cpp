#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

bool same_but_for_mtime(const Content& a, const Content& b) {
  return a.kind == b.kind && a.hash == b.hash && a.size == b.size && a.mode == b.mode && a.target == b.target;
}

void Replica::Impl::observed(FolderId folder, const Observation& observation, std::uint64_t as_of) {
  const std::string& path = observation.path;
  if (!owns(folder) || stopped.contains(folder) || !clock_problem.empty()) return;
  const PathKey key{folder, path};
  if (const auto it = works.find(key); it != works.end()) {
    it->second.again = true;  // the path is being changed by us: what was seen may be from before
    return;
  }
  if (publishing.contains(key))
    return;  // its delta is being made; if the file changed since, making it fails and it is looked at again
  PathEntry entry = index.get(folder, path).value_or(PathEntry{});
  const bool there = observation.state == Observation::State::present;
  const bool new_directory = there && observation.disk.content.kind == Kind::directory && !entry.disk;  // made for what is applied in it?
  if ((new_directory || observation.state == Observation::State::absent) && is_applying_below(key)) {
    look_after_applies.insert(key);
    return;
  }
  if (is_stale(key, observation, as_of)) return effects.push_back(LookAt{folder, path});
  if (is_ignored(key, observation, entry)) {
    give_way(key, observation, entry);
    forget_intents(key);
    drop_awaited(key);
    take_ignored(key, observation, entry);
    if (!hold_back(key, entry) && !retries.contains(key)) looked_at(key);
    return no_problem(key);
  }
  const bool changed = observation.state == Observation::State::present && !(entry.disk && entry.disk->state == observation.disk);
  if (!changed && observation.state != Observation::State::absent && is_still_kept(key, entry)) return no_problem(key);
  if (entry.held == Held::kept) {  // perhaps nothing is in it any more
    entry.held = Held::no;
    index.put(folder, path, entry);
  }
  if (entry.held == Held::ignored) release(key, observation, entry);
  if (!judge_leftover(key, observation, entry) && !is_our_doing(key, observation, entry))
    take_observation(key, observation, entry);
  unsure.reset();
  // What is there may be known only when the members have told: an apply would find it changed, again and again.
  bool waits = index.distrusts_any() && index.is_distrusted(folder, path);
  // What could not be done is not done now because nothing has changed.
  waits = waits || (!changed && retries.contains(key) && !awaited.contains(key));
  if (!publishing.contains(key) && !waits) looked_at(key);
}

// What is there now is ignored, and what was there was not: nobody gets that from here any more.
void Replica::Impl::give_way(const PathKey& key, const Observation& o, PathEntry& entry) {
  if (o.state != Observation::State::present || !entry.disk || !entry.disk->state.present() || entry.disk->dot.seq == 0) return;
  if (entry.held != Held::no || rules_unsettled.contains(key.folder) || is_ignored(key.folder, key.path, entry)) return;
  observed_absent(key.folder, key.path, entry, !scanned.contains(key.folder));
  entry = index.get(key.folder, key.path).value_or(PathEntry{});
}

static bool is_below(const PathKey& key, const PathKey& directory) {
  return key.folder == directory.folder && key.path.size() > directory.path.size() && key.path.starts_with(directory.path) &&
         key.path[directory.path.size()] == '/';
}

bool Replica::Impl::is_applying_below(const PathKey& key) const {
  for (auto it = works.lower_bound({key.folder, key.path + "/"}); it != works.end() && is_below(it->first, key); ++it) {
    if (it->second.applying) return true;
  }
  return false;
}

// The look crossed an apply of ours that made or removed something above or below the path. (One of the path itself comes back in order.)
bool Replica::Impl::is_stale(const PathKey& key, const Observation& o, std::uint64_t as_of) const {
  if (as_of == UINT64_MAX || as_of == applies_done) return false;
  if (as_of < disturbed_floor) return true;
  for (std::string_view above = parent_path(key.path); !above.empty() && key.path != kRootPath; above = parent_path(above)) {
    const auto it = disturbed.find({key.folder, std::string(above)});
    if (it != disturbed.end() && it->second.self > as_of) return true;
  }
  if (o.state == Observation::State::present && o.disk.content.kind == Kind::directory) return false;
  const auto it = disturbed.find(key);
  return it != disturbed.end() && it->second.below > as_of;
}

// An apply of the path has ended.
void Replica::Impl::disturb(const PathKey& key) {
  if (disturbed.size() > tuning::disturbed_max) {
    disturbed.clear();
    disturbed_floor = applies_done;
  }
  ++applies_done;
  disturbed[key].self = applies_done;
  for (std::string_view above = parent_path(key.path); !above.empty() && key.path != kRootPath; above = parent_path(above)) {
    const PathKey directory{key.folder, std::string(above)};
    disturbed[directory].below = applies_done;
    if (look_after_applies.erase(directory) > 0) effects.push_back(LookAt{directory.folder, directory.path});
  }
}

// What the run before was doing when it died.
bool Replica::Impl::is_our_doing(const PathKey& key, const Observation& o, PathEntry& entry) {
  if (intents.empty()) return false;
  if (take_intent(key, o, entry)) return true;
  const bool new_directory = o.state == Observation::State::present && o.disk.content.kind == Kind::directory && !entry.disk;
  if (!new_directory || !above_an_intent(key)) return false;
  entry.disk = OnDisk{o.disk, {}, {}, {}};
  index.put(key.folder, key.path, entry);
  return true;
}

void Replica::Impl::take_observation(const PathKey& key, const Observation& observation, PathEntry& entry) {
  const auto& [folder, path] = key;
  const bool at_start = !scanned.contains(folder);
  switch (observation.state) {
    case Observation::State::unchanged:
      no_problem(key);
      if (planted(Fault::rescan_publishes) && entry.disk && entry.disk->state == observation.disk && !entry.pending())
        publish(folder, observation, entry, at_start, std::nullopt);
      break;
    case Observation::State::busy:
      break;  // looked at again after its close
    case Observation::State::unsupported:
    case Observation::State::failed:
      problem(key, observation.problem);
      break;
    case Observation::State::absent:
      no_problem(key);
      if (path != kRootPath) observed_absent(folder, path, entry, at_start);
      break;
    case Observation::State::present:
      no_problem(key);
      observed_present(folder, observation, entry, at_start);
      break;
  }
}

void Replica::Impl::observed_absent(FolderId folder, const std::string& path, PathEntry& entry,
                                    bool at_start) {
  if (!entry.disk || !entry.disk->state.present()) return;
  if (entry.disk->state.content.kind == Kind::directory) vanish_below(folder, path, at_start);
  delete_local(folder, path, entry, at_start);
}

// A directory that is gone has taken everything below with it: deletes go from the leaves up, so that none
// looks like the removal of a directory that still has something in it.
void Replica::Impl::vanish_below(FolderId folder, const std::string& directory, bool at_start) {
  std::vector<std::string> gone;
  std::string after;
  while (true) {
    const auto chunk = index.below(folder, directory, after, 1000);
    if (chunk.empty()) break;
    for (const auto& [path, entry] : chunk) {
      if (const auto work = works.find({folder, path}); work != works.end())
        work->second.again = true;  // we are changing it: how it comes out will be seen
      else if (entry.disk && entry.disk->state.present())
        gone.push_back(path);
    }
    after = chunk.back().first;
  }
  const auto of_directory = unsure;
  for (auto it = gone.rbegin(); it != gone.rend(); ++it) {
    unsure.reset();
    if (const auto entry = index.get(folder, *it)) delete_local(folder, *it, *entry, at_start);
  }
  unsure = of_directory;
}

void Replica::Impl::delete_local(FolderId folder, const std::string& path, const PathEntry& entry,
                                 bool at_start) {
  if (is_ignored(folder, path, entry)) return;  // it goes with what was above it, and nobody is told
  touched.erase({folder, path});
  PathEntry known = entry;
  Observation absent;
  absent.path = path;
  absent.state = Observation::State::absent;
  if (take_intent({folder, path}, absent, known)) return start_work(folder, path);
  if (mode(folder) == FolderMode::receive_only) return keep_unpublished(folder, absent, entry);
  if (entry.disk->dot.seq == 0 && entry.held != Held::unpublished) {  // never anybody's version: a directory made to hold children
    PathEntry gone{entry.live, std::nullopt};
    if (gone.live)
      index.put(folder, path, gone);
    else
      index.erase(folder, path);
    start_work(folder, path);
    return;
  }
  Record record{.folder = folder, .path = path};
  record.context = entry.disk->context;
  if (entry.disk->dot.seq > 0) record.context.raise(entry.disk->dot);
  if (entry.disk->state.content.kind == Kind::file && !unsure) record.base = entry.disk->state.content.hash;
  const Hlc above = std::max(entry.disk->hlc, unsure.value_or(Hlc{}));
  // Found after a start, nobody knows when it was deleted: it yields to whatever was written without
  // knowledge of it.
  record.hlc = at_start ? above.next() : next_time(above);
  clock.observe(record.hlc);
  record.dot = next_dot();
  accept_own(std::move(record), entry, std::nullopt, std::nullopt);
}

void Replica::Impl::observed_present(FolderId folder, const Observation& o, PathEntry& entry, bool at_start) {
  // Something below it is there, so that what was a file above is a directory by now, though nobody has looked yet.
  for (std::string_view above = parent_path(o.path); !above.empty() && o.path != kRootPath; above = parent_path(above)) {
    const auto parent = index.get(folder, above);
    if (works.contains({folder, std::string(above)})) continue;  // our own doing, not told yet
    if (parent && parent->disk && parent->disk->state.present() && parent->disk->state.content.kind != Kind::directory) {
      delete_local(folder, std::string(above), *parent, at_start);
    }
  }
  const bool is_directory = o.disk.content.kind == Kind::directory;
  if (entry.disk && entry.disk->state.present()) {
    DiskState& known = entry.disk->state;
    const bool only_mtime = same_but_for_mtime(known.content, o.disk.content);
    const bool as_it_was = !o.written && known.content.kind == Kind::file && known.print.ctime_ns != 0 && known.print == o.disk.print;
    if (as_it_was && !is_directory && known.content.hash != o.disk.content.hash && !planted(Fault::rot_published))
      return problem({folder, o.path}, "its bytes are not what they were, though nobody has written to it: see `syncline verify --repair`");
    // What changes its time may be ignored, or have been our doing before a kill: that keeps no directory alive which was deleted elsewhere.
    const bool doomed = entry.live && entry.live->content.kind == Kind::deleted && (has_rules(folder) || at_start);
    const bool quiet_directory = is_directory && only_mtime && (entry.disk->dot.seq == 0 || doomed);
    // Another file of the same content in its place (a copy, renamed) is somebody's write all the same: a deletion elsewhere has not seen it.
    const bool replaced = !is_directory && !at_start && known.print.inode != 0 && known.print.inode != o.disk.print.inode;
    if (only_mtime && !replaced && (known.content.mtime_ns == o.disk.content.mtime_ns || quiet_directory)) {
      if (!(known == o.disk)) {
        known = o.disk;
        index.put(folder, o.path, entry);
        if (o.signature) keep_signature(o, entry);
      }
      if (is_directory) drop_made_parent(folder, o.path);  // an application may have taken away what it was made for
      return;
    }
    if (is_directory && only_mtime && touched.contains({folder, o.path}))
      return;  // our own doing; it is set back in a moment
    if (known.content.kind == Kind::directory && !is_directory) vanish_below(folder, o.path, at_start);
  } else if (o.path == kRootPath && member_ids().size() > 1 && mode(folder) != FolderMode::receive_only) {
    // A newcomer's own directory is no news to the others: it takes on the attributes that theirs have.
    Record record{.folder = folder, .path = o.path, .content = o.disk.content};
    record.hlc = {1};
    record.dot = next_dot();
    const OnDisk disk{o.disk, record.dot, {}, record.hlc};
    accept_own(std::move(record), entry, disk, std::nullopt);
    return;
  }
  entry = index.get(folder, o.path).value_or(PathEntry{});
  if (at_start && entry.live && entry.pending() && same_but_for_mtime(entry.live->content, o.disk.content)) {
    // The live version's bytes are here already: this folder is an older copy, or the index was lost.
    // Whoever made it so had before him what was there: that needs no entry any more.
    if (entry.disk && entry.disk->dot.seq > 0 && entry.disk->state.content.hash != o.disk.content.hash && !unsure) {
      const auto known = index.conflict(folder, o.path, entry.disk->dot);
      if (known && !known->resolved) resolve(*known);
    }
    const bool all_same = entry.live->content.mtime_ns == o.disk.content.mtime_ns;
    if (all_same)
      entry.disk = OnDisk{o.disk, entry.live->dot, entry.live->context, entry.live->hlc};
    else if (entry.disk)
      entry.disk->state = o.disk;
    else
      entry.disk = OnDisk{o.disk, {}, {}, {}};
    index.put(folder, o.path, entry);
    keep_signature(o, entry);
    path_changed(folder, o.path);
    return;
  }
  // Where it is not certain what was there, no delta is made: what is known of that now would be forgotten by then.
  if (!unsure && o.disk.content.kind == Kind::file && !o.content && mode(folder) != FolderMode::receive_only && entry.disk &&
      entry.disk->state.content.kind == Kind::file) {
    const Hash128 base = entry.disk->state.content.hash;
    const auto signature = base == o.disk.content.hash ? nullptr : index.signature(base);
    if (signature && signature->file_bytes > 0) {
      const JobId id = start_job(
          folder, o.path, true,
          MakeDeltaJob{o.path, o.disk.print, signature, o.signature, base, o.disk.content.hash,
                       std::min<std::size_t>(o.disk.content.size / 2, tuning::delta_cache_bytes / 2)});
      publish_jobs[id] = {folder, o.path};
      publishing[{folder, o.path}] = {o, at_start, base};
      return;
    }
  }
  std::optional<Entries::Attachment> attachment;
  const bool known_bytes = (entry.disk && entry.disk->state.content.hash == o.disk.content.hash) ||
                           (entry.live && entry.live->content.hash == o.disk.content.hash);
  if (o.content && !o.content->empty() && !known_bytes && !has_spread(folder, o.path, o.disk.content.hash))
    attachment = Entries::Attachment{Encoding::raw, *o.content};
  publish(folder, o, entry, at_start, std::move(attachment));
}

// An application went on writing into a file that had been replaced under it. That is the latest write of the path, made without having
// seen what took its place: it wins, and what it did not see is listed.
void Replica::Impl::wrote_late(FolderId folder, const LateWrite& late) {
  // What it was may have been kept for a conflict, by that very file.
  if (index.conflict_needs(late.replaced)) look_for_kept(folder, late.replaced);
  const std::string path = place_of(folder, late);
  if (path.empty()) {
    const std::string where = ".syncline/versions/" + to_hex(late.disk.content.hash);
    kept.emplace(folder, late.disk.content.hash);
    return problem({folder, where}, "bytes that an application wrote into a replaced file, whose name is not known any more, are kept here");
  }
  if (!is_first_report({folder, path}, late.disk.content.hash)) return;
  Record record{.folder = folder, .path = path, .content = late.disk.content};
  record.base = late.replaced;
  PathEntry entry = index.get(folder, path).value_or(PathEntry{});
  if (entry.live && !worth_a_conflict(entry.live->content, record.content)) return;
  if (mode(folder) == FolderMode::receive_only) return keep_stray({folder, path}, record.content.hash);
  record.hlc = next_time(entry.live ? entry.live->hlc : Hlc{});
  record.dot = next_dot();
  kept.emplace(folder, record.content.hash);
  const std::optional<OnDisk> disk = entry.disk;
  accept_own(std::move(record), std::move(entry), disk, std::nullopt);
}

// Where it was. After a crash a long path may be missing: then it is the longest of those that have what took its place, or what it was.
std::string Replica::Impl::place_of(FolderId folder, const LateWrite& late) const {
  if (!late.path.empty()) return late.path;
  constexpr std::size_t places_max = 64;
  for (const Hash128& content : {late.by, late.replaced}) {
    const auto places = content.is_zero() ? std::vector<std::string>{} : index.paths_with(folder, content, places_max);
    const auto longest = std::max_element(places.begin(), places.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    if (longest != places.end()) return *longest;
  }
  return {};
}

// A kill leaves open whether a run before has told of it: the index knows.
bool Replica::Impl::is_first_report(const PathKey& key, const Hash128& content) {
  static const HashKey hash{Key32{}};
  Writer w;
  w.varint(key.folder), w.bytes(key.path), w.id(content);
  const Hash128 tag = hash.hash(w.data());
  Bytes known = index.meta("late").value_or(Bytes{});
  for (std::size_t at = 0; at < known.size(); at += Hash128::size) {
    if (BytesView(known).substr(at, Hash128::size) == tag.view()) return false;
  }
  known += tag.view();
  if (known.size() > tuning::late_reports_max * Hash128::size) known.erase(0, Hash128::size);
  index.put_meta("late", known);
  return true;
}

void Replica::Impl::delta_made(JobId id, const Result<Bytes>& delta) {
  const auto job = publish_jobs.find(id);
  if (job == publish_jobs.end()) return;
  const PathKey key = job->second;
  publish_jobs.erase(job);
  const auto waiting = publishing.find(key);
  if (waiting == publishing.end()) return;
  const Publishing p = std::move(waiting->second);
  publishing.erase(waiting);
  if (!delta &&
      delta.error().code == Error::Code::busy) {  // it changed meanwhile: that version never was whole
    effects.push_back(LookAt{key.folder, key.path});
    return;
  }
  std::optional<Entries::Attachment> attachment;
  if (delta && delta->size() <= limits::inline_content_bytes) {
    attachment = Entries::Attachment{Encoding::delta, *delta};
  }
  if (delta) cache_delta(p.base, p.observation.disk.content.hash, std::make_shared<const Bytes>(*delta));
  publish(key.folder, p.observation, index.get(key.folder, key.path).value_or(PathEntry{}), p.at_start,
          std::move(attachment));
  effects.push_back(LookAt{key.folder, key.path});  // observations in between were not taken
}

// The content is at another path as well, in a version that all who are linked know: a renamed folder sends names, not bytes. Who has the
// bytes not asks for them.
bool Replica::Impl::has_spread(FolderId folder, const std::string& path, const Hash128& content) const {
  for (const std::string& other : index.paths_with(folder, content, 2)) {
    const auto entry = other == path ? std::nullopt : index.get(folder, other);
    if (!entry || !entry->disk || entry->disk->dot.seq == 0) continue;
    const Dot& dot = entry->disk->dot;
    if (std::all_of(links.begin(), links.end(), [&](const auto& l) { return l.second.vector.covers(dot); })) return true;
  }
  return false;
}

// Makes a version of what was seen on disk.
void Replica::Impl::publish(FolderId folder, const Observation& o, const PathEntry& entry, bool at_start,
                            std::optional<Entries::Attachment> attachment) {
  if (mode(folder) == FolderMode::receive_only) return keep_unpublished(folder, o, entry);
  Record record{.folder = folder, .path = o.path, .content = o.disk.content};
  Hlc above = unsure.value_or(Hlc{});
  if (entry.disk && (entry.disk->dot.seq > 0 || entry.held == Held::unpublished)) {
    record.context = entry.disk->context;
    if (entry.disk->dot.seq > 0) record.context.raise(entry.disk->dot);
    above = std::max(entry.disk->hlc, above);
    const bool was_a_version = entry.disk->state.content.kind == Kind::file && entry.held != Held::unpublished;
    if (was_a_version && !unsure) record.base = entry.disk->state.content.hash;
  } else if (!entry.disk && entry.live && entry.live->content.kind == Kind::deleted) {
    record.context =
        entry.live->context;  // its absence here was the tombstone's doing: the writer has seen that
    record.context.raise(entry.live->dot);
    above = std::max(entry.live->hlc, above);
  }
  if (planted(Fault::context_forgotten)) record.context = {};
  // Written while the node was down: it was written when the kernel says so, not now. (utimes cannot change
  // ctime, which is 0 of what was written just now.)
  const auto written_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(o.disk.print.ctime_ns, 0) / 1'000'000);
  if (at_start && written_ms > 0 && written_ms < now.wall_ms) {
    record.hlc = std::max(above.next(), Hlc::at_ms(written_ms));
    clock.observe(record.hlc);
  } else {
    record.hlc = planted(Fault::clock_behind_seen) ? Hlc::at_ms(now.wall_ms) : next_time(above);
  }
  record.dot = next_dot();
  keep_signature(o, entry);
  const OnDisk disk{o.disk, record.dot, record.context, record.hlc};
  accept_own(std::move(record), entry, disk, std::move(attachment));
}

// Signatures are kept by content for large files on disk: the next edit then travels as a delta.
void Replica::Impl::keep_signature(const Observation& o, const PathEntry& before) {
  if (o.signature) index.put_signature(o.disk.content.hash, *o.signature);
  if (!before.disk || before.disk->state.content.kind != Kind::file) return;
  const Content& old = before.disk->state.content;
  if (old.hash != o.disk.content.hash && old.size >= limits::signature_min_file_bytes &&
      index.paths_with(before.live ? before.live->folder : 1, old.hash, 2).size() <= 1) {
    index.drop_signature(old.hash);
  }
}

}  // namespace syncline

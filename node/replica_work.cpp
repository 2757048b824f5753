#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

static bool holds(const DiskState& disk, const Content& content) {
  return disk.content.kind == Kind::file && content.kind == Kind::file && disk.content.hash == content.hash &&
         disk.content.size == content.size;
}

static constexpr const char* kNoSpace = "no space left on this node for it; free some";

// Begins to bring a path to its live version, unless it is there already, is being worked on, or there is no
// room now (the pending list in the index remembers it).
void Replica::Impl::start_work(FolderId folder, const std::string& path, const NodeId& from,
                               std::shared_ptr<const Bytes> bytes, std::shared_ptr<const Bytes> delta) {
  if (!owns(folder)) return;
  const PathKey key{folder, path};
  const auto entry = index.get(folder, path);
  if (!entry || !entry->pending()) {
    retries.erase(key);
    return;
  }
  const Record& live = *entry->live;
  if (!scanned.contains(folder) && !works.contains(key)) {
    if (!await_look(key, {from, std::move(bytes), std::move(delta), live.dot})) put_off(folder);
    return;
  }
  begin_work(key, *entry, from, std::move(bytes), std::move(delta));
}

// What came for a path that is being worked on.
void Replica::Impl::hold_for_next(Work& work, std::shared_ptr<const Bytes> bytes, std::shared_ptr<const Bytes> delta, const Dot& dot,
                                  const NodeId& from) {
  held_bytes -= bytes_of(work.next_bytes) + bytes_of(work.next_delta);
  if (held_bytes + bytes_of(bytes) + bytes_of(delta) > tuning::held_bytes_max) bytes = delta = nullptr;
  held_bytes += bytes_of(bytes) + bytes_of(delta);
  work.next_bytes = std::move(bytes);
  work.next_delta = std::move(delta);
  work.next_dot = dot;
  work.next_from = from;
}

// A file to be deleted, of which others may want to be copies: a renamed folder comes as new names, then as deletions, and those are begun
// first which find room first. Not for ever: room on the disk may be what the others wait for.
bool Replica::Impl::is_spared(const PathKey& key, const Record& live, const DiskState& disk) const {
  if (live.content.kind != Kind::deleted || disk.content.kind != Kind::file || disk.content.size == 0) return false;
  if (!crowded_since.contains(key.folder) && !staging.contains(disk.content.hash)) return false;
  return retries.count(key) < tuning::spared_times;
}

void Replica::Impl::begin_work(const PathKey& key, const PathEntry& entry, const NodeId& from,
                               std::shared_ptr<const Bytes> bytes, std::shared_ptr<const Bytes> delta) {
  const FolderId folder = key.folder;
  const Record& live = *entry.live;
  if (const auto it = works.find(key); it != works.end()) {
    Work& w = it->second;
    if (w.target.dot == live.dot) return;
    if (bytes || delta) hold_for_next(w, std::move(bytes), std::move(delta), live.dot, from);
    return abandon_fetch(key, live.content);
  }
  if (publishing.contains(key) || hold_back(key, entry)) return;
  const DiskState disk = entry.disk ? entry.disk->state : DiskState{};
  if (is_spared(key, live, disk)) return retry_later(key, tuning::spare_again_ms);
  const bool bulk = live.content.kind == Kind::file && live.content.size > limits::range_bytes && !bytes &&
                    !delta && !holds(disk, live.content);
  const std::size_t held = bytes_of(bytes) + bytes_of(delta);
  const std::size_t extra = sought(key) ? tuning::finds_max : 0;  // a reader waits for it
  if (stopped.contains(folder) || works.size() >= tuning::works_max + extra ||
      (bulk && bulk_works >= tuning::bulk_works_max + extra) || held_bytes + held > tuning::held_bytes_max) {
    put_off(folder, bulk);
    return;
  }
  const auto crowded = crowded_since.find(folder);
  const std::uint64_t heard_ms = from.is_zero() && crowded != crowded_since.end() ? crowded->second : now.mono_ms;
  Work& work = works[key];
  work.since_ms = retries.contains(key) ? retries.since_ms(key) : heard_ms;
  work.target = live;
  work.from = from;
  work.bytes = std::move(bytes);
  work.delta = std::move(delta);
  work.bulk = bulk;
  bulk_works += bulk;
  held_bytes += held;
  next_step(key, work);
}

// Where the content comes from, cheapest first: in hand, on this node, as a delta, from a peer.
void Replica::Impl::next_step(const PathKey& key, Work& work) {
  const Content& content = work.target.content;
  const auto entry = index.get(key.folder, key.path);
  const DiskState disk = entry && entry->disk ? entry->disk->state : DiskState{};
  if (content.kind != Kind::file || work.bytes || holds(disk, content)) return apply_work(key, work);
  if (content.size == 0) {
    work.bytes = std::make_shared<const Bytes>();
    return apply_work(key, work);
  }
  if (!take_staging(key, content.hash)) return;  // another path has it under way; ours is then a copy of that
  if (!work.local_asked) {
    work.local_asked = true;
    work.local_sources = index.paths_with(key.folder, content.hash, 4);
  }
  if (!work.local_sources.empty()) {
    const std::string source = std::move(work.local_sources.back());
    work.local_sources.pop_back();
    return stage_job(key, StageCopyJob{content.hash, content.size, source});
  }
  if (!work.versions_asked && (kept.contains({key.folder, content.hash}) || index.conflict_needs(content.hash))) {
    work.versions_asked = true;
    return stage_job(key, StageCopyJob{content.hash, content.size, ""});
  }
  const bool base_here = !work.target.base.is_zero() && disk.content.kind == Kind::file &&
                         (disk.content.hash == work.target.base || planted(Fault::base_not_compared));
  if (work.delta && base_here) {
    const auto delta = std::move(work.delta);
    work.delta = nullptr;
    held_bytes -= delta->size();
    return stage_job(key, StageDeltaJob{content.hash, content.size, key.path, delta});
  }
  Fetch fetch{.purpose = Fetch::For::work, .path = key, .hash = content.hash, .size = content.size};
  if (base_here && !work.delta_asked && content.size >= limits::signature_min_file_bytes) {
    fetch.encoding = Encoding::delta;
    fetch.base = work.target.base;
  }
  work.delta_asked = true;
  start_fetch(std::move(fetch), work.from);
}

bool Replica::Impl::take_staging(const PathKey& key, const Hash128& hash) {
  const auto [it, fresh] = staging.try_emplace(hash, key);
  if (fresh || it->second == key) return true;
  staging_waiters.emplace(hash, key);
  return false;
}

void Replica::Impl::stage_job(const PathKey& key, decltype(FileJob::work) job) {
  const JobId id =
      start_job(key.folder, "#" + to_hex(works[key].target.content.hash), works[key].bulk, std::move(job));
  work_jobs[id] = key;
}

void Replica::Impl::content_staged(const PathKey& key, const Result<Staged>& result) {
  const auto it = works.find(key);
  if (it == works.end()) return;
  if (!result) {
    if (result.error().code == Error::Code::full) {
      stuck_at(key, kNoSpace, true);
      return content_failed(key, tuning::retry_max_ms);
    }
    return next_step(key, it->second);  // the next source
  }
  it->second.signature = result->signature;
  apply_work(key, it->second);
}

void Replica::Impl::content_failed(const PathKey& key, std::uint64_t again_ms) {
  retry_later(key, again_ms);
  end_work(key);
}

void Replica::Impl::apply_work(const PathKey& key, Work& work) {
  const auto entry = index.get(key.folder, key.path);
  if (entry && hold_back(key, *entry)) return end_work(key);  // ignored since
  work.applying = true;
  work.expected = entry && entry->disk ? entry->disk->state : DiskState{};
  const Content& old = work.expected.content;
  work.keep_displaced = old.kind == Kind::file && old.size > 0 &&
                        !holds(work.expected, work.target.content) && index.conflict_needs(old.hash);
  // Its bytes would be filed just as those of before are being dropped.
  const auto drop = work.keep_displaced ? drops.find({key.folder, old.hash}) : drops.end();
  if (drop != drops.end() && drop->second.under_way) return content_failed(key, tuning::retry_min_ms);
  if (!remember_intent(work)) return content_failed(key, tuning::retry_min_ms);
  const JobId id =
      start_job(key.folder, key.path, false,
                ApplyJob{{.path = key.path,
                          .content = work.target.content,
                          .expect = work.expected,
                          .bytes = work.bytes,
                          .keep_displaced = work.keep_displaced,
                          .dot = work.target.dot,
                          .hlc = work.target.hlc}});
  work_jobs[id] = key;
}

void Replica::Impl::applied_work(const PathKey& key, const ApplyResult& result) {
  const auto it = works.find(key);
  if (it == works.end()) return;
  Work& work = it->second;
  using Outcome = ApplyResult::Outcome;
  forget_intent(work);
  disturb(key);
  for (const std::string& parent : result.made_parents) {
    if (work.target.dot.actor == options.actor) {  // our own version (a restored one): its directories are ours, too
      effects.push_back(LookAt{key.folder, parent});
      continue;
    }
    made_parent(key.folder, parent);
  }
  switch (result.outcome) {
    case Outcome::applied: {
      PathEntry entry = index.get(key.folder, key.path).value_or(PathEntry{});
      const std::optional<OnDisk> before = entry.disk;
      if (work.target.content.kind == Kind::deleted && work.remade)
        retry_later(key);  // a look will tell, if it is not there
      else if (work.target.content.kind == Kind::deleted)
        entry.disk.reset(), hasten(key.folder, parent_path(key.path));
      else
        entry.disk = OnDisk{result.disk, work.target.dot, work.target.context, work.target.hlc};
      if (entry.live && entry.live->dot.seq == 0) entry.live.reset();  // what took back a change of this node's
      index.put(key.folder, key.path, entry);
      if (planted(Fault::tombstone_dropped) && !entry.disk && !entry.pending()) index.erase(key.folder, key.path);
      if (work.signature) index.put_signature(work.target.content.hash, *work.signature);
      if (before && before->state.content.kind == Kind::file &&
          before->state.content.size >= limits::signature_min_file_bytes &&
          before->state.content.hash != work.target.content.hash &&
          index.paths_with(key.folder, before->state.content.hash, 1).empty()) {
        index.drop_signature(before->state.content.hash);
      }
      const Hash128& hash = work.target.content.hash;
      if (kept.erase({key.folder, hash}) > 0 && !index.conflict_needs(hash)) {
        drop_version(key.folder, hash);
      }
      no_problem(key);
      if (!work.remade) retries.erase(key);
      touch_parent(key.folder, key.path);
      if (work.target.content.kind == Kind::directory) touch(key);
      if (work.target.content.kind == Kind::deleted) drop_made_parent(key.folder, std::string(parent_path(key.path))), wake_directory(key.folder, std::string(parent_path(key.path)));
      if (result.displaced) local_version_displaced(key, *result.displaced, before);
      path_changed(key.folder, key.path);
      break;
    }
    case Outcome::changed:
      effects.push_back(LookAt{key.folder, key.path});
      retry_later(key);
      break;
    case Outcome::busy:
      retry_later(key);
      break;
    case Outcome::not_empty: {
      // Entries below that are not known to go: files written meanwhile, or such as cannot be synced.
      const unsigned failures = retries.count(key);
      if (failures >= 3)
        effects.push_back(LookAt{key.folder, key.path, true});
      if (failures >= 8 && has_only_held(key)) {
        hold_for_good(key);
        break;
      }
      if (failures == 8)
        stuck_at(key, "deleted elsewhere, but it has entries here that are not synced");
      retry_later(key);
      break;
    }
    case Outcome::blocked: {
      const std::string parent(parent_path(key.path));
      if (!parent.empty()) effects.push_back(LookAt{key.folder, parent});
      retry_later(key);
      break;
    }
    case Outcome::no_content:
      retry_later(key);
      break;
    case Outcome::full:
      stuck_at(key, kNoSpace, true);
      retry_later(key, tuning::retry_max_ms);
      break;
    case Outcome::unsupported:
    case Outcome::failed:
      stuck_at(key, result.problem);
      retry_later(key, tuning::retry_max_ms);
      break;
  }
  end_work(key);
}

// A directory that an apply has made to hold what it is about: nobody's version.
void Replica::Impl::made_parent(FolderId folder, const std::string& path) {
  PathEntry entry = index.get(folder, path).value_or(PathEntry{});
  if (const auto work = works.find({folder, path}); work != works.end()) work->second.remade = true;
  if (entry.held == Held::unpublished && !(entry.disk && entry.disk->state.present())) entry.held = Held::no;  // removed here, and needed again
  DiskState made;
  made.content = {.kind = Kind::directory, .mode = 0755};
  entry.disk = OnDisk{made, {}, {}, {}};
  heal_unpublished(entry);
  if (entry.held == Held::no) entry.held = due_hold(folder, path, entry);
  index.put(folder, path, entry);
  touch_parent(folder, path);
}

// A directory that was made only to hold children goes with the last of them, unless its own version has come meanwhile. The tombstone is
// older than any version, so that it takes nobody's directory away.
void Replica::Impl::drop_made_parent(FolderId folder, const std::string& path) {
  if (path.empty()) return;
  const auto entry = index.get(folder, path);
  if (!entry || !entry->disk || !entry->disk->state.present() || entry->disk->dot.seq > 0) return;
  if (entry->held != Held::no) return;
  if (index.has_live_child(folder, path)) return;
  if (entry->live) {  // its deletion, which had nothing to do when it came
    if (entry->live->content.kind == Kind::deleted) start_work(folder, path, {}, nullptr, nullptr);
    return;
  }
  Record record{.folder = folder, .path = path};
  record.hlc = Hlc{}.next();
  record.dot = next_dot();
  accept_own(std::move(record), *entry, entry->disk, std::nullopt);
}

// An application wrote between the check and the exchange: what came out is a version like any other, made
// without having seen ours.
void Replica::Impl::local_version_displaced(const PathKey& key, const DiskState& displaced,
                                            const std::optional<OnDisk>& before) {
  if (mode(key.folder) == FolderMode::receive_only) return keep_stray(key, displaced.content.hash);
  Record record{.folder = key.folder, .path = key.path, .content = displaced.content};
  Hlc above;
  if (before && before->dot.seq > 0) {
    record.context = before->context;
    record.context.raise(before->dot);
    if (before->state.content.kind == Kind::file) record.base = before->state.content.hash;
    above = before->hlc;
  }
  record.hlc = next_time(above);
  record.dot = next_dot();
  if (displaced.content.kind == Kind::file) {
    kept.emplace(key.folder, displaced.content.hash);
    (void)is_first_report(key, displaced.content.hash);
  }
  PathEntry entry = index.get(key.folder, key.path).value_or(PathEntry{});
  const std::optional<OnDisk> disk = entry.disk;
  accept_own(std::move(record), std::move(entry), disk, std::nullopt);
}

void Replica::Impl::end_work(const PathKey& key) {
  const auto it = works.find(key);
  if (it == works.end()) return;
  const Work done = std::move(it->second);
  works.erase(it);
  bulk_works -= done.bulk;
  held_bytes -= (done.bytes && done.target.content.size > 0 ? done.bytes->size() : 0) +
                bytes_of(done.delta) + bytes_of(done.next_bytes) + bytes_of(done.next_delta);
  const Hash128& hash = done.target.content.hash;
  bool was_staging = false;
  if (const auto owner = staging.find(hash); owner != staging.end() && owner->second == key) {
    was_staging = true;
    staging.erase(owner);
    const auto [first, last] = staging_waiters.equal_range(hash);
    std::vector<PathKey> waiting;
    for (auto w = first; w != last; ++w) waiting.push_back(w->second);
    staging_waiters.erase(first, last);
    for (const PathKey& other : waiting) {
      if (const auto w = works.find(other); w != works.end() && !w->second.applying) {
        w->second.local_asked = false;  // the path just finished may be the source now
        next_step(other, w->second);
      }
    }
  }
  go_on_relaying(hash, true);
  if (done.again) effects.push_back(LookAt{key.folder, key.path});
  const auto entry = index.get(key.folder, key.path);
  if (was_staging && (!entry || !entry->live || entry->live->content.hash != hash)) drop_staged(key.folder, hash);
  if (entry && entry->pending() && !(entry->live->dot == done.target.dot)) {
    const bool fits = done.next_dot == entry->live->dot;
    start_work(key.folder, key.path, done.next_from, fits ? done.next_bytes : nullptr,
               fits ? done.next_delta : nullptr);
  }
  // Given up for a newer version that found no room: a pass over the backlog leaves it to the retries.
  if (retries.is_tried(key) && !works.contains(key)) retries.later(key, now.mono_ms + tuning::retry_min_ms);
}

// Something below a directory went: if the directory itself waits to be deleted, it may be empty now.
void Replica::Impl::hasten(FolderId folder, std::string_view directory) {
  retries.hasten({folder, std::string(directory)}, now.mono_ms + 10);
}

void Replica::Impl::retry_later(const PathKey& key, std::uint64_t min_ms) {
  if (planted(Fault::retry_forgotten)) return;
  if (retries.size() >= tuning::retries_max && !retries.contains(key)) {
    put_off(key.folder);
    return;
  }
  retries.failed(key, now.mono_ms, min_ms, tuning::retry_max_ms);
  if (const auto work = works.find(key); work != works.end())
    retries.set_since(key, work->second.bulk ? Retries::never : work->second.since_ms);
}

// ---- jobs come back
// ----------------------------------------------------------------------------------------------------------

template <class Map>
static std::optional<typename Map::mapped_type> take(Map& map, JobId id) {
  const auto it = map.find(id);
  if (it == map.end()) return std::nullopt;
  auto out = std::move(it->second);
  map.erase(it);
  return out;
}

void Replica::Impl::job_done(JobId id, FileOutcome& outcome) {
  if (const auto key = take(work_jobs, id)) {
    if (const auto* applied = std::get_if<ApplyResult>(&outcome)) return applied_work(*key, *applied);
    if (const auto* staged = std::get_if<Result<Staged>>(&outcome)) return content_staged(*key, *staged);
  } else if (const auto fetch = take(fetch_jobs, id)) {
    fetch_job_done(*fetch, outcome);
  } else if (const auto serving = take(serving_jobs, id)) {
    if (const auto* bytes = std::get_if<Result<Bytes>>(&outcome)) served(*serving, *bytes);
  } else if (publish_jobs.contains(id)) {
    if (const auto* delta = std::get_if<Result<Bytes>>(&outcome)) delta_made(id, *delta);
  } else if (const auto directory = take(time_jobs, id)) {
    if (const auto* print = std::get_if<Result<Fingerprint>>(&outcome)) time_restored(*directory, *print);
  } else if (const auto dropped = take(drop_jobs, id)) {
    drops.erase(*dropped);
  } else if (auto job = take(version_jobs, id)) {
    version_job_done(std::move(*job), outcome);
  }
}

void Replica::Impl::version_job_done(VersionJob job, const FileOutcome& outcome) {
  const Record& loser = job.entry.loser;
  const auto entry = index.conflict(loser.folder, loser.path, loser.dot);
  const PathKey key{loser.folder, loser.path};
  if (!entry || entry->resolved || !owns(loser.folder)) return stuck.contains(key) ? void() : no_problem(key);
  const bool* has = std::get_if<bool>(&outcome);
  const auto* copied = std::get_if<Result<Staged>>(&outcome);
  if ((has && *has) || (copied && *copied)) {
    if (copied) no_problem(key);
    return;
  }
  const bool full = copied && copied->error().code == Error::Code::full;
  if (full || (copied && !job.copying)) {  // at once, they would be fetched and thrown away without end
    problem(key, full ? kNoSpace : copied->error().message);
    later_versions.emplace(now.mono_ms + tuning::retry_max_ms, job.entry);
    return;
  }
  if (!job.copying) {
    const auto sources = index.paths_with(loser.folder, loser.content.hash, 1);
    if (!sources.empty()) {
      const JobId id =
          start_job(loser.folder, "#" + to_hex(loser.content.hash), loser.content.size > limits::range_bytes,
                    StageCopyJob{loser.content.hash, loser.content.size, sources.front(), true});
      version_jobs[id] = {job.entry, true};
      return;
    }
  } else if (has == nullptr && index.paths_with(loser.folder, loser.content.hash, 1).empty()) {
    version_queue.push_back(
        job.entry);  // it was moved away meanwhile, perhaps to where it belongs: look once more
    return;
  }
  start_fetch({.purpose = Fetch::For::version,
               .path = {loser.folder, loser.path},
               .hash = loser.content.hash,
               .size = loser.content.size},
              {});
}

}  // namespace syncline

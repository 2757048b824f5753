// After a loss of power the disk may show what the index has forgotten: files that applies placed, versions that were published, and such
// with only part of their bytes. What the first scan finds new is therefore no news yet. It is listed as distrusted (in the index, so that
// a kill -9 changes nothing), and judged by the mark that an apply leaves on what it makes and by what the members know, once all of them
// have told. What nothing explains is an application's work, and published then.
#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

namespace {

constexpr const char* kRecovery = "recovery";
constexpr std::size_t kJudgedAtOnce = 256;

std::uint64_t changed_ms(const Observation& o) {  // 0: too lately to be sure
  return static_cast<std::uint64_t>(std::max<std::int64_t>(o.disk.print.ctime_ns, 0) / 1'000'000);
}

bool same_bytes(const Content& a, const Content& b) { return a.kind == Kind::file && b.kind == Kind::file && a.hash == b.hash; }
bool same(const Content& a, const Content& b) { return same_but_for_mtime(a, b) && a.mtime_ns == b.mtime_ns; }

}  // namespace

void Replica::Impl::load_recovery() {
  if (index.after_power_loss()) index.put_meta(kRecovery, "1");
  const auto saved = index.meta(kRecovery);
  recovering = (saved && !saved->empty()) || index.distrusts_any();
}

// All that the linked members knew when the links came up; a member that does not come is not waited for for ever.
bool Replica::Impl::has_heard_members() {
  if (heard_members) return true;
  const std::vector<NodeId>& known = member_ids();
  const bool all = known.size() > 1 && std::all_of(known.begin(), known.end(), [this](const NodeId& m) {
    const auto link = links.find(m);
    return m == options.self || (link != links.end() && link->second.greeted && index.vector().covers(link->second.start_vector));
  });
  heard_members = all || now.mono_ms >= started_ms + tuning::hearing_ms;
  return heard_members;
}

// Looks once more at all that is distrusted, a slice at a time.
void Replica::Impl::tick_recovery() {
  if (!has_heard_members()) return;
  recovery_waits = false;
  for (const FolderId folder : options.folders) {
    if (!scanned.contains(folder)) {
      recovery_waits = true;
      continue;
    }
    std::string& at = distrusted_at[folder];
    const auto slice = index.distrusted(folder, at, kJudgedAtOnce);
    for (const std::string& path : slice) effects.push_back(LookAt{folder, path});
    if (slice.empty()) continue;
    at = slice.back();
    recovery_waits = false;
    return;
  }
  if (recovery_waits) return;
  recovering = false;
  index.put_meta(kRecovery, "");
}

// Whether what is seen may be left from before the loss of power; then it is listed.
bool Replica::Impl::is_suspect(const PathKey& key, const Observation& o, PathEntry& entry) {
  const bool present = o.state == Observation::State::present;
  if (key.path == kRootPath || (!present && o.state != Observation::State::absent)) return false;
  const bool first_scan = !scanned.contains(key.folder);
  const bool listed = index.is_distrusted(key.folder, key.path);
  if (!listed && !(recovering && first_scan)) return false;
  const std::uint64_t at_ms = changed_ms(o);
  // An absence has no time: it is fresh where something was seen before.
  const bool directory = present && o.disk.content.kind == Kind::directory;  // its time changes with what applies do in it
  const bool fresh = present ? !directory && (at_ms == 0 ? !first_scan : at_ms >= started_wall_ms) : suspects_seen.contains(key);
  if (fresh && listed) {  // an application's doing since the start
    if (present) entry.disk.reset();  // nobody knows what it had before its eyes
    settle_leftover(key, entry);
  }
  if (fresh || listed) return !fresh;
  // Gone since the index knew it: removed, by whomever. Saying so once more does no harm.
  if (!present && !intents.contains(key)) return false;
  if (present && entry.disk && same(entry.disk->state.content, o.disk.content)) return false;
  index.distrust(key.folder, key.path);
  return true;
}

void Replica::Impl::settle_leftover(const PathKey& key, const PathEntry& entry) {
  index.put(key.folder, key.path, entry);
  index.trust(key.folder, key.path);
  suspects_seen.erase(key);
}

// What is there is no version of anybody's: the live one takes its place. Where there is none, it goes.
void Replica::Impl::leave_to_live(const PathKey& key, const Observation& o, PathEntry& entry) {
  entry.disk = OnDisk{o.disk, {}, {}, {}};
  settle_leftover(key, entry);
  if (entry.live || index.has_live_child(key.folder, key.path) || mode(key.folder) == FolderMode::receive_only) return;
  Record record{.folder = key.folder, .path = key.path};
  record.hlc = Hlc{}.next();
  record.dot = next_dot();
  accept_own(std::move(record), entry, entry.disk, std::nullopt);
}

// True: the observation is dealt with, or waits for what the members know.
bool Replica::Impl::judge_leftover(const PathKey& key, const Observation& o, PathEntry& entry) {
  if ((!recovering && !index.distrusts_any()) || !is_suspect(key, o, entry)) return false;
  if (take_intent(key, o, entry)) return index.trust(key.folder, key.path), true;
  const bool heard = has_heard_members();
  if (o.state == Observation::State::absent) {
    if (heard) entry.disk.reset(), settle_leftover(key, entry);
    return true;
  }
  if (suspects_seen.size() < tuning::suspects_max) suspects_seen.insert(key);
  const Content& shown = o.disk.content;
  if (entry.live && same_but_for_mtime(entry.live->content, shown)) {
    const bool whole = same(entry.live->content, shown);
    entry.disk = whole ? OnDisk{o.disk, entry.live->dot, entry.live->context, entry.live->hlc} : OnDisk{o.disk, {}, {}, {}};
    return settle_leftover(key, entry), path_changed(key.folder, key.path), true;
  }
  if (entry.disk && same(entry.disk->state.content, shown)) {
    entry.disk->state = o.disk;
    return settle_leftover(key, entry), true;
  }
  if (o.mark && judge_by_mark(key, o, entry)) return true;
  const bool ours = is_damaged(o, entry) || (shown.kind == Kind::directory && above_an_intent(key));
  if (ours && (entry.live || heard)) return leave_to_live(key, o, entry), true;
  if (!heard) return true;
  if (is_former(key, o, entry)) return settle_leftover(key, entry), true;
  if (shown.kind == Kind::directory && entry.live) return leave_to_live(key, o, entry), true;
  if (entry.live && same_bytes(entry.live->content, shown))  // its mode was changed, by somebody who had it before him
    entry.disk = OnDisk{{entry.live->content, o.disk.print}, entry.live->dot, entry.live->context, entry.live->hlc};
  // Without marks nobody can tell it from what an apply has made: it yields to whatever the members have.
  publish_leftover(key, o, entry, !entry.live || (o.marks && shown.kind == Kind::file));
  return true;
}

// An apply made it, unless an application has written into it since: then the version that was there is known, at least.
bool Replica::Impl::judge_by_mark(const PathKey& key, const Observation& o, PathEntry& entry) {
  const VersionMark& mark = *o.mark;
  const bool directory = o.disk.content.kind == Kind::directory;
  const bool told = mark.dot.seq == 0 || index.vector().covers(mark.dot);
  const bool heard = has_heard_members();
  const bool torn = !directory && mark.untouched && !mark.whole;
  if (torn || (directory && told)) {
    if (entry.live || heard) leave_to_live(key, o, entry);
    return true;
  }
  const bool ours = directory || mark.untouched;
  if (ours && !told && !heard) return true;
  const Dot known = entry.live ? entry.live->dot : Dot{};
  OnDisk there{o.disk, mark.dot, known == mark.dot ? entry.live->context : VersionVector{}, mark.hlc};
  if (ours && told) {
    entry.disk = std::move(there);
    return settle_leftover(key, entry), true;
  }
  if (!heard) return true;
  there.state.content.hash = known == mark.dot ? entry.live->content.hash : Hash128{};
  entry.disk = std::move(there);
  if (!ours) return false;
  publish_leftover(key, o, entry, false);  // nobody else has it any more: it lives on as this node's
  return true;
}

// Same time as a version that was here, but other bytes: they were on their way to the disk.
bool Replica::Impl::is_damaged(const Observation& o, const PathEntry& entry) const {
  const Content& shown = o.disk.content;
  const auto is_own = [&](const Dot& dot) { return dot.actor != options.actor && node_of(dot.actor) == options.self; };
  const auto torn = [&](const Content& c) {
    return c.kind == Kind::file && shown.kind == Kind::file && c.mtime_ns == shown.mtime_ns && c.hash != shown.hash;
  };
  // Its applications have written later, as the members know: this is what they found, or had half written.
  const auto superseded = [&](const Content& c, const Dot& dot, Hlc hlc) {
    return (c.kind == Kind::file || c.kind == Kind::symlink) && !same_bytes(c, shown) && is_own(dot) && shown.mtime_ns <= c.mtime_ns &&
           changed_ms(o) <= hlc.ms();
  };
  // What an apply has made has a mark, where there are such.
  const bool was_here = entry.live && (!o.marks || is_own(entry.live->dot));
  if (entry.live && ((was_here && torn(entry.live->content)) || superseded(entry.live->content, entry.live->dot, entry.live->hlc))) return true;
  if (!entry.disk || !entry.disk->state.present()) return false;
  const Content& known = entry.disk->state.content;
  const bool was_synced = entry.disk->state.print.ctime_ns != 0;
  return (torn(known) && !was_synced) || superseded(known, entry.disk->dot, entry.disk->hlc);
}

// A version that the members know: it has lost, or the live version's writer had it before him.
bool Replica::Impl::is_former(const PathKey& key, const Observation& o, PathEntry& entry) const {
  for (const Conflict& c : index.conflicts_of(key.folder, key.path)) {
    if (!same_but_for_mtime(c.loser.content, o.disk.content)) continue;
    entry.disk = OnDisk{o.disk, c.loser.dot, c.loser.context, c.loser.hlc};
    return true;
  }
  if (!entry.live || o.disk.content.kind != Kind::file || entry.live->base != o.disk.content.hash) return false;
  entry.disk = OnDisk{o.disk, {}, {}, {}};
  return true;
}

// `at_its_time`: as of when the kernel says that it was written; else it is older than whatever it was not written upon.
void Replica::Impl::publish_leftover(const PathKey& key, const Observation& o, PathEntry entry, bool at_its_time) {
  if (mode(key.folder) == FolderMode::receive_only) {
    index.trust(key.folder, key.path);
    suspects_seen.erase(key);
    return keep_unpublished(key.folder, o, std::move(entry));
  }
  Record record{.folder = key.folder, .path = key.path, .content = o.disk.content};
  Hlc above;
  if (entry.disk && entry.disk->dot.seq > 0) {
    record.context = entry.disk->context;
    record.context.raise(entry.disk->dot);
    if (entry.disk->state.content.kind == Kind::file) record.base = entry.disk->state.content.hash;
    above = entry.disk->hlc;
  }
  record.hlc = above.next();
  if (at_its_time) record.hlc = changed_ms(o) == 0 ? next_time(above) : std::max(record.hlc, Hlc::at_ms(std::min(changed_ms(o), now.wall_ms)));
  clock.observe(record.hlc);
  record.dot = next_dot();
  keep_signature(o, entry);
  index.trust(key.folder, key.path);
  suspects_seen.erase(key);
  const OnDisk disk{o.disk, record.dot, record.context, record.hlc};
  std::optional<Entries::Attachment> attachment;
  if (o.content && !o.content->empty()) attachment = Entries::Attachment{Encoding::raw, *o.content};
  accept_own(std::move(record), std::move(entry), disk, std::move(attachment));
}

}  // namespace syncline

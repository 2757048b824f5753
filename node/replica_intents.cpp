// What is being applied is in the index before it happens: after a kill -9 the tree may show it though the index does not say so, and it
// must not pass for an application's work.
#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

static std::string intent_name(unsigned slot) { return "apply/" + std::to_string(slot); }

void Replica::Impl::load_intents() {
  for (unsigned slot = 0; slot < tuning::intents_max; ++slot) {
    const auto saved = index.meta(intent_name(slot));
    if (!saved || saved->empty()) {
      free_slots.push_back(slot);
      continue;
    }
    Reader r(*saved);
    Record record = read_record(r);
    if (!r.done()) {
      free_slot(slot);
      continue;
    }
    PathKey key{record.folder, record.path};
    intents.emplace(std::move(key), Intent{std::move(record), slot});
  }
}

void Replica::Impl::free_slot(unsigned slot) {
  index.put_meta(intent_name(slot), "");
  free_slots.push_back(slot);
}

// The first scan is over; what it did not come to, or what was busy then, is looked at.
void Replica::Impl::look_for_intents() {
  for (const auto& [key, intent] : intents) effects.push_back(LookAt{key.folder, key.path});
}

// A run before was changing this path when it died. True if what is there is explained by that; else `entry` may know better what there
// was, and `unsure` says that this is not certain.
bool Replica::Impl::take_intent(const PathKey& key, const Observation& o, PathEntry& entry) {
  using State = Observation::State;
  const auto [first, last] = intents.equal_range(key);
  if (first == last || (o.state != State::present && o.state != State::absent && o.state != State::unchanged)) return false;
  std::vector<Record> targets;
  for (auto it = first; it != last; ++it) {
    free_slot(it->second.slot);
    targets.push_back(std::move(it->second.target));
  }
  intents.erase(first, last);
  if (o.state == State::unchanged) return false;
  const Content& shown = o.disk.content;
  for (const Record& target : targets) {
    const bool deletion = target.content.kind == Kind::deleted;
    if (deletion != (o.state == State::absent) || (!deletion && !same_but_for_mtime(target.content, shown))) continue;
    if (deletion) {
      entry.disk.reset();
    } else if (target.content.mtime_ns == shown.mtime_ns) {
      entry.disk = OnDisk{o.disk, target.dot, target.context, target.hlc};
    } else if (shown.kind == Kind::directory) {  // an entry came or went since, perhaps by our doing: the time is still to be set
      if (entry.disk)
        entry.disk->state = o.disk;
      else
        entry.disk = OnDisk{o.disk, {}, {}, {}};
    } else if (entry.disk && entry.disk->state.content.mtime_ns == shown.mtime_ns) {
      entry.disk->state = o.disk;  // between the change of the mode and that of the time
    } else {  // an application touched it since: that is a version on top of ours
      entry.disk = OnDisk{{target.content, o.disk.print}, target.dot, target.context, target.hlc};
      index.put(key.folder, key.path, entry);
      return false;
    }
    index.put(key.folder, key.path, entry);
    if (!deletion) made_parents_of(key);
    return true;
  }
  for (const Record& target : targets) unsure = std::max(unsure.value_or(Hlc{}), target.hlc);
  return false;
}

// The directories above it were made along with it, where the index knows of none: it may be looked at before they are.
void Replica::Impl::made_parents_of(const PathKey& key) {
  for (std::string_view above = parent_path(key.path); !above.empty() && key.path != kRootPath; above = parent_path(above)) {
    const auto entry = index.get(key.folder, above);
    if (entry && entry->disk) return;
    made_parent(key.folder, std::string(above));
  }
}

// What is there is nobody's business any more.
void Replica::Impl::forget_intents(const PathKey& key) {
  const auto [first, last] = intents.equal_range(key);
  for (auto it = first; it != last; ++it) free_slot(it->second.slot);
  intents.erase(first, last);
}

// Some path below `key` was being made: then so was this directory, perhaps.
bool Replica::Impl::above_an_intent(const PathKey& key) const {
  const auto next = intents.lower_bound({key.folder, key.path + "/"});
  return next != intents.end() && next->first.folder == key.folder && next->first.path.starts_with(key.path + "/");
}

// The owner commits before the job starts: whatever a crash leaves of the apply is then known for ours. False: no slot is free (after a
// series of crashes, until the first scan is over).
bool Replica::Impl::remember_intent(Work& work) {
  if (free_slots.empty()) return false;
  work.slot = free_slots.back();
  free_slots.pop_back();
  Writer w;
  write(w, work.target);
  index.put_meta(intent_name(*work.slot), w.data());
  return true;
}

void Replica::Impl::forget_intent(Work& work) {
  if (!work.slot) return;
  free_slot(*work.slot);
  work.slot.reset();
}

}  // namespace syncline

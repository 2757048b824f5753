// Pending paths that cannot be begun yet: before the first scan has looked at them, and where there is no room.
#include "node/replica_impl.h"

namespace syncline {

// False: too many wait already.
bool Replica::Impl::await_look(const PathKey& key, Awaited what) {
  const bool fresh = !awaited.contains(key);
  if (!fresh && !what.bytes && !what.delta) return true;
  if (fresh && (stopped.contains(key.folder) || awaited.size() >= tuning::works_max)) return false;
  if (fresh) effects.push_back(LookAt{key.folder, key.path});
  drop_awaited(key);
  const std::size_t held = bytes_of(what.bytes) + bytes_of(what.delta);
  if (held_bytes + held > tuning::held_bytes_max) what.bytes = what.delta = nullptr;
  held_bytes += bytes_of(what.bytes) + bytes_of(what.delta);
  awaited[key] = std::move(what);
  return true;
}

// The end of every observation: what is to be done to the path can be done now.
void Replica::Impl::looked_at(const PathKey& key) {
  const auto it = awaited.find(key);
  if (it == awaited.end() && scanned.contains(key.folder)) return start_work(key.folder, key.path);
  const Awaited what = it == awaited.end() ? Awaited{} : it->second;
  drop_awaited(key);
  const auto entry = index.get(key.folder, key.path);
  if (!owns(key.folder) || !entry || !entry->pending()) return;
  const bool fits = what.dot == entry->live->dot;
  begin_work(key, *entry, what.from, fits ? what.bytes : nullptr, fits ? what.delta : nullptr);
}

void Replica::Impl::drop_awaited(const PathKey& key) {
  const auto it = awaited.find(key);
  if (it == awaited.end()) return;
  held_bytes -= bytes_of(it->second.bytes) + bytes_of(it->second.delta);
  awaited.erase(it);
}

// The scan is over, or there will be none for now.
void Replica::Impl::end_awaiting(FolderId folder) {
  std::vector<PathKey> keys;
  for (const auto& [key, what] : awaited) {
    if (key.folder == folder) keys.push_back(key);
  }
  for (const PathKey& key : keys) {
    if (scanned.contains(folder) && !stopped.contains(folder) && clock_problem.empty()) {
      looked_at(key);
    } else {
      drop_awaited(key);
      put_off(folder);
    }
  }
}

// A path found no room now. The pass under way may be past it already: another one follows.
void Replica::Impl::put_off(FolderId folder, bool merely_large) {
  backlog.insert(folder);
  passes[folder].missed = true;
  if (merely_large) return;
  passes[folder].crowded = true;
  crowded_since.try_emplace(folder, now.mono_ms);
}

// Takes up pending paths that found no room when they came: passes over the pending list in tree order, a slice at a time, until one pass
// has met nothing that it could not start.
void Replica::Impl::next_backlog() {
  if (backlog.empty() || now.mono_ms < backlog_at_ms) return;
  for (const FolderId folder : std::vector<FolderId>(backlog.begin(), backlog.end())) {
    if (stopped.contains(folder)) continue;
    Pass& pass = passes[folder];
    const std::size_t before = works.size();
    bool more = true;
    while (more && works.size() < tuning::works_max * 3 / 4) {
      const auto slice = index.pending(folder, pass.cursor, 256);
      for (const std::string& path : slice) {
        const PathKey key{folder, path};
        pass.cursor = path;
        if (works.contains(key) || retries.contains(key)) continue;
        start_work(folder, path);
        pass.missed |= !works.contains(key);
      }
      more = slice.size() >= 256;
    }
    if (more) continue;  // the rest of this pass when there is room
    if (!pass.missed) backlog.erase(folder);
    if (!pass.crowded) crowded_since.erase(folder);
    pass = {};
    backlog_at_ms = now.mono_ms + (works.size() > before ? 10 : 200);
  }
}

}  // namespace syncline

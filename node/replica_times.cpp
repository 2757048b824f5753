#include "node/replica_impl.h"

namespace syncline {

void Replica::Impl::touch_parent(FolderId folder, const std::string& path) {
  if (path == kRootPath) return;
  const std::string_view parent = parent_path(path);
  touch({folder, std::string(parent.empty() ? kRootPath : parent)});
}

void Replica::Impl::touch(const PathKey& directory) {
  const auto [it, fresh] = touched.try_emplace(directory, 0);
  if (fresh || it->second == UINT64_MAX) it->second = now.mono_ms + tuning::retry_min_ms;
}

// Sets back the mtimes that our own changes of entries disturbed, once a directory's burst is over.
void Replica::Impl::restore_times() {
  for (auto it = touched.begin(); it != touched.end();) {
    const auto [key, at] = *it;
    if (now.mono_ms < at) {
      ++it;
      continue;
    }
    const auto entry = index.get(key.folder, key.path);
    const bool directory = entry && entry->disk && entry->disk->state.content.kind == Kind::directory;
    if (!directory || works.contains(key)) {
      it = directory ? std::next(it) : touched.erase(it);
      continue;
    }
    if (entry->disk->dot.seq == 0) {  // no record to take the time from, yet
      it = touched.erase(it);
      continue;
    }
    it->second = UINT64_MAX;  // until the job is done, observations of it are not believed
    time_jobs[start_job(key.folder, key.path, false,
                        RestoreTimeJob{key.path, entry->disk->state.content.mtime_ns})] = key;
    ++it;
  }
}

void Replica::Impl::time_restored(const PathKey& key, const Result<Fingerprint>& print) {
  const auto it = touched.find(key);
  if (it != touched.end() && it->second == UINT64_MAX) touched.erase(it);
  if (!print) return;
  auto entry = index.get(key.folder, key.path);
  if (!entry || !entry->disk || entry->disk->state.content.kind != Kind::directory) return;
  entry->disk->state.print = *print;
  index.put(key.folder, key.path, *entry);
  effects.push_back(LookAt{key.folder, key.path});  // its own changes meanwhile were not looked at
}

}  // namespace syncline

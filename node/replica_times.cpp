#include "node/replica_impl.h"

namespace syncline {

void Replica::Impl::touch_parent(FolderId folder, const std::string& path) {
  if (path == kRootPath) return;
  const std::string_view parent = parent_path(path);
  touch({folder, std::string(parent.empty() ? kRootPath : parent)});
}

void Replica::Impl::touch(const PathKey& directory) {
  if (touched.at_ms(directory) == DueTimes::never) touched.set(directory, now.mono_ms + tuning::retry_min_ms);
}

// Sets back the mtimes that our own changes of entries disturbed, once a directory's burst is over.
void Replica::Impl::restore_times() {
  for (const PathKey& key : touched.take_due(now.mono_ms)) {
    if (works.contains(key)) {
      touched.set(key, now.mono_ms + tuning::retry_min_ms);
      continue;
    }
    const auto entry = index.get(key.folder, key.path);
    const bool directory = entry && entry->disk && entry->disk->state.content.kind == Kind::directory;
    if (!directory || entry->disk->dot.seq == 0) {  // no record to take the time from, yet
      touched.erase(key);
      continue;
    }
    // Until the job is done it is never due, and observations of it are not believed.
    time_jobs[start_job(key.folder, key.path, false,
                        RestoreTimeJob{key.path, entry->disk->state.content.mtime_ns})] = key;
  }
}

void Replica::Impl::time_restored(const PathKey& key, const Result<Fingerprint>& print) {
  if (touched.at_ms(key) == DueTimes::never) touched.erase(key);
  if (!print) return;
  auto entry = index.get(key.folder, key.path);
  if (!entry || !entry->disk || entry->disk->state.content.kind != Kind::directory) return;
  entry->disk->state.print = *print;
  index.put(key.folder, key.path, *entry);
  effects.push_back(LookAt{key.folder, key.path});  // its own changes meanwhile were not looked at
}

}  // namespace syncline

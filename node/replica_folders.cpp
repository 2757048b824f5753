// Folders that come and go while the node runs. Records go to every member, whichever folders it has; bytes only to those that have the folder.
#include "node/replica_impl.h"

namespace syncline {

static constexpr std::size_t kForgottenAtOnce = 2000;  // entries of the index

template <class Map, class Is>
static std::vector<typename Map::key_type> keys_where(const Map& map, Is is) {
  std::vector<typename Map::key_type> keys;
  for (const auto& [key, value] : map) {
    if (is(key, value)) keys.push_back(key);
  }
  return keys;
}

// Nobody here wants the path any more; its content may be on its way.
void Replica::Impl::abandon(const PathKey& key) {
  const auto work = works.find(key);
  if (work == works.end() || work->second.applying) return;
  const auto fetch = fetches.find(work->second.target.content.hash);
  if (fetch != fetches.end() && fetch->second.purpose == Fetch::For::work && fetch->second.path == key) {
    forget_wants(fetch->second);
    fetches.erase(fetch);
  }
  end_work(key);
}

void Replica::Impl::leave_folder(FolderId folder) {
  const auto of_it = [folder](const PathKey& key, const auto&) { return key.folder == folder; };
  std::erase(options.folders, folder);
  options.modes.erase(folder);
  for (const PathKey& key : keys_where(works, of_it)) abandon(key);
  for (const Hash128& hash : keys_where(fetches, [&](const Hash128&, const Fetch& f) { return f.path.folder == folder; })) {
    forget_wants(fetches.at(hash));
    fetches.erase(hash);
  }
  for (const PathKey& key : keys_where(awaited, of_it)) drop_awaited(key);
  std::vector<PathKey> tried;
  retries.each([&](const PathKey& key, std::uint64_t) {
    if (key.folder == folder) tried.push_back(key);
  });
  for (const PathKey& key : tried) retries.erase(key);
  std::erase_if(version_queue, [&](const Conflict& c) { return c.loser.folder == folder; });
  std::erase_if(later_versions, [&](const auto& v) { return v.second.loser.folder == folder; });
  std::erase_if(drops, [&](const auto& d) { return d.first.first == folder && !d.second.under_way; });
  std::erase_if(kept, [&](const Kept& k) { return k.first == folder; });
  std::erase_if(stuck, [&](const auto& s) { return s.first.folder == folder; });
  std::erase_if(problems, [&](const auto& p) { return p.first.folder == folder; });
  std::erase_if(suspects_seen, [&](const PathKey& key) { return key.folder == folder; });
  std::erase_if(look_after_applies, [&](const PathKey& key) { return key.folder == folder; });
  for (const PathKey& key : keys_where(intents, of_it)) forget_intents(key);
  rules.erase(folder), rules_unsettled.erase(folder), sweeps.erase(folder);
  passes.erase(folder), backlog.erase(folder), crowded_since.erase(folder), distrusted_at.erase(folder);
  stopped.erase(folder), paused.erase(folder), scanned.erase(folder);
}

void Replica::add_folder(FolderId folder, FolderMode mode, Now now) {
  Impl& r = *impl_;
  r.now = now;
  if (r.owns(folder)) return;
  r.options.folders.push_back(folder);
  r.options.modes[folder] = mode;
  if (r.index.counts(folder).pending > 0) r.backlog.insert(folder), r.crowded_since[folder] = now.mono_ms;
  for (const Conflict& c : r.index.conflicts(folder, false, SIZE_MAX)) r.ensure_version(c);
  r.lag.behind_start = true;
  r.lag.due_ms = 0;
}

void Replica::remove_folder(FolderId folder, Now now) {
  Impl& r = *impl_;
  r.now = now;
  if (!r.owns(folder)) return;
  r.leave_folder(folder);
  for (auto& [key, p] : r.probes) p.never |= p.probe.folder == folder;
  r.answer_probes();
  for (auto& [id, wait] : r.waits) {
    if (wait.path.folder != folder || wait.over) continue;
    wait.over = true;
    r.effects.push_back(WaitOver{id});
  }
  const auto of_it = [folder](const auto& look) { return look.first.folder == folder; };
  for (auto it = r.finds.looks.begin(); it != r.finds.looks.end(); it = of_it(*it) ? r.finds.looks.erase(it) : std::next(it)) {
    if (!of_it(*it)) continue;
    for (const auto* questions : {&it->second.now, &it->second.later}) {
      for (const DiskQuestion& question : *questions) {
        if (question.peer.is_zero()) continue;  // its find ends below
        --r.finds.questions;
        r.answer_question(question, {.what = LookupAnswer::What::unsure});
      }
    }
  }
  for (const std::uint64_t id : keys_where(r.finds.all, [&](std::uint64_t, const Find& f) { return f.path.folder == folder; })) {
    if (Find& find = r.finds.all.at(id); find.state == FindView::State::under_way) r.end_find(id, find, FindView::State::unavailable);
  }
}

bool Replica::is_busy(FolderId folder) const {
  const auto of_it = [folder](const auto& item) { return item.first.folder == folder; };
  const Impl& r = *impl_;
  const auto filing = [&](const auto& job) { return job.second.entry.loser.folder == folder; };
  return std::any_of(r.works.begin(), r.works.end(), of_it) || std::any_of(r.publishing.begin(), r.publishing.end(), of_it) ||
         std::any_of(r.version_jobs.begin(), r.version_jobs.end(), filing);
}

std::string Replica::forget_disk(FolderId folder, const std::string& after) {
  Index& index = impl_->index;
  const auto slice = index.below(folder, "", after, kForgottenAtOnce);
  for (const auto& [path, entry] : slice) {
    if (entry.disk || entry.held != Held::no) index.put(folder, path, PathEntry{entry.live, std::nullopt});
    if (index.is_distrusted(folder, path)) index.trust(folder, path);
  }
  return slice.empty() ? std::string() : slice.back().first;
}

}  // namespace syncline

#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

using State = FindView::State;

static bool is_live(const std::optional<PathEntry>& entry) {
  return entry && entry->live && entry->live->content.kind != Kind::deleted;
}

// ---- a reader's path, from its miss to its end
// -------------------------------------------------------------------------------------------------------------

void Replica::Impl::begin_find(std::uint64_t id, Find& find) {
  find.second_row = false;
  find.waiting.insert(options.self);
  judge_find(id, find);
}

// What is known by now, and what to do about it. `just_changed`: the path is as the index says at this very
// moment.
void Replica::Impl::judge_find(std::uint64_t id, Find& find, bool just_changed) {
  if (find.second_row || find.state != State::under_way) return;
  if (stopped.contains(find.path.folder)) {
    find.silent.insert(options.self);
    return end_find(id, find, State::unavailable);
  }
  const auto entry = index.get(find.path.folder, find.path.path);
  if (is_withheld(find.path, entry)) return end_find(id, find, State::nowhere);
  const bool live = is_live(entry);
  if (live && entry->pending()) return bring(find);
  if (live && (just_changed || !find.waiting.contains(options.self))) return end_find(id, find, State::here);
  if (!find.looking) {
    find.looking = true;
    want_look(find.path, {{}, id});
  }
  if (live) return;
  if (!find.asked) ask_members(id, find);
  // Held, and the path is not live all the same: it was deleted since.
  const bool coming = std::any_of(find.told.begin(), find.told.end(),
                                  [&](const Dot& dot) { return !index.vector().covers(dot); });
  if (coming || !find.waiting.empty()) return;
  end_find(id, find, find.silent.empty() ? State::nowhere : State::unavailable);
}

void Replica::Impl::end_find(std::uint64_t id, Find& find, State state) {
  find.state = state;
  effects.push_back(FindOver{id});
  if (state == State::nowhere) remember_miss(find.path);
  if (find.second_row) {
    finds.second_row.erase(find.path);
    return;
  }
  finds.first_row.erase(find.path);
  const auto behind = finds.second_row.find(find.path);
  if (behind == finds.second_row.end()) return;
  const std::uint64_t next = behind->second;
  Find& following = finds.all.at(next);
  if (state == State::here) return end_find(next, following, State::here);
  finds.second_row.erase(behind);
  finds.first_row[following.path] = next;
  begin_find(next, following);
}

// Ahead of all that nobody waits for.
void Replica::Impl::bring(Find& find) {
  const PathKey& key = find.path;
  if (works.contains(key)) return;
  if (!find.hastened) retries.erase(key);
  find.hastened = true;
  if (!retries.contains(key)) start_work(key.folder, key.path);
}

void Replica::Impl::find_changed(const PathKey& key) {
  if (!finds.misses.empty()) finds.misses.erase(key);
  if (const auto it = finds.first_row.find(key); it != finds.first_row.end())
    judge_find(it->second, finds.all.at(it->second), true);
}

void Replica::Impl::tick_finds() {
  if (finds.all.empty()) return;
  std::vector<std::uint64_t> under_way;
  for (const auto& [id, find] : finds.all) {
    if (find.state == State::under_way) under_way.push_back(id);
  }
  for (const std::uint64_t id : under_way) {
    Find& find = finds.all.at(id);
    if (find.state != State::under_way) continue;
    if (now.mono_ms >= find.until_ms) {
      find.silent.merge(find.waiting);
      end_find(id, find, State::unavailable);
    } else if (find.second_row) {
      continue;
    } else if (find.asked && !find.waiting.empty() && now.mono_ms >= find.lookup_until_ms) {
      find.silent.merge(find.waiting);
      find.waiting.clear();
      judge_find(id, find);
    } else if ((find.hastened && !works.contains(find.path)) || stopped.contains(find.path.folder)) {
      judge_find(id, find);
    }
  }
}

std::uint64_t Replica::Impl::next_find_ms() const {
  std::uint64_t due = UINT64_MAX;
  for (const auto& [id, find] : finds.all) {
    if (find.state != State::under_way) continue;
    due = std::min(due, find.until_ms);
    if (find.asked && !find.waiting.empty()) due = std::min(due, find.lookup_until_ms);
  }
  return due;
}

// ---- what was found nowhere
// --------------------------------------------------------------------------------------------------------------------

bool Replica::Impl::missed_lately(const PathKey& key) {
  const auto it = finds.misses.find(key);
  return it != finds.misses.end() && now.mono_ms < it->second.since_ms + tuning::miss_ms &&
         it->second.count >= tuning::misses_asked;
}

void Replica::Impl::remember_miss(const PathKey& key) {
  const auto old = [&](const Finds::Miss& miss) { return now.mono_ms >= miss.since_ms + tuning::miss_ms; };
  if (finds.misses.size() >= tuning::misses_max && !finds.misses.contains(key)) {
    std::erase_if(finds.misses, [&](const auto& m) { return old(m.second); });
    if (finds.misses.size() >= tuning::misses_max) finds.misses.clear();
  }
  Finds::Miss& miss = finds.misses[key];
  if (old(miss)) miss = {now.mono_ms, 0};
  ++miss.count;
}

// ---- the public face
// ---------------------------------------------------------------------------------------------------------------------------

Result<std::uint64_t> Replica::start_find(FolderId folder, const std::string& path,
                                          std::vector<NodeId> joined, Now now) {
  Impl& r = *impl_;
  r.now = now;
  const PathKey key{folder, path};
  const auto first = r.finds.first_row.find(key);
  const auto second = r.finds.second_row.find(key);
  // Nothing was asked yet, and what the first waits for is what this one wants.
  if (first != r.finds.first_row.end() && !r.finds.all.at(first->second).looking &&
      !r.finds.all.at(first->second).asked)
    return first->second;
  if (second != r.finds.second_row.end()) return second->second;
  if (r.finds.all.size() >= tuning::finds_max)
    return fail(Error::Code::full, "too many missing files are looked for at once");
  const std::uint64_t id = r.finds.next_id++;
  Find& find = r.finds.all[id];
  find.path = key;
  find.members = std::move(joined);
  find.until_ms = now.mono_ms + limits::find_timeout_ms;
  if (r.missed_lately(key)) {
    find.state = State::nowhere;
    r.effects.push_back(FindOver{id});
  } else if (first != r.finds.first_row.end()) {
    find.second_row = true;
    r.finds.second_row[key] = id;
  } else {
    r.finds.first_row[key] = id;
    r.begin_find(id, find);
  }
  return id;
}

FindView Replica::find_state(std::uint64_t id) const {
  const auto it = impl_->finds.all.find(id);
  if (it == impl_->finds.all.end()) return {State::unavailable, {}};
  const Find& find = it->second;
  return {find.state, {find.silent.begin(), find.silent.end()}};
}

void Replica::end_find(std::uint64_t id) {
  const auto it = impl_->finds.all.find(id);
  if (it == impl_->finds.all.end()) return;
  if (it->second.state == State::under_way) impl_->end_find(id, it->second, State::unavailable);
  impl_->finds.all.erase(it);
}

}  // namespace syncline

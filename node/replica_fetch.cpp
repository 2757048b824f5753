#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

// ---- asking
// -----------------------------------------------------------------------------------------------------------------

void Replica::Impl::start_fetch(Fetch fetch, const NodeId& first) {
  const Hash128 hash = fetch.hash;
  if (const auto it = fetches.find(hash); it != fetches.end()) {
    // Only a conflict's bytes can meet a fetch of the same content: paths take turns by take_staging().
    if (it->second.purpose == Fetch::For::version && fetch.purpose == Fetch::For::work) {
      content_failed(fetch.path, tuning::retry_min_ms);
    } else if (const auto entry = fetch.purpose == Fetch::For::version
                                      ? index.conflicts_of(fetch.path.folder, fetch.path.path)
                                      : std::vector<Conflict>{};
               !entry.empty()) {
      for (const Conflict& c : entry) {
        if (!c.resolved && c.loser.content.hash == hash)
          later_versions.emplace(now.mono_ms + tuning::retry_max_ms / 5, c);
      }
    }
    return;
  }
  fetch.total = fetch.encoding == Encoding::delta ? limits::range_bytes : fetch.size;
  fetch.last_progress_ms = now.mono_ms;
  Fetch& f = fetches[hash] = std::move(fetch);
  if (links.contains(first)) f.peer = first;
  // Anything that takes more than one piece may have been begun before.
  if (f.encoding == Encoding::raw && f.size > limits::range_bytes) {
    fetch_jobs[start_job(f.path.folder, "#" + to_hex(hash), true, StageProgressJob{hash})] = hash;
    return;
  }
  f.progress_known = true;
  ask(f);
}

void Replica::Impl::choose_peer(Fetch& fetch) {
  std::vector<NodeId> likely, possible;
  const auto work = works.find(fetch.path);
  for (const auto& [node, peer] : links) {
    if (!peer.greeted || fetch.tried.contains(node)) continue;
    const bool knows = work != works.end() && peer.vector.covers(work->second.target.dot);
    (knows ? likely : possible).push_back(node);
  }
  const auto& candidates = likely.empty() ? possible : likely;
  fetch.peer = candidates.empty() ? NodeId{} : candidates[random() % candidates.size()];
}

// What a peer owes us is bounded, so that its queues are.
static bool credit_left(const Peer& peer) {
  std::uint64_t owed = 0;
  for (const auto& [id, want] : peer.wants) owed += want.length;
  return owed < tuning::bulk_credit_bytes;
}

// Asks for as much as the credit allows.
void Replica::Impl::ask(Fetch& f) {
  if (!f.progress_known || f.finishing) return;
  if (f.peer.is_zero() || !links.contains(f.peer)) choose_peer(f);
  const auto link = links.find(f.peer);
  if (link == links.end()) return;  // nobody left: fetch_timeouts() ends it
  Peer& peer = link->second;
  while (f.asked < f.total && credit_left(peer) &&
         peer.wants.size() + peer.outbox.size() < tuning::small_wants_max) {
    Want::Item item{.id = next_want++,
                    .folder = f.path.folder,
                    .path = f.path.path,
                    .hash = f.hash,
                    .size = f.size,
                    .base = f.base,
                    .encoding = f.encoding,
                    .offset = f.asked};
    item.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(f.total - f.asked, limits::range_bytes));
    f.asked += item.length;
    peer.wants[item.id] = {f.hash, item.offset, item.length};
    peer.outbox.push_back(std::move(item));
  }
}

void Replica::Impl::flush_wants() {
  for (auto& [node, peer] : links) {
    std::size_t first = 0;
    while (first < peer.outbox.size()) {
      Want m;
      std::size_t bytes = 0;
      while (first < peer.outbox.size() && m.items.size() < limits::wants_per_message &&
             bytes < tuning::entries_bytes) {
        bytes += 128 + peer.outbox[first].path.size();
        m.items.push_back(std::move(peer.outbox[first++]));
      }
      send(node, Lane::control, m);
    }
    peer.outbox.clear();
  }
}

void Replica::Impl::on(Peer& peer, Piece& m) {
  const auto want = peer.wants.find(m.id);
  if (want == peer.wants.end()) return;  // asked of a fetch that has ended
  const WantRef ref = want->second;
  peer.wants.erase(want);
  const auto it = fetches.find(ref.hash);
  if (it != fetches.end() && it->second.peer == peer.node) {
    Fetch& f = it->second;
    f.last_progress_ms = now.mono_ms;
    if (f.encoding == Encoding::delta) {
      f.total = m.total;
      const bool fits = ref.offset == f.delta.size() && m.total <= tuning::delta_cache_bytes &&
                        (!m.bytes.empty() || m.total == 0);
      if (!fits) return fetch_failed_at(ref.hash);
      f.delta += m.bytes;
      if (f.delta.size() < f.total) {
        f.asked = std::max<std::uint64_t>(f.asked, f.delta.size());
        ask(f);
      } else {
        end_fetch(ref.hash, true);
      }
    } else {
      if (m.total != f.size || m.bytes.size() != ref.length) return fetch_failed_at(ref.hash);
      const auto bytes = std::make_shared<const Bytes>(std::move(m.bytes));
      const std::string strand = "#" + to_hex(f.hash);
      if (f.size <= limits::range_bytes) {
        f.delta = *bytes;
        end_fetch(ref.hash, true);
      } else {
        ++f.writes;
        fetch_jobs[start_job(f.path.folder, strand, true, StageWriteJob{f.hash, ref.offset, bytes})] = f.hash;
      }
    }
  }
  // A place among this peer's wants is free.
  for (auto& [hash, other] : fetches) {
    if (other.peer == peer.node && other.asked < other.total) ask(other);
    if (peer.wants.size() + peer.outbox.size() >= tuning::small_wants_max) break;
  }
}

void Replica::Impl::on(Peer& peer, Unavailable& m) {
  const auto want = peer.wants.find(m.id);
  if (want == peer.wants.end()) return;
  const Hash128 hash = want->second.hash;
  peer.wants.erase(want);
  const auto it = fetches.find(hash);
  if (it != fetches.end() && it->second.peer == peer.node) fetch_failed_at(hash);
}

// The peer being asked cannot give it: the whole instead of the delta, then the next peer, then later.
void Replica::Impl::fetch_failed_at(Hash128 hash) {
  Fetch& f = fetches.at(hash);
  for (auto& [node, peer] : links) {
    std::erase_if(peer.wants, [&](const auto& w) { return w.second.hash == hash; });
    std::erase_if(peer.outbox, [&](const auto& w) { return w.hash == hash; });
  }
  f.delta.clear();
  f.last_progress_ms = now.mono_ms;
  if (f.encoding == Encoding::delta) {
    const NodeId peer = f.peer;
    Fetch whole{.purpose = f.purpose, .path = f.path, .hash = f.hash, .size = f.size};
    fetches.erase(hash);
    return start_fetch(std::move(whole), peer);
  }
  f.tried.insert(f.peer);
  f.peer = {};
  f.asked = f.written;  // writes under way are of the front part and still count
  if (f.writes > 0) return;
  choose_peer(f);
  if (f.peer.is_zero()) return end_fetch(hash, false);
  f.progress_known = f.size <= limits::range_bytes;
  if (f.progress_known)
    f.asked = 0, ask(f);
  else
    fetch_jobs[start_job(f.path.folder, "#" + to_hex(hash), true, StageProgressJob{hash})] = hash;
}

void Replica::Impl::fetch_job_done(const Hash128& hash, FileOutcome& outcome) {
  const auto it = fetches.find(hash);
  if (it == fetches.end()) return;
  Fetch& f = it->second;
  if (const auto* progress = std::get_if<StageProgress>(&outcome)) {
    f.progress_known = true;
    f.written = f.asked = std::min(progress->have_bytes, f.size);
    if (f.written < f.size) return ask(f);
  } else if (auto* staged = std::get_if<Result<Staged>>(&outcome)) {
    if (f.finishing) {
      if (*staged) {
        if (const auto w = works.find(f.path); w != works.end() && f.purpose == Fetch::For::work)
          w->second.signature = (*staged)->signature;
        return end_fetch(hash, true);
      }
      f.finishing = false;
      f.written = f.asked = 0;
      return fetch_failed_at(hash);
    }
    --f.writes;
    if (!*staged) {
      problem(f.path.path, staged->error().message);
      return end_fetch(hash, false);
    }
    f.written = std::min(f.size, f.written + limits::range_bytes);
    f.last_progress_ms = now.mono_ms;
    if (f.peer.is_zero() && f.writes == 0) return fetch_failed_at(hash);
    if (f.written < f.size) return ask(f);
  }
  if (f.finishing || f.writes > 0) return;
  f.finishing = true;
  fetch_jobs[start_job(f.path.folder, "#" + to_hex(hash), true,
                       StageFinishJob{hash, f.size, f.purpose == Fetch::For::version})] = hash;
}

void Replica::Impl::end_fetch(const Hash128& hash, bool ok) {
  const auto it = fetches.find(hash);
  Fetch f = std::move(it->second);
  fetches.erase(it);
  for (auto& [node, peer] : links) {
    std::erase_if(peer.wants, [&](const auto& w) { return w.second.hash == hash; });
    std::erase_if(peer.outbox, [&](const auto& w) { return w.hash == hash; });
  }
  if (f.purpose == Fetch::For::version) {
    for (const Conflict& c : index.conflicts_of(f.path.folder, f.path.path)) {
      if (c.resolved || c.loser.content.hash != hash) continue;
      if (!ok)
        version_in_vain(c, f.tried);
      else if (f.size <= limits::range_bytes) {
        version_jobs[start_job(
            f.path.folder, "#" + to_hex(hash), false,
            StageVersionJob{hash, f.size, std::make_shared<const Bytes>(std::move(f.delta))})] = {c, false};
      }
      break;
    }
    return;
  }
  const auto work = works.find(f.path);
  if (work == works.end()) return;
  if (!ok) {
    const auto retry = retries.find(f.path);
    if (retry != retries.end() && retry->second.count == 6)
      problem(f.path.path, "no linked member has its content; waiting for one that does");
    content_failed(f.path, links.empty() ? tuning::retry_max_ms : tuning::retry_min_ms);
    return content_in_vain(f);
  }
  if (f.encoding == Encoding::delta) {
    held_bytes += f.delta.size();
    work->second.delta = std::make_shared<const Bytes>(std::move(f.delta));
    return next_step(f.path, work->second);
  }
  if (f.size <= limits::range_bytes) {
    held_bytes += f.delta.size();
    work->second.bytes = std::make_shared<const Bytes>(std::move(f.delta));
  }
  apply_work(f.path, work->second);
}

// The live version's bytes are nowhere: a loss of power took them before anybody else had them. Once every member has said so, more than
// once, what this node shows instead becomes the next version; otherwise the path would wait for ever.
void Replica::Impl::content_in_vain(const Fetch& f) {
  if (!all_members_in(f.tried)) return;
  if (++vain_rounds[f.hash] < 8) return;
  vain_rounds.erase(f.hash);
  const auto entry = index.get(f.path.folder, f.path.path);
  if (!entry || !entry->pending() || entry->live->content.hash != f.hash) return;
  Record record{.folder = f.path.folder, .path = f.path.path};
  record.context = entry->live->context;
  record.context.raise(entry->live->dot);
  if (entry->disk && entry->disk->state.present()) {
    record.content = entry->disk->state.content;
    record.context.merge(entry->disk->context);
    if (entry->disk->dot.seq > 0) record.context.raise(entry->disk->dot);
  }
  record.base = f.hash;
  record.hlc = next_time(entry->live->hlc);
  record.dot = next_dot();
  std::optional<OnDisk> disk;
  if (entry->disk && entry->disk->state.present()) disk = OnDisk{entry->disk->state, record.dot, record.context, record.hlc};
  log(true, fmt::format("{}: the bytes of its latest version are lost; what this node has stands instead", f.path.path));
  accept_own(std::move(record), *entry, disk, std::nullopt);
}

bool Replica::Impl::all_members_in(const std::set<NodeId>& nodes) const {
  const auto members = member_ids();
  return !members.empty() && std::all_of(members.begin(), members.end(),
                                         [&](const NodeId& m) { return m == options.self || nodes.contains(m); });
}

// Nobody asked has a conflict's bytes. Where somebody's version covers the loser, it was most likely overwritten with open eyes before its
// bytes had travelled: the entry is void. A context may cover what lost unseen, but then its writer's node keeps the bytes: hence all
// members must have said no, and more than once, before it is given up.
void Replica::Impl::version_in_vain(const Conflict& entry, const std::set<NodeId>& tried) {
  const Record& loser = entry.loser;
  const bool all_asked = all_members_in(tried);
  unsigned& rounds = vain_rounds[loser.content.hash];
  if (all_asked) ++rounds;
  const auto live = index.get(loser.folder, loser.path);
  bool covered = live && live->live && live->live->context.covers(loser.dot);
  for (const Conflict& other : index.conflicts_of(loser.folder, loser.path)) covered |= other.loser.context.covers(loser.dot);
  if (rounds >= 3 && covered) {
    vain_rounds.erase(loser.content.hash);
    return resolve(entry);
  }
  later_versions.emplace(now.mono_ms + (tuning::retry_max_ms << std::min(rounds, 10u)), entry);
}

void Replica::Impl::forget_peer(const NodeId& node) {
  for (auto it = serving_jobs.begin(); it != serving_jobs.end();)
    it = it->second.peer == node ? serving_jobs.erase(it) : std::next(it);
  std::vector<Hash128> orphans;
  for (auto& [hash, f] : fetches) {
    if (f.peer == node) orphans.push_back(hash);
  }
  for (const Hash128& hash : orphans) {
    if (fetches.contains(hash) && !fetches.at(hash).finishing) fetch_failed_at(hash);
  }
}

void Replica::Impl::fetch_timeouts() {
  while (!later_versions.empty() && later_versions.begin()->first <= now.mono_ms) {
    version_queue.push_back(std::move(later_versions.begin()->second));
    later_versions.erase(later_versions.begin());
  }
  if (now.mono_ms < next_timeouts_ms) return;
  next_timeouts_ms = now.mono_ms + 500;
  std::vector<Hash128> late;
  for (auto& [hash, f] : fetches) {
    const bool waiting = !f.finishing && f.writes == 0 && f.progress_known;
    if (waiting && (f.peer.is_zero() || now.mono_ms > f.last_progress_ms + tuning::want_timeout_ms))
      late.push_back(hash);
  }
  for (const Hash128& hash : late) {
    if (fetches.contains(hash)) fetch_failed_at(hash);
  }
}

// ---- answering
// --------------------------------------------------------------------------------------------------------------

void Replica::Impl::on(Peer& peer, Want& m) {
  for (const Want::Item& item : m.items) serve(peer, item);
}

void Replica::Impl::serve(Peer& peer, const Want::Item& item) {
  const auto no = [&] { send(peer.node, Lane::small, Unavailable{item.id}); };
  if (peer.serving >= tuning::serving_max) return no();
  if (item.encoding == Encoding::delta) {
    const auto cached = std::find_if(deltas.begin(), deltas.end(), [&](const CachedDelta& d) {
      return d.hash == item.hash && d.base == item.base;
    });
    if (cached == deltas.end() || item.offset > cached->bytes->size()) return no();
    const std::uint64_t total = cached->bytes->size();
    return send(peer.node, Lane::small,
                Piece{item.id, total, cached->bytes->substr(item.offset, item.length)});
  }
  if (!owns(item.folder) || item.offset + item.length > item.size) return no();
  ReadJob read{.offset = item.offset, .size = item.length};
  std::vector<std::string> places = index.paths_with(item.folder, item.hash, 1);
  const auto asked = index.get(item.folder, item.path);
  if (asked && asked->disk && asked->disk->state.content.hash == item.hash) places = {item.path};
  if (!places.empty()) {
    const auto entry = index.get(item.folder, places.front());
    if (entry && entry->disk && entry->disk->state.content.size == item.size) {
      read.path = places.front();
      read.expect = entry->disk->state.print;
    }
  }
  read.version = item.hash;
  if (read.path.empty() && !kept.contains(item.hash) && !index.conflict_needs(item.hash)) return no();
  const bool second_try = read.path.empty();
  const JobId id = start_job(item.folder, "", item.size > limits::range_bytes, std::move(read));
  serving_jobs[id] = {peer.node, item.id, item.hash, item.size, item.offset, item.length, second_try};
  ++peer.serving;
}

void Replica::Impl::served(const Serving& s, const Result<Bytes>& bytes) {
  const auto link = links.find(s.peer);
  if (link == links.end()) return;
  --link->second.serving;
  const Lane lane = s.total > limits::range_bytes ? Lane::bulk : Lane::small;
  if (bytes && bytes->size() == s.size) return send(s.peer, lane, Piece{s.id, s.total, *bytes});
  if (!s.second_try &&
      (kept.contains(s.hash) || index.conflict_needs(s.hash))) {  // displaced since: it is among the versions
    ReadJob read{.version = s.hash, .offset = s.offset, .size = s.size};
    Serving again = s;
    again.second_try = true;
    serving_jobs[start_job(options.folders.front(), "", s.total > limits::range_bytes, std::move(read))] =
        again;
    ++link->second.serving;
    return;
  }
  send(s.peer, Lane::small, Unavailable{s.id});
}

void Replica::Impl::cache_delta(const Hash128& base, const Hash128& hash,
                                std::shared_ptr<const Bytes> bytes) {
  if (bytes->size() > tuning::delta_cache_bytes / 2) return;
  deltas_bytes += bytes->size();
  deltas.push_back({base, hash, std::move(bytes)});
  while (deltas_bytes > tuning::delta_cache_bytes || deltas.size() > 64) {
    deltas_bytes -= deltas.front().bytes->size();
    deltas.pop_front();
  }
}

}  // namespace syncline

#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

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
  fetch.progress_ms = now.mono_ms;
  fetch.serial = next_fetch++;
  Fetch& f = fetches[hash] = std::move(fetch);
  if (links.contains(first)) f.peer = f.first = first;
  if (const NodeId before = before_in_line(f, first); !before.is_zero()) f.peer = before, f.in_line = true;
  // Anything that takes more than one piece may have been begun before.
  if (f.encoding == Encoding::raw && f.size > limits::range_bytes) {
    return start_fetch_job(f, StageProgressJob{hash});
  }
  f.progress_known = true;
  ask(f);
}

void Replica::Impl::choose_peer(Fetch& fetch) {
  fetch.in_line = false;
  if (const auto first = links.find(fetch.first); first != links.end() && first->second.greeted && !fetch.tried.contains(fetch.first)) {
    fetch.peer = fetch.first;
    return;
  }
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
static bool credit_left(const Peer& peer, std::size_t credit = tuning::bulk_credit_bytes) {
  return (peer.owed_bytes < credit && peer.wants.size() < tuning::small_wants_max) || planted(Fault::credit_ignored);
}

// Takes a want off the peer's account, because it was answered or is forgotten.
static WantRef take_want(Peer& peer, std::map<std::uint64_t, WantRef>::iterator want) {
  const WantRef ref = want->second;
  peer.owed_bytes -= ref.length;
  peer.wants.erase(want);
  return ref;
}

// What has come and is not on disk yet is bounded, too: the link may be faster.
static bool is_far_ahead(const Fetch& f) { return f.encoding == Encoding::raw && f.asked >= f.written + tuning::unwritten_bytes; }

// Asks for as much as the credit allows.
void Replica::Impl::ask(Fetch& f) {
  if (!f.progress_known || f.finishing) return;
  if (f.peer.is_zero() || !links.contains(f.peer)) choose_peer(f);
  const auto link = links.find(f.peer);
  if (link == links.end()) return;  // nobody left: fetch_timeouts() ends it
  Peer& peer = link->second;
  const std::size_t credit = tuning::bulk_credit_bytes + (sought(f.path) ? tuning::sought_credit_bytes : 0);
  while (f.asked < f.total && credit_left(peer, credit) && !is_far_ahead(f)) {
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
    peer.owed_bytes += item.length;
    f.want_ids.push_back(item.id);
    peer.outbox.push_back(std::move(item));
    ++wants_waiting;
  }
  if (f.asked < f.total) hungry.insert(f.hash);
}

void Replica::Impl::flush_wants() {
  if (std::exchange(wants_waiting, 0) == 0) return;
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
  const WantRef ref = take_want(peer, want);
  const auto it = fetches.find(ref.hash);
  if (it != fetches.end()) {
    std::erase(it->second.want_ids, m.id);
    it->second.progress_ms = now.mono_ms;
    peer.lane_progress_ms[it->second.is_bulk()] = now.mono_ms;
  }
  if (it != fetches.end() && it->second.peer == peer.node && !it->second.finishing && it->second.progress_known)
    take_piece(it->second, ref, m);
  ask_more(peer);
}

void Replica::Impl::take_piece(Fetch& f, const WantRef& ref, Piece& m) {
  const Hash128 hash = f.hash;
  if (f.encoding == Encoding::delta) {
    f.total = m.total;
    const bool fits = ref.offset == f.delta.size() && m.total <= tuning::delta_cache_bytes &&
                      (!m.bytes.empty() || m.total == 0);
    if (!fits) return fetch_failed_at(hash);
    f.delta += m.bytes;
    if (f.delta.size() >= f.total) return end_fetch(hash, true);
    f.asked = std::max<std::uint64_t>(f.asked, f.delta.size());
    return ask(f);
  }
  if (m.total != f.size || m.bytes.size() != ref.length) return fetch_failed_at(hash);
  if (f.size <= limits::range_bytes) {
    f.delta = std::move(m.bytes);
    return end_fetch(hash, true);
  }
  ++f.writes;
  start_fetch_job(f, StageWriteJob{hash, ref.offset, std::make_shared<const Bytes>(std::move(m.bytes))});
}

// A place among this peer's wants may be free.
void Replica::Impl::ask_more(Peer& peer) {
  for (auto it = hungry.begin(); it != hungry.end() && credit_left(peer);) {
    const auto fetch = fetches.find(*it);
    const bool over = fetch == fetches.end() || fetch->second.asked >= fetch->second.total;
    if (over || fetch->second.peer == peer.node) it = hungry.erase(it);  // ask() puts it back
    else ++it;
    if (!over && fetch->second.peer == peer.node) ask(fetch->second);
  }
}

void Replica::Impl::on(Peer& peer, Unavailable& m) {
  const auto want = peer.wants.find(m.id);
  if (want == peer.wants.end()) return;
  const Hash128 hash = take_want(peer, want).hash;
  const auto it = fetches.find(hash);
  if (it != fetches.end()) std::erase(it->second.want_ids, m.id);
  if (it != fetches.end() && it->second.peer == peer.node && !it->second.finishing) {
    if (it->second.encoding == Encoding::raw && !it->second.in_line) it->second.refused.insert(peer.node);
    fetch_failed_at(hash);
  }
  ask_more(peer);
}

// The peer being asked cannot give it: the whole instead of the delta, then the next peer, then later.
void Replica::Impl::fetch_failed_at(Hash128 hash) {
  Fetch& f = fetches.at(hash);
  forget_wants(f);
  f.delta.clear();
  f.progress_ms = now.mono_ms;
  if (f.encoding == Encoding::delta) {
    const NodeId peer = f.peer;
    Fetch whole{.purpose = f.purpose, .path = f.path, .hash = f.hash, .size = f.size};
    fetches.erase(hash);
    return start_fetch(std::move(whole), peer);
  }
  if (!f.peer.is_zero()) f.tried.insert(f.peer);
  f.peer = {};
  f.asked = f.written;  // writes under way still count
  if (f.writes > 0 || !f.progress_known) return;
  if (f.failed) return end_fetch(hash, false);
  choose_peer(f);
  if (f.peer.is_zero()) return end_fetch(hash, false);
  if (f.size <= limits::range_bytes) {
    f.asked = 0;
    return ask(f);
  }
  f.progress_known = false;
  start_fetch_job(f, StageProgressJob{hash});
}

// The path has moved on to another content: what is on its way is no use any more, and may be nowhere by now.
void Replica::Impl::abandon_fetch(const PathKey& key, const Content& wanted) {
  const auto work = works.find(key);
  if (work == works.end() || work->second.applying || work->second.target.content.hash == wanted.hash) return;
  const auto fetch = fetches.find(work->second.target.content.hash);
  if (fetch == fetches.end() || fetch->second.purpose != Fetch::For::work || fetch->second.path != key) return;
  forget_wants(fetch->second);
  fetches.erase(fetch);
  end_work(key);
}

// What was fetched of a content that nobody here wants any more.
void Replica::Impl::drop_staged(FolderId folder, const Hash128& hash) {
  if (hash.is_zero() || staging.contains(hash) || fetches.contains(hash) || index.conflict_needs(hash)) return;
  start_job(folder, "#" + to_hex(hash), true, StageDropJob{hash});
}

void Replica::Impl::forget_wants(Fetch& f) {
  for (auto& [node, peer] : links) {
    for (const std::uint64_t id : f.want_ids) {
      if (const auto want = peer.wants.find(id); want != peer.wants.end()) take_want(peer, want);
    }
    if (!f.want_ids.empty()) std::erase_if(peer.outbox, [&](const auto& w) { return w.hash == f.hash; });
  }
  f.want_ids.clear();
}

void Replica::Impl::start_fetch_job(const Fetch& f, decltype(FileJob::work) work) {
  const bool bulk = !std::holds_alternative<StageProgressJob>(work);
  const auto* write = std::get_if<StageWriteJob>(&work);
  const std::uint64_t offset = write == nullptr ? 0 : write->offset;
  const JobId id = start_job(f.path.folder, "#" + to_hex(f.hash), bulk, std::move(work));
  fetch_jobs[id] = {f.hash, f.serial, offset};
}

void Replica::Impl::fetch_job_done(const FetchJob& job, FileOutcome& outcome) {
  const auto it = fetches.find(job.hash);
  if (it == fetches.end() || it->second.serial != job.serial) return;  // of a fetch that has ended
  Fetch& f = it->second;
  const Hash128 hash = job.hash;
  if (const auto* progress = std::get_if<StageProgress>(&outcome)) {
    f.progress_known = true;
    f.progress_ms = now.mono_ms;
    f.written = f.asked = std::min(progress->have_bytes, f.size);
    f.later.clear();
  } else if (auto* staged = std::get_if<Result<Staged>>(&outcome)) {
    if (f.finishing) {
      if (*staged) {
        if (const auto w = works.find(f.path); w != works.end() && f.purpose == Fetch::For::work)
          w->second.signature = (*staged)->signature;
        return end_fetch(hash, true);
      }
      f.finishing = false;
      f.written = f.asked = 0;
      f.later.clear();
      return fetch_failed_at(hash);
    }
    --f.writes;
    if (*staged) {
      f.progress_ms = now.mono_ms;
      f.later.insert(job.offset);
      while (f.later.erase(f.written) > 0) f.written = std::min(f.size, f.written + limits::range_bytes);
      go_on_relaying(hash, false);
    } else {
      stuck_at(f.path, staged->error().message, staged->error().code == Error::Code::full);
      f.failed = true;
    }
  }
  if (f.writes > 0) {
    if (!f.peer.is_zero() && !f.failed) ask(f);
    return;
  }
  if (f.failed || (f.peer.is_zero() && f.written < f.size)) return fetch_failed_at(hash);
  if (f.written < f.size) return ask(f);
  f.finishing = true;
  start_fetch_job(f, StageFinishJob{hash, f.size, f.purpose == Fetch::For::version});
}

void Replica::Impl::end_fetch(Hash128 hash, bool ok) {
  const auto it = fetches.find(hash);
  Fetch f = std::move(it->second);
  fetches.erase(it);
  forget_wants(f);
  if (ok) vain_rounds.erase(f.hash);
  if (ok && f.purpose == Fetch::For::version && f.size > limits::range_bytes) no_problem(f.path);
  if (f.purpose == Fetch::For::version) {
    for (const Conflict& c : index.conflicts_of(f.path.folder, f.path.path)) {
      if (c.resolved || c.loser.content.hash != hash) continue;
      if (!ok)
        version_in_vain(c, f.refused);
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
    if (!f.failed && retries.count(f.path) == 6)
      stuck_at(f.path, "no linked member has its content; waiting for one that does");
    content_failed(f.path, links.empty() || f.failed ? tuning::retry_max_ms : tuning::retry_min_ms);
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

void Replica::Impl::forget_peer(const NodeId& node) {
  for (auto it = serving_jobs.begin(); it != serving_jobs.end();)
    it = it->second.peer == node ? serving_jobs.erase(it) : std::next(it);
  std::erase_if(relays, [&](const Relay& relay) { return relay.peer == node; });
  std::vector<Hash128> orphans;
  for (auto& [hash, f] : fetches) {
    if (f.peer == node && !f.finishing) orphans.push_back(hash);
  }
  for (const Hash128& hash : orphans) {
    if (fetches.contains(hash)) fetch_failed_at(hash);
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
    // The lane is one queue: while pieces of others come, this one's may be behind them.
    const auto link = links.find(f.peer);
    const std::uint64_t lane_ms = link == links.end() ? 0 : link->second.lane_progress_ms[f.is_bulk()];
    const bool is_late = now.mono_ms > std::max(f.progress_ms, lane_ms) + tuning::want_timeout_ms ||
                         now.mono_ms > f.progress_ms + (f.in_line ? tuning::relay_timeout_ms : tuning::want_expiry_ms);
    if (waiting && (f.peer.is_zero() || is_late)) late.push_back(hash);
  }
  for (const Hash128& hash : late) {
    if (fetches.contains(hash)) fetch_failed_at(hash);
  }
}

// ---- answering
// --------------------------------------------------------------------------------------------------------------

void Replica::Impl::on(Peer& peer, Want& m) {
  for (const Want::Item& item : m.items) serve(peer, item, false);
}

// `last_time`: what is on its way here was waited for, or could not be read.
void Replica::Impl::serve(Peer& peer, const Want::Item& item, bool last_time) {
  const auto no = [&] { send(peer.node, Lane::small, Unavailable{item.id}); };
  if (peer.serving >= tuning::serving_max) return send(peer.node, Lane::small, Piece{item.id, 0, {}});  // not now
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
  if (read.path.empty() && !kept.contains({item.folder, item.hash}) && !index.conflict_needs(item.hash)) {
    if (last_time || !relay(peer, item, false)) no();
    return;
  }
  const bool second_try = read.path.empty();
  Serving serving{peer.node, item.id, item.folder, read.path, item.hash, item.size, item.offset, item.length, second_try};
  const JobId id = start_job(item.folder, "", item.size > limits::range_bytes, std::move(read));
  serving_jobs[id] = std::move(serving);
  ++peer.serving;
}

void Replica::Impl::served(const Serving& s, const Result<Bytes>& bytes) {
  const auto link = links.find(s.peer);
  if (link == links.end()) return;
  --link->second.serving;
  const Lane lane = s.total > limits::range_bytes ? Lane::bulk : Lane::small;
  if (bytes && bytes->size() == s.size) return send(s.peer, lane, Piece{s.id, s.total, *bytes});
  if (s.staged) {  // it has become visible meanwhile, or is about to
    const Want::Item item{.id = s.id, .folder = s.folder, .path = s.path, .hash = s.hash, .size = s.total, .base = {}, .encoding = Encoding::raw, .offset = s.offset, .length = s.size};
    if (!index.paths_with(s.folder, s.hash, 1).empty()) return serve(link->second, item, true);
    if (!relay(link->second, item, true)) send(s.peer, Lane::small, Unavailable{s.id});
    return;
  }
  // Not what the index says: it is looked at again, so that the next answer is a better one.
  if (!s.path.empty()) effects.push_back(LookAt{s.folder, s.path});
  const bool among_versions = kept.contains({s.folder, s.hash}) || index.conflict_needs(s.hash);
  if (!s.second_try && among_versions) {  // displaced since
    ReadJob read{.version = s.hash, .offset = s.offset, .size = s.size};
    Serving again = s;
    again.path.clear();
    again.second_try = true;
    serving_jobs[start_job(s.folder, "", s.total > limits::range_bytes, std::move(read))] = std::move(again);
    ++link->second.serving;
    return;
  }
  // A read that failed says nothing about whether this node has it; only the index does.
  if (!index.paths_with(s.folder, s.hash, 1).empty()) return send(s.peer, Lane::small, Piece{s.id, 0, {}});
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

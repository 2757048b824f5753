// Bytes that nobody has: how long they are looked for, and what stands instead.
#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

// The live version's bytes are nowhere: a loss of power took them before anybody else had them. Once every member has said so, more than
// once, the node that had written it gives up: what it shows instead becomes the next version; otherwise the path would wait for ever.
void Replica::Impl::content_in_vain(const Fetch& f) {
  if (!all_members_in(f.refused)) return;
  if (++vain_rounds[f.hash] < 8) return;
  vain_rounds.erase(f.hash);
  const auto entry = index.get(f.path.folder, f.path.path);
  if (!entry || !entry->pending() || entry->live->content.hash != f.hash) return;
  if (!answers_for(node_of(entry->live->dot.actor))) return;
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

// Of a writer who is no member any more, the first of those who are.
bool Replica::Impl::answers_for(const NodeId& writer) const {
  const std::vector<NodeId>& all = member_ids();
  const bool gone = !writer.is_zero() && std::find(all.begin(), all.end(), writer) == all.end();
  return writer == options.self || (gone && !all.empty() && all.front() == options.self);
}

bool Replica::Impl::all_members_in(const std::set<NodeId>& nodes) const {
  const auto members = member_ids();
  return !members.empty() && std::all_of(members.begin(), members.end(),
                                         [&](const NodeId& m) { return m == options.self || nodes.contains(m); });
}

// Nobody asked has a conflict's bytes. Once every member has said so, more than once, there is nothing left to restore. Most likely the
// loser was overwritten with open eyes before its bytes had travelled, by a version that itself lost since.
void Replica::Impl::version_in_vain(const Conflict& entry, const std::set<NodeId>& refused) {
  const Record& loser = entry.loser;
  unsigned& rounds = vain_rounds[loser.content.hash];
  if (all_members_in(refused)) ++rounds;
  if (rounds < 3) {
    later_versions.emplace(now.mono_ms + (tuning::retry_max_ms << rounds), entry);
    return;
  }
  vain_rounds.erase(loser.content.hash);
  log(true, fmt::format("{}: no member has the bytes of a version that lost; its conflict is closed", loser.path));
  resolve(entry);
}

}  // namespace syncline

// A large content goes down a line of members instead of from its writer to each: whoever fetches it asks the
// member before itself, which passes on what it has of it by now. The line's order follows from the content's
// hash and the members' ids, so that nobody needs to agree on it, and nobody can stand before himself. Where
// the one before is not linked, further away than the first to tell, or has nothing for a while, the first to
// tell is asked, as for a small content. Nothing is believed for it: the whole is hashed in the end, as
// always.
#include <algorithm>

#include "node/replica_impl.h"

namespace syncline {

// A member's place in a content's line.
static Hash128 place_in_line(const Hash128& content, const NodeId& node) {
  static const HashKey key{Key32{}};
  Writer w;
  w.id(content), w.id(node);
  return key.hash(w.data());
}

// Whom to ask of a content that `first` has; zero: him.
NodeId Replica::Impl::before_in_line(const Fetch& f, const NodeId& first) const {
  if (f.purpose != Fetch::For::work || f.encoding != Encoding::raw || f.size < options.relay_from_bytes)
    return {};
  const auto source = links.find(first);
  if (source == links.end() || source->second.rtt_ms == kRttUnknown) return {};
  const Hash128 own = place_in_line(f.hash, options.self);
  NodeId before;
  Hash128 best;
  for (const auto& [node, peer] : links) {
    if (node == first || !peer.greeted || peer.rtt_ms == kRttUnknown ||
        peer.rtt_ms > source->second.rtt_ms + tuning::relay_rtt_ms)
      continue;
    const Hash128 place = place_in_line(f.hash, node);
    if (place < own && (before.is_zero() || best < place)) before = node, best = place;
  }
  return before;
}

// Whether the question can be answered, now or soon, out of what is on its way to this node: then it was
// taken on.
bool Replica::Impl::relay(Peer& peer, const Want::Item& item, bool read_failed) {
  if (item.size <= limits::range_bytes || item.encoding != Encoding::raw || stopped.contains(item.folder))
    return false;
  const auto fetch = fetches.find(item.hash);
  const bool fetching = fetch != fetches.end() && fetch->second.purpose == Fetch::For::work &&
                        fetch->second.is_bulk() && fetch->second.size == item.size;
  if (fetching && !read_failed && item.offset + item.length <= fetch->second.written) {
    ReadJob read{.version = item.hash, .offset = item.offset, .size = item.length, .staged = true};
    Serving serving{peer.node, item.id,     item.folder, item.path, item.hash,
                    item.size, item.offset, item.length, false,     true};
    serving_jobs[start_job(item.folder, "", true, std::move(read))] = std::move(serving);
    ++peer.serving;
    return true;
  }
  const auto entry = index.get(item.folder, item.path);
  const PathKey key{item.folder, item.path};
  const bool taken_up = works.contains(key) || awaited.contains(key) ||
                        (backlog.contains(item.folder) && !retries.contains(key));
  const bool pending = entry && entry->pending() && entry->live->content.hash == item.hash && taken_up;
  const bool unheard =
      !entry || !entry->live || entry->live->content.hash != item.hash;  // its record may be on its way, too
  if (!(fetching || pending || unheard || staging.contains(item.hash)) || relays.size() >= tuning::relays_max)
    return false;
  relays.push_back(
      {peer.node, item, now.mono_ms + (unheard ? tuning::relay_unheard_ms : tuning::relay_patience_ms)});
  return true;
}

// More of the content is here than before, or all that will be.
void Replica::Impl::go_on_relaying(const Hash128& content, bool over) {
  if (relays.empty()) return;
  const auto fetch = fetches.find(content);
  const std::uint64_t have = fetch == fetches.end() ? 0 : fetch->second.written;
  std::vector<Relay> ready;
  std::erase_if(relays, [&](Relay& relay) {
    if (relay.item.hash != content) return false;
    relay.until_ms = std::max(relay.until_ms, now.mono_ms + tuning::relay_patience_ms);  // it goes on
    if (!over && relay.item.offset + relay.item.length > have) return false;
    ready.push_back(std::move(relay));
    return true;
  });
  for (const Relay& relay : ready) {
    if (const auto link = links.find(relay.peer); link != links.end()) serve(link->second, relay.item, over);
  }
}

// Who has waited for long enough asks somebody else.
void Replica::Impl::end_relays() {
  std::vector<Relay> late;
  std::erase_if(relays, [&](Relay& relay) {
    if (now.mono_ms < relay.until_ms) return false;
    late.push_back(std::move(relay));
    return true;
  });
  for (const Relay& relay : late) send(relay.peer, Lane::small, Unavailable{relay.item.id});
}

}  // namespace syncline

#include <fmt/format.h>

#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/content_hash.h"
#include "protocol/planted_fault.h"

namespace syncline {

void Replica::Impl::link_up(const NodeId& node) {
  Peer& peer = links[node];
  peer = Peer{.node = node, .name = to_hex(node).substr(0, 8)};
  peer.announced = index.vector();
  plan_digest(peer);
  send(node, Lane::control,
       Hello{kProtocolVersion, options.name, now.wall_ms, own_seq > 0 ? options.actor : ActorId{},
             fit, index.vector()});
  peer.told_fit = fit;
  peer.told_actor = own_seq > 0 ? options.actor : ActorId{};
}

void Replica::Impl::link_down(const NodeId& node) {
  const auto link = links.find(node);
  if (link == links.end()) return;
  if (link->second.ready) not_ready_any_more(node);
  links.erase(link);
  linked_known.reset();
  choose_near();
  std::erase_if(streams, [&](const auto& s) { return s.second.peer == node; });
  std::erase_if(probes, [&](const auto& p) { return p.first.first == node; });
  // What only this peer claimed to have may never come: it lost power, and its index is back where it was before.
  std::erase_if(gaps, [&](const auto& gap) {
    return std::none_of(links.begin(), links.end(), [&](const auto& l) { return l.second.vector.get(gap.first) > index.vector().get(gap.first); });
  });
  settlings.erase(node);
  draining.have.erase(node);
  forget_peer(node);
  silence_finds(node);
  check_waits();
}

void Replica::Impl::received(const NodeId& node, const Bytes& bytes) {
  const auto it = links.find(node);
  if (it == links.end()) return;
  Result<Message> message = decode(bytes);
  if (!message)
    return problem(fmt::format("{} sent a {}; it was ignored", it->second.name, message.error().message));
  if (!it->second.greeted && !std::holds_alternative<Hello>(*message)) return;
  std::visit([&](auto& m) { on(it->second, m); }, *message);
}

void Replica::Impl::on(Peer& peer, Hello& m) {
  peer.greeted = true;
  peers_due_ms = std::min(peers_due_ms, peer.digest_at);
  linked_known.reset();
  choose_near();
  peer.push_from = pushed_seq;
  peer.name = m.name;
  peer.ready = m.ready;
  peer.actor = m.actor;
  for (const auto& e : m.vector.entries()) heard(peer, e.actor, e.seq);
  peer.vector = peer.start_vector = std::move(m.vector);
  peer.clock_behind = now.wall_ms > m.wall_ms + limits::clock_ahead_ms;
  judge_clock();
  look_for_gaps(peer, true);
  if (!fetches.empty()) {
    for (auto& [hash, fetch] : fetches) {
      if (fetch.peer.is_zero()) fetch.tried.clear(), fetch.progress_ms = 0;
    }
  }
  retries.all_due(now.mono_ms);
  ask_waits(peer.node);
  ask_finds(peer.node);
  if (draining.round != 0) ask_to_settle(peer);
  if (fit && !confirmed) offer(peer);
  if (peer.told_fit != fit) announce(peer, false);
  lag.due_ms = 0;
}

// Ahead of everybody it can see: most likely it is this clock that is wrong, and its times would win over all
// others' for as long.
void Replica::Impl::judge_clock() {
  const auto greeted = [](const auto& l) { return l.second.greeted; };
  if (std::none_of(links.begin(), links.end(), greeted)) return;
  const bool wrong = std::all_of(links.begin(), links.end(),
                                 [](const auto& l) { return !l.second.greeted || l.second.clock_behind; });
  if (wrong == !clock_problem.empty()) return;
  clock_problem = wrong ? "this node's clock is more than a minute ahead of every linked member's; set the "
                          "clocks (chrony or ntpd)"
                        : "";
  if (wrong) {
    for (const FolderId folder : options.folders) end_awaiting(folder);
    return log(true, clock_problem);
  }
  for (const FolderId folder : options.folders)
    effects.push_back(LookAt{folder, "", true});  // nothing was taken meanwhile
}

// Nobody's records are refused, here or by those who are linked.
bool Replica::Impl::is_understood() const {
  if (!clock_problem.empty()) return false;
  const bool refuses = std::any_of(refused_until.begin(), refused_until.end(), [this](const auto& r) { return now.mono_ms < r.second; });
  return !refuses && std::all_of(links.begin(), links.end(), [this](const auto& l) {
    return l.second.greeted && l.second.vector.get(options.actor) >= index.vector().get(options.actor);
  });
}

void Replica::Impl::announce(Peer& peer, bool everything) {
  peer.announce_at = 0;
  const VersionVector& own = index.vector();
  Announce m{own_seq > 0 ? options.actor : ActorId{}, fit, {}};
  if (everything) {
    m.vector = own;
  } else {
    for (const auto& e : own.entries()) {
      if (peer.announced.get(e.actor) < e.seq) m.vector.raise(e.actor, e.seq);
    }
  }
  peer.announced = own;
  peer.told_fit = fit;
  peer.told_actor = m.actor;
  send(peer.node, Lane::control, m);
}

// Whoever got our pushes has been told by them.
void Replica::Impl::tell_news(Peer& peer) {
  peer.announce_at = 0;
  const bool same_writer = own_seq == 0 || peer.told_actor == options.actor;
  if (same_writer && peer.told_fit == fit && peer.announced.covers(index.vector())) return;
  announce(peer, false);
}

// Everybody hears of a version from its writer. That it has come here is for those whom the writer does not reach: if each node told all
// others, every change would cost the square of their number. So each tells a few, chosen such that word gets to everyone in about as many
// steps as their number has digits, whoever is cut off from whom; the others learn by digests.
void Replica::Impl::choose_near() {
  std::vector<Peer*> ring;  // from this node on
  const auto add = [&ring](auto& link) {
    link.second.near = false;
    if (link.second.greeted) ring.push_back(&link.second);
  };
  const auto after = links.upper_bound(options.self);
  std::for_each(after, links.end(), add);
  std::for_each(links.begin(), after, add);
  for (std::size_t distance = 1; distance <= ring.size(); distance *= options.gossip.factor) ring[distance - 1]->near = true;
  if (ring.size() > options.gossip.all_up_to) return;
  for (Peer* peer : ring) peer->near = true;
}

void Replica::Impl::schedule_announcements(const ActorId& of) {
  risen_ms = now.mono_ms;
  const bool own = of == options.actor;
  for (auto& [node, peer] : links) {
    const bool due = own ? !peer.pushing || peer.told_actor != of : peer.near || peer.actor == of;
    if (!due || !peer.greeted || peer.announce_at != 0) continue;
    peer.announce_at = now.mono_ms + tuning::announce_ms;
    peers_due_ms = std::min(peers_due_ms, peer.announce_at);
  }
}

void Replica::Impl::on(Peer& peer, Announce& m) {
  const bool became_ready = m.ready && !peer.ready;
  if (peer.ready && !m.ready) not_ready_any_more(peer.node);
  peer.actor = m.actor;
  peer.ready = m.ready;
  for (const auto& e : m.vector.entries()) heard(peer, e.actor, e.seq);
  push_if_level(peer);
  if (became_ready) ask_waits(peer.node);
  look_for_gaps(peer, false);
}

void Replica::Impl::push_if_level(Peer& peer) {
  if (peer.pushing || own_seq == 0 || peer.vector.get(options.actor) < pushed_seq) return;
  peer.pushing = true;
  peer.push_from = pushed_seq;
}

// Any fixed hash will do: it only tells whether two vectors are equal, and both ends are members.
static Hash128 hash_of(const VersionVector& vector) {
  static const HashKey key{Key32{}};
  Writer w;
  write(w, vector);
  return key.hash(w.data());
}

void Replica::Impl::plan_digest(Peer& peer) {
  peer.digest_at = now.mono_ms + tuning::digest_ms + random() % 1000;
  peer.digest_by = peer.digest_at + tuning::unsettled_ms;
}

// Whoever has the same vector, or knows ours, needs no more than its hash; whoever does not, asks. While something has just come few have
// the same: it waits for a quiet moment, and where none comes it costs less to tell the peer first.
void Replica::Impl::send_digest(Peer& peer) {
  const std::uint64_t settled_at = risen_ms + tuning::settled_ms;
  if (now.mono_ms < std::min(settled_at, peer.digest_by)) {
    peer.digest_at = std::min(settled_at, peer.digest_by);
    return;
  }
  if (now.mono_ms < settled_at) tell_news(peer);
  plan_digest(peer);
  send(peer.node, Lane::control, Digest{hash_of(index.vector())});
  peer.announced = index.vector();
}

void Replica::Impl::on(Peer& peer, Digest& m) {
  if (m.vector_hash == hash_of(index.vector())) {
    peer.vector = index.vector();
    return push_if_level(peer);
  }
  if (m.vector_hash != hash_of(peer.vector)) send(peer.node, Lane::control, AskVector{});
}

void Replica::Impl::on(Peer& peer, AskVector&) { announce(peer, true); }

// The peer holds that much. What it has more than this node is remembered, so that nobody need compare whole vectors to find it again.
void Replica::Impl::heard(Peer& peer, const ActorId& actor, std::uint64_t seq) {
  peer.vector.raise(actor, seq);
  if (index.vector().get(actor) >= seq) return;
  peer.leads.insert(actor);
  any_leads = true;
}

// Asks for what the peer has and this node lacks. Where the writer itself is linked its push is probably on
// the way: others are asked only for a gap that stays.
void Replica::Impl::look_for_gaps(Peer& peer, bool at_once) {
  std::erase_if(peer.leads, [&](const ActorId& a) { return index.vector().get(a) >= peer.vector.get(a); });
  for (const ActorId& actor : peer.leads) {
    const auto refused = refused_until.find(actor);
    if (refused != refused_until.end() && now.mono_ms < refused->second) continue;
    const auto [gap, fresh] = gaps.try_emplace(actor, now.mono_ms);
    const bool lost = peer.push_lost == actor;  // no push of it is on its way
    if (lost) peer.push_lost = {};
    if (at_once || lost || now.mono_ms >= gap->second + gap_patience_ms(peer, actor)) need(peer, actor);
  }
}

std::uint64_t Replica::Impl::gap_patience_ms(const Peer& peer, const ActorId& actor) const {
  if (peer.actor == actor) return tuning::gap_ms;
  const bool writer_linked =
      std::any_of(links.begin(), links.end(), [&](const auto& l) { return l.second.greeted && l.second.actor == actor; });
  return writer_linked ? tuning::foreign_gap_ms : tuning::gap_ms;
}

// One stream an actor at a time: what comes by another way meanwhile makes its answer shorter, not wrong.
void Replica::Impl::need(Peer& peer, const ActorId& actor) {
  const auto it = streams.find(actor);
  if (it != streams.end() && now.mono_ms < it->second.since_ms + tuning::want_timeout_ms && links.contains(it->second.peer))
    return;
  const std::uint64_t after = index.vector().get(actor);
  streams[actor] = {peer.node, after, now.mono_ms};
  send(peer.node, Lane::control, Need{{{actor, after}}});
}

// An upper bound of an item's encoded size.
static std::size_t wire_bytes(const Entries::Item& item) {
  const auto record = [](const Record& r) {
    return 256 + r.path.size() + r.content.target.size() + r.context.entries().size() * 26;
  };
  const std::size_t entry = std::visit(
      [&](const auto& e) {
        if constexpr (std::is_same_v<std::decay_t<decltype(e)>, Record>)
          return record(e);
        else
          return 128 + record(e.loser);
      },
      item.entry);
  return entry + (item.attachment ? item.attachment->bytes.size() + 8 : 0);
}

// What was pushed before the peer had read our Hello is lost: asked again for the same after a while, it gets an answer.
bool Replica::Impl::may_put_off(Peer& peer, std::uint64_t after) const {
  if (peer.put_off_after != after) {
    peer.put_off_after = after;
    peer.put_off_until_ms = now.mono_ms + tuning::foreign_gap_ms;
  }
  return now.mono_ms < peer.put_off_until_ms;
}

void Replica::Impl::on(Peer& peer, Need& m) {
  for (const Need::Item& wanted : m.items) {
    const std::uint64_t top = index.vector().get(wanted.actor);
    const bool pushed = wanted.actor == options.actor && peer.pushing && wanted.after >= peer.push_from &&
                        may_put_off(peer, wanted.after);
    if (pushed || top <= wanted.after) {  // it is on its way already, or there is nothing
      send(peer.node, Lane::small, Entries{wanted.actor, wanted.after, wanted.after, {}});
      continue;
    }
    const auto entries =
        index.log(wanted.actor, wanted.after, limits::entries_per_message, tuning::entries_bytes);
    Entries reply{wanted.actor, wanted.after, top, {}};
    std::size_t bytes = 0;
    for (const LogEntry& e : entries) {
      if (bytes > tuning::entries_bytes) break;
      std::visit([&](const auto& item) { reply.items.push_back({item, std::nullopt}); }, e.item);
      bytes += wire_bytes(reply.items.back());
    }
    // Cut short: it says so by claiming no more than it carries.
    if (!entries.empty() && (reply.items.size() < entries.size() ||
                             entries.size() >= limits::entries_per_message || entries.back().seq < top)) {
      reply.upto = entries[reply.items.size() - 1].seq;
    }
    // It has come to the end of ours, and the lane keeps the order: pushes may follow. Before, they would find a gap and be for nothing.
    if (wanted.actor == options.actor) {
      peer.pushing = reply.upto == top;
      peer.push_from = wanted.after;
    }
    send(peer.node, Lane::small, reply);
  }
}

// A record from its first hop must not be far ahead of our clock: once it is in, everybody's clock follows
// it.
bool Replica::Impl::clock_acceptable(Peer& peer, const Entries& m) {
  if (peer.actor != m.actor) return true;
  const std::uint64_t limit_ms = now.wall_ms + limits::clock_ahead_ms;
  for (const auto& item : m.items) {
    const Record* record = std::get_if<Record>(&item.entry);
    if (!record || record->hlc.ms() <= limit_ms) continue;
    const std::uint64_t ahead = record->hlc.ms() - now.wall_ms;
    refused_until[m.actor] = now.mono_ms + tuning::refused_ms;
    gaps.erase(m.actor), streams.erase(m.actor);
    problem(fmt::format("what {} writes is refused: its clock is {} s ahead of this node's", peer.name,
                            ahead / 1000));
    send(peer.node, Lane::control, Refusal{m.actor, ahead});
    return false;
  }
  if (!m.items.empty()) refused_until.erase(m.actor);
  return true;
}

void Replica::Impl::on(Peer& peer, Entries& m) {
  const auto stream = streams.find(m.actor);
  const bool nothing = m.items.empty() && m.upto == m.after;
  const bool reply = stream != streams.end() && stream->second.peer == peer.node && (nothing || stream->second.after == m.after);
  if (reply) streams.erase(stream);
  const std::uint64_t have = index.vector().get(m.actor);
  if (m.actor == options.actor) return;
  if (nothing) {
    if (const auto gap = gaps.find(m.actor); reply && gap != gaps.end()) gap->second = now.mono_ms;
    if (!reply) peer.push_lost = m.actor;
    return;
  }
  heard(peer, m.actor, m.upto);
  if (m.upto <= have) return;
  if (m.after > have && !planted(Fault::gap_skipped)) return look_for_gaps(peer, true);
  if (!clock_acceptable(peer, m)) return;
  for (Entries::Item& item : m.items) {
    if (Record* record = std::get_if<Record>(&item.entry)) {
      if (record->dot.seq > have) accept(std::move(*record), std::move(item.attachment), peer.node);
    } else {
      Conflict& conflict = std::get<Conflict>(item.entry);
      if (conflict.dot.seq > have) accept(std::move(conflict), peer.node);
    }
  }
  index.advance(m.actor, m.upto);
  gaps.erase(m.actor);
  schedule_announcements(m.actor);
  if (reply && peer.vector.get(m.actor) > m.upto) need(peer, m.actor);  // the stream was cut: on with it
}

void Replica::Impl::on(Peer& peer, Refusal& m) {
  if (m.actor != options.actor) return;
  problem(fmt::format("this node's clock is {} s ahead of {}'s, which refuses what it writes; set the "
                          "clocks (chrony or ntpd)",
                          m.ahead_ms / 1000, peer.name));
}

// Sends what this step wrote to every linked peer, small contents included: one one-way trip from close() to
// visible.
void Replica::Impl::flush_push() {
  if (own_seq == pushed_seq) return;
  std::size_t first = 0;
  while (first < push.size() || pushed_seq < own_seq) {
    Entries m{options.actor, pushed_seq, own_seq, {}};
    std::size_t bytes = 0, last = first;
    for (; last < push.size() && last - first < limits::entries_per_message &&
           (last == first || bytes < tuning::entries_bytes);
         ++last) {
      bytes += wire_bytes(push[last]);
    }
    m.items.assign(std::make_move_iterator(push.begin() + static_cast<std::ptrdiff_t>(first)),
                   std::make_move_iterator(push.begin() + static_cast<std::ptrdiff_t>(last)));
    if (last < push.size())
      m.upto = std::visit([](const auto& e) { return e.dot.seq; }, m.items.back().entry);
    pushed_seq = m.upto;
    first = last;
    std::optional<Bytes> encoded;
    for (auto& [node, peer] : links) {
      if (!peer.greeted || !peer.pushing) continue;
      if (!encoded) encoded = pack(encode(m));
      effects.push_back(Send{node, Lane::small, *encoded, false});
      peer.announced.raise(options.actor, pushed_seq);
    }
  }
  push.clear();
}

}  // namespace syncline

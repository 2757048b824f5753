#include "tests/sim/network.h"

#include <algorithm>

namespace syncline::sim {

namespace {
constexpr std::uint64_t kSilenceMinUs = 2'000'000,
                        kSilenceMaxUs = 8'000'000;  // until a dead link is given up
constexpr std::uint64_t kRedialMaxUs = 1'000'000;
constexpr std::uint64_t kSlower = 100;
}  // namespace

Network::Network(World& world, std::size_t nodes, User& user)
    : world_(world),
      nodes_(nodes),
      user_(user),
      random_(world.schedule.seed, 2),
      ways_(nodes * nodes),
      sessions_(nodes * nodes) {}

bool Network::send(std::size_t from, std::size_t to, Lane lane, Bytes message) {
  Way& w = way(from, to);
  if (!w.up) return false;
  Queue& q = w.lanes[static_cast<std::size_t>(lane)];
  const std::size_t size = message.size();
  if (lane != Lane::control && q.bytes > 0 && q.bytes + size > world_.weather.lane_bytes_max) {
    q.refused = true;
    ++world_.stats.refusals;
    return false;
  }
  const std::uint64_t now = world_.queue.now_us();
  q.sent_us = std::max(q.sent_us, now) + size * 1000 * (w.slow ? kSlower : 1) / world_.weather.rate_bytes_ms;
  q.arrives_us = std::max(q.arrives_us, q.sent_us + random_.between(world_.weather.latency_us_min,
                                                                    world_.weather.latency_us_max));
  q.bytes += size;
  queued_bytes_max_ = std::max(queued_bytes_max_, q.bytes);
  q.parcels.push_back({q.arrives_us, std::move(message)});
  const std::size_t l = static_cast<std::size_t>(lane);
  world_.queue.at(q.arrives_us, [this, from, to, l, id = session(from, to)] { pump(from, to, l, id); });
  return true;
}

// Delivers one message, the oldest of its lane, if it is due. Whoever makes delivery possible again pumps as
// often as there are messages.
void Network::pump(std::size_t from, std::size_t to, std::size_t lane, std::uint64_t session_id) {
  Way& w = way(from, to);
  Queue& q = w.lanes[lane];
  if (session(from, to) != session_id || q.parcels.empty() || q.parcels.front().at_us > world_.queue.now_us())
    return;
  if (w.blocked || !way(to, from).up) return;
  Bytes message = std::move(q.parcels.front().message);
  q.parcels.pop_front();
  q.bytes -= message.size();
  if (q.refused && q.bytes <= world_.weather.lane_bytes_max / 2) {
    q.refused = false;
    world_.queue.after(0, [this, from, to, lane, session_id] {
      if (session(from, to) == session_id && way(from, to).up)
        user_.writable(from, to, static_cast<Lane>(lane));
    });
  }
  user_.received(to, from, static_cast<Lane>(lane), std::move(message));
}

bool Network::carries_contents() const {
  return std::any_of(ways_.begin(), ways_.end(), [](const Way& w) {
    return !w.lanes[static_cast<std::size_t>(Lane::small)].parcels.empty() || !w.lanes[static_cast<std::size_t>(Lane::bulk)].parcels.empty();
  });
}

void Network::side_up(std::size_t node, std::size_t peer, std::uint64_t session_id) {
  if (session(node, peer) != session_id || !user_.linkable(node)) return;
  way(node, peer).up = true;
  user_.link_up(node, peer);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {  // what the other side, up earlier, has sent already
    for (const Parcel& p : way(peer, node).lanes[lane].parcels) {
      world_.queue.at(p.at_us, [this, node, peer, lane, session_id] { pump(peer, node, lane, session_id); });
    }
  }
}

void Network::side_down(std::size_t node, std::size_t peer) {
  Way& w = way(node, peer);
  if (!w.up) return;
  w.up = false;
  for (Queue& q : w.lanes) q = {};
  user_.link_down(node, peer);
}

// Nothing passes any more from this moment on; each side learns of it in its own time.
void Network::end_session(std::size_t a, std::size_t b, std::uint64_t noticed_within_us) {
  std::uint64_t& id = session(a, b);
  if (id % 2 == 0) return;
  ++id;
  for (const auto& [node, peer] : {std::pair(a, b), std::pair(b, a)}) {
    world_.queue.after(random_.between(0, noticed_within_us), [this, node = node, peer = peer, ended = id] {
      if (session(node, peer) == ended) side_down(node, peer);
    });
  }
  connect_later(a, b, noticed_within_us + kRedialMaxUs);
}

void Network::connect_later(std::size_t a, std::size_t b, std::uint64_t within_us) {
  world_.queue.after(random_.between(1000, within_us), [this, a, b] { connect(a, b); });
}

void Network::connect(std::size_t a, std::size_t b) {
  std::uint64_t& id = session(a, b);
  if (a == b || id % 2 == 1 || way(a, b).blocked || way(b, a).blocked || !user_.linkable(a) ||
      !user_.linkable(b) || !user_.may_link(a, b))
    return;
  side_down(a, b);  // a side that had not noticed the end of the last session
  side_down(b, a);
  if (!user_.linkable(a) || !user_.linkable(b)) return;  // it has died of the news
  for (const auto& [node, peer] : {std::pair(a, b), std::pair(b, a)}) {
    for (Queue& q : way(node, peer).lanes) q = {};
  }
  ++id;
  for (const auto& [node, peer] : {std::pair(a, b), std::pair(b, a)}) {
    world_.queue.after(random_.between(world_.weather.latency_us_min, world_.weather.latency_us_max),
                       [this, node = node, peer = peer, started = id] { side_up(node, peer, started); });
  }
}

void Network::block(std::size_t from, std::size_t to) {
  if (from == to || way(from, to).blocked) return;
  way(from, to).blocked = true;
  world_.queue.after(random_.between(kSilenceMinUs, kSilenceMaxUs), [this, from, to, id = session(from, to)] {
    if (way(from, to).blocked && session(from, to) == id) end_session(from, to, kSilenceMaxUs / 2);
  });
}

void Network::mend(std::size_t a, std::size_t b) {
  if (a == b) return;
  way(a, b).slow = way(b, a).slow = false;
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    if (!way(from, to).blocked) continue;
    way(from, to).blocked = false;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {  // what was held up arrives after all
      for (const Parcel& p : way(from, to).lanes[lane].parcels) {
        world_.queue.at(p.at_us,
                        [this, from = from, to = to, lane, id = session(a, b)] { pump(from, to, lane, id); });
      }
    }
  }
  connect_later(a, b, kRedialMaxUs);
}

void Network::reset(std::size_t a, std::size_t b) {
  if (a != b) end_session(a, b, 50'000);
}

void Network::node_up(std::size_t node) {
  for (std::size_t peer = 0; peer < nodes_; ++peer) {
    if (peer != node) connect_later(node, peer, kRedialMaxUs);
  }
}

void Network::node_down(std::size_t node) {
  for (std::size_t peer = 0; peer < nodes_; ++peer) {
    if (peer == node) continue;
    way(node, peer).up = false;  // nobody is there to be told
    for (Queue& q : way(node, peer).lanes) q = {};
    end_session(node, peer, kSilenceMaxUs);
  }
}

void Network::heal() {
  for (std::size_t a = 0; a < nodes_; ++a) {
    for (std::size_t b = a + 1; b < nodes_; ++b) mend(a, b);
  }
}

}  // namespace syncline::sim

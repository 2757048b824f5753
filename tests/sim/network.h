#pragma once
#include <array>
#include <deque>

#include "node/transport.h"
#include "tests/sim/random.h"
#include "tests/sim/world.h"

namespace syncline::sim {

// The links between nodes, with the promises of node/transport.h and no others: messages of one lane arrive
// whole, once and in order while the link is up; lanes overtake each other; what is in flight when a link
// goes down is lost, whether the sender knows or not.
class Network {
 public:
  class User {
   public:
    virtual ~User() = default;
    virtual bool linkable(std::size_t node) const = 0;
    virtual bool may_link(std::size_t a, std::size_t b) const = 0;  // both run
    virtual void link_up(std::size_t node, std::size_t peer) = 0;
    virtual void link_down(std::size_t node, std::size_t peer) = 0;
    virtual void received(std::size_t node, std::size_t peer, Lane lane, Bytes message) = 0;
    virtual void writable(std::size_t node, std::size_t peer, Lane lane) = 0;
  };
  Network(World& world, std::size_t nodes, User& user);

  // False: not taken, as Transport::send().
  bool send(std::size_t from, std::size_t to, Lane lane, Bytes message);
  void block(std::size_t from, std::size_t to);  // one way; both sides notice after some seconds
  void mend(std::size_t a, std::size_t b);
  void reset(std::size_t a, std::size_t b);
  void slow(std::size_t a, std::size_t b) { way(a, b).slow = way(b, a).slow = true; }
  void node_up(std::size_t node);
  void node_down(std::size_t node);
  void heal();
  bool is_linked(std::size_t a, std::size_t b) { return session(a, b) % 2 == 1 || way(a, b).up || way(b, a).up; }  // as either believes
  bool passes(std::size_t a, std::size_t b) { return !way(a, b).blocked && !way(b, a).blocked; }
  bool carries_contents() const;  // of what was asked for a while ago: a slow line is longer than any pause of the nodes
  std::size_t queued_bytes_max() const { return queued_bytes_max_; }

 private:
  struct Parcel {
    std::uint64_t at_us = 0;
    Bytes message;
  };
  struct Queue {
    std::deque<Parcel> parcels;
    std::size_t bytes = 0;
    std::uint64_t sent_us = 0, arrives_us = 0;
    bool refused = false;
  };
  // One direction: `up` is what its sender believes.
  struct Way {
    bool up = false;
    bool blocked = false;
    bool slow = false;
    std::array<Queue, kLanes> lanes;
  };

  Way& way(std::size_t from, std::size_t to) { return ways_[from * nodes_ + to]; }
  std::uint64_t& session(std::size_t a, std::size_t b) {
    return sessions_[std::min(a, b) * nodes_ + std::max(a, b)];
  }
  void pump(std::size_t from, std::size_t to, std::size_t lane, std::uint64_t session_id);
  void connect_later(std::size_t a, std::size_t b, std::uint64_t within_us);
  void connect(std::size_t a, std::size_t b);
  void side_up(std::size_t node, std::size_t peer, std::uint64_t session_id);
  void side_down(std::size_t node, std::size_t peer);
  void end_session(std::size_t a, std::size_t b, std::uint64_t noticed_within_us);

  World& world_;
  std::size_t nodes_;
  User& user_;
  Random random_;
  std::vector<Way> ways_;
  std::vector<std::uint64_t> sessions_;  // odd: a session is on; a closed one never comes back
  std::size_t queued_bytes_max_ = 0;
};

}  // namespace syncline::sim

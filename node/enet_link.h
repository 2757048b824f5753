#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "node/enet_socket.h"
#include "node/transport.h"

struct _ENetEvent;

namespace syncline {

// One ENet connection: an ENet host of its own with a single peer, so that neither address nor slot is ever
// shared, and the cost of a call does not grow with the number of members. One channel a lane, reliable and
// ordered. One thread.
class EnetLink {
 public:
  struct Options {
    bool initiator = false;
    std::size_t datagram_bytes = 0;  // the longest ENet may make; the initiator's counts
  };
  // Every call may come from inside service(); only `wire` may be used from there, not the link itself.
  struct Events {
    std::function<void()> connected;
    std::function<void(std::uint32_t code)> closed;  // by the peer, or given up; nothing follows
    std::function<void(std::size_t lane, BytesView chunk)> chunk;  // in order within its lane
  };

  // nullptr: out of memory.
  static std::unique_ptr<EnetLink> create(const Options& options, EnetWire& wire);
  ~EnetLink();

  // Receives what the wire has, retransmits, sends. Stops early once `closed` was called.
  void service(Clock::time_point now, const Events& events);
  // Sends what was handed over.
  void flush(Clock::time_point now);
  Clock::time_point next_timer(Clock::time_point now) const;
  // This process did not run for a while: that time does not count towards the peer's time-outs.
  void excuse(Clock::duration stall) { excused_ += stall; }

  // The chunk becomes ENet's. The caller watches in_flight_bytes() and undelivered_bytes() before.
  void hand(std::size_t lane, std::unique_ptr<Bytes> chunk);
  std::size_t in_flight_bytes() const;  // sent, or about to be, and not known to have arrived
  // Handed over since the oldest chunk of the lane that has not arrived: what may be waiting for it at the
  // peer.
  std::size_t undelivered_bytes(std::size_t lane) const { return undelivered_[lane]; }

  bool idle() const { return undelivered_[0] + undelivered_[1] + undelivered_[2] == 0; }

  // Bytes that ENet itself lets be under way. ENet forgets it whenever a peer comes or goes, so it is set
  // again and again.
  void set_window(std::size_t bytes) { window_bytes_ = bytes; }
  struct Path {
    std::uint32_t rtt_ms = 0;
    std::uint64_t sent = 0, lost = 0;  // commands, of this link's life; lost: sent again after a time-out
    std::uint64_t acked_bytes = 0;
  };
  Path path() const;

  // Tells the peer, with a code, that the link ends. `close` waits for the peer's word (`closed` is called),
  // `close_now` does not.
  void close(std::uint32_t code, Clock::time_point now);
  void close_now(std::uint32_t code, Clock::time_point now);

 private:
  struct Host;
  struct Handed;

  explicit EnetLink(EnetWire& wire);
  std::uint32_t enet_time(Clock::time_point now) const;
  void assert_settings();
  void count_path();
  void limit_back_off();
  bool dispatch(const _ENetEvent& event, const Events& events);
  void chunk_acked(Handed& handed);

  EnetWire& wire_;
  std::array<std::deque<std::unique_ptr<Handed>>, kLanes> handed_;
  std::array<std::size_t, kLanes> undelivered_{};
  std::size_t unsent_bytes_ = 0;  // handed over since ENet last sent
  std::size_t window_bytes_ = 0;
  Clock::duration excused_{0};
  std::uint64_t handed_bytes_ = 0, acked_bytes_ = 0, sent_ = 0, lost_ = 0;
  std::uint32_t last_sent_ = 0, last_lost_ = 0;
  std::unique_ptr<Host> host_;  // last: its destructor gives the chunks back
};

}  // namespace syncline

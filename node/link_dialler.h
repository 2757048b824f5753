#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "node/datagram_resolver.h"
#include "node/datagram_socket.h"
#include "node/transport.h"
#include "protocol/handshake_cookie.h"

namespace syncline {

// Whom to call next, and when: one peer's addresses in turn, each round later than the one before.
class LinkDialler {
 public:
  explicit LinkDialler(std::vector<std::string> addresses) : addresses_(std::move(addresses)) {}

  void set_addresses(std::vector<std::string> addresses);
  const std::vector<std::string>& addresses() const { return addresses_; }

  // The address to call now. nullopt: not yet, or a name is still being looked up.
  std::optional<Endpoint> due(Clock::time_point now, Resolver& resolver, const DatagramSocket& socket);
  Clock::time_point next() const { return next_; }  // when due() may have an answer; max() without addresses
  // From the beginning, after `delay`: the link was up.
  void restart(Clock::time_point now, Clock::duration delay);
  std::size_t rounds() const { return rounds_; }  // times that every address was called in vain
  const std::string& problem() const {
    return problem_;
  }  // with the addresses themselves, one line; else empty

  // What the peer gave us against a flood; good for two minutes.
  void keep_cookie(const Mac& cookie, Clock::time_point now);
  std::optional<Mac> cookie(Clock::time_point now) const;
  // Indices of unanswered calls; above limits::pending_inits the oldest is returned, to be forgotten.
  std::optional<std::uint32_t> add_pending(std::uint32_t index);
  const std::deque<std::uint32_t>& pending() const { return pending_; }
  void forget_pending() { pending_.clear(); }

 private:
  void back_off(Clock::time_point now);

  std::vector<std::string> addresses_;
  std::deque<Endpoint> found_;  // of this round, still to be called
  std::size_t at_ = 0, rounds_ = 0;
  Clock::time_point next_{};
  std::string problem_;
  std::optional<Mac> cookie_;
  Clock::time_point cookie_until_{};
  std::deque<std::uint32_t> pending_;
};

}  // namespace syncline

#include "node/link_dialler.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "protocol/limits.h"

namespace syncline {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirst{100}, kLongest{5000};
constexpr milliseconds kNextAddress{50};  // between the addresses of one round
constexpr milliseconds kLookUp{20};       // between questions to the resolver
constexpr std::chrono::seconds kCookieFor{120};

}  // namespace

void LinkDialler::set_addresses(std::vector<std::string> addresses) {
  if (addresses == addresses_) return;
  addresses_ = std::move(addresses);
  found_.clear();
  at_ = rounds_ = 0;
  next_ = {};
}

void LinkDialler::restart(Clock::time_point now, Clock::duration delay) {
  found_.clear();
  at_ = rounds_ = 0;
  next_ = now + delay;
  problem_.clear();
}

std::optional<Endpoint> LinkDialler::due(Clock::time_point now, Resolver& resolver,
                                         const DatagramSocket& socket) {
  if (addresses_.empty()) {
    next_ = Clock::time_point::max();
    return std::nullopt;
  }
  if (now < next_) return std::nullopt;
  if (found_.empty()) {
    const auto answer = resolver.ask(addresses_[at_]);
    if (!answer) {
      next_ = now + kLookUp;
      return std::nullopt;
    }
    if (!*answer) problem_ = answer->error().message;
    if (*answer) found_.assign((*answer)->begin(), (*answer)->end());
    std::erase_if(found_,
                  [&](const Endpoint& e) { return !socket.can_reach(e) || e.is_any() || e.port == 0; });
    if (*answer && found_.empty())
      problem_ = fmt::format("'{}' cannot be reached from here", addresses_[at_]);
  }
  std::optional<Endpoint> out;
  if (!found_.empty()) {
    out = found_.front();
    found_.pop_front();
    problem_.clear();
  }
  if (found_.empty()) at_ = (at_ + 1) % addresses_.size();
  if (found_.empty() && at_ == 0)
    back_off(now);
  else
    next_ = now + kNextAddress;
  return out;
}

// Doubles, with a quarter of jitter either way, so that nodes that lost each other do not call in step.
void LinkDialler::back_off(Clock::time_point now) {
  const milliseconds base =
      std::min(kLongest, milliseconds(kFirst.count() << std::min<std::size_t>(rounds_, 10)));
  ++rounds_;
  next_ = now + base * (75 + randombytes_uniform(51)) / 100;
}

void LinkDialler::keep_cookie(const Mac& cookie, Clock::time_point now) {
  cookie_ = cookie;
  cookie_until_ = now + kCookieFor;
  next_ = std::min(next_, now + kNextAddress);
}

std::optional<Mac> LinkDialler::cookie(Clock::time_point now) const {
  return now < cookie_until_ ? cookie_ : std::nullopt;
}

std::optional<std::uint32_t> LinkDialler::add_pending(std::uint32_t index) {
  pending_.push_back(index);
  if (pending_.size() <= limits::pending_inits) return std::nullopt;
  const std::uint32_t oldest = pending_.front();
  pending_.pop_front();
  return oldest;
}

}  // namespace syncline

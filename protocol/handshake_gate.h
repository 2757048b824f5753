#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>

#include "protocol/bytes.h"

namespace syncline {

// A budget that refills: `take` succeeds `burst` times at once and `per_second` times a second in the long
// run.
class TokenBucket {
 public:
  TokenBucket(std::uint32_t per_second, std::uint32_t burst) : per_second_(per_second), burst_(burst) {}
  bool take(std::uint64_t now_ms);
  bool full(std::uint64_t now_ms) const;

 private:
  std::uint64_t level(std::uint64_t now_ms) const;  // in thousandths
  std::uint64_t per_second_, burst_;
  std::uint64_t thousandths_ = 0, at_ms_ = 0;
  bool used_ = false;
};

// Decides what an init that passed mac1 may cost us. Few of them are answered at once; above that rate the
// caller must first show by a cookie that it owns its address, and then each source has a rate of its own.
// Bounds the work (some 160 us a handshake: a sixth of a core at most, whatever comes in) and the memory
// (limits::handshake_sources).
class HandshakeGate {
 public:
  enum class Verdict : std::uint8_t { answer, ask_cookie, drop };

  // `source`: what one attacker has only one of, at most 16 bytes: an IPv4 address or an IPv6 /64. Monotonic
  // milliseconds.
  Verdict admit(bool has_cookie, BytesView source, std::uint64_t now_ms);

 private:
  TokenBucket open_{64, 64}, cookies_{20'000, 2'000}, proven_{1000, 100};
  std::unordered_map<std::string, TokenBucket> sources_;
};

}  // namespace syncline

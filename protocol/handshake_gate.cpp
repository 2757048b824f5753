#include "protocol/handshake_gate.h"

#include <algorithm>

#include "protocol/limits.h"

namespace syncline {
namespace {
constexpr std::uint32_t kPerSource = 10;  // a second; a node that dials needs one or two
}

std::uint64_t TokenBucket::level(std::uint64_t now_ms) const {
  if (!used_) return burst_ * 1000;
  return std::min(burst_ * 1000, thousandths_ + (now_ms - at_ms_) * per_second_);
}

bool TokenBucket::full(std::uint64_t now_ms) const { return level(now_ms) == burst_ * 1000; }

bool TokenBucket::take(std::uint64_t now_ms) {
  const std::uint64_t have = level(now_ms);
  thousandths_ = have < 1000 ? have : have - 1000;
  at_ms_ = now_ms;
  used_ = true;
  return have >= 1000;
}

HandshakeGate::Verdict HandshakeGate::admit(bool has_cookie, BytesView source, std::uint64_t now_ms) {
  if (open_.take(now_ms)) return Verdict::answer;
  if (!has_cookie) return cookies_.take(now_ms) ? Verdict::ask_cookie : Verdict::drop;

  if (sources_.size() >= limits::handshake_sources)
    std::erase_if(sources_, [&](const auto& entry) { return entry.second.full(now_ms); });
  auto found = sources_.find(std::string(source));
  if (found == sources_.end()) {
    if (sources_.size() >= limits::handshake_sources) return Verdict::drop;
    found = sources_.try_emplace(std::string(source), kPerSource, kPerSource).first;
  }
  return found->second.take(now_ms) && proven_.take(now_ms) ? Verdict::answer : Verdict::drop;
}

}  // namespace syncline

#pragma once
#include <cstdint>
#include <string>

#include "cli/system.h"
#include "protocol/control.h"

namespace syncline {

inline constexpr std::uint64_t kAnswerMs = 30'000;

// One request to the node of this home, and its answer.
template <class Request>
Result<typename Request::Reply> ask(const std::string& home, const Request& request,
                                    std::uint64_t patience_ms = kAnswerMs) {
  const auto line = ask_node(home, encode_request(request), patience_ms);
  if (!line) return tl::unexpected(line.error());
  return decode_reply<typename Request::Reply>(*line);
}

}  // namespace syncline

#pragma once
#include <array>
#include <cstdint>

#include "protocol/messages.h"

namespace syncline::scale {

// Messages as they go to the transport, counted by kind. What ENet, the sealing and UDP put around them is
// not in it (protocol/LINKS.md).
struct Traffic {
  struct Count {
    std::uint64_t messages = 0, bytes = 0;
  };
  std::array<Count, std::variant_size_v<Message>> kinds{};
  std::uint64_t contents_bytes = 0;  // of the bytes: files

  void add(BytesView message);
  Count all() const;
  Count of(std::size_t kind) const { return kinds[kind]; }
  Count but_digests() const;  // what would not have been said had nothing happened
  std::uint64_t but_contents() const { return but_digests().bytes - contents_bytes; }
};

// Where Message has M.
template <class M, std::size_t at = 0>
constexpr std::size_t kind_of() {
  if constexpr (std::is_same_v<M, std::variant_alternative_t<at, Message>>)
    return at;
  else
    return kind_of<M, at + 1>();
}

}  // namespace syncline::scale

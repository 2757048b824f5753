#pragma once
#include <cstdint>

#include "protocol/bytes.h"
#include "protocol/ids.h"

// What the datagrams of a link look like from outside: the first byte and the places every parser shares
// (LINKS.md).
namespace syncline {

enum class DatagramType : std::uint8_t {
  init = 1,  // member calls member
  response = 2,
  cookie = 3,
  data = 4,
  refusal = 5,
  join_init = 6,  // newcomer calls its inviter
};

// Of everything a link carries, the messages above it included. Spoken by both ends or there is no link.
inline constexpr std::uint8_t kLinkVersion = 2;

// Where the fields lie. Type, version, index and macs of an init stay there in every later version.
namespace wire {
inline constexpr std::size_t type_at = 0, version_at = 1, code_at = 2, index_at = 4;
inline constexpr std::size_t mac_bytes = 16;
inline constexpr std::size_t token_id_bytes = 8;
inline constexpr std::size_t init_header_bytes = 16;   // type, version, 2 zero, sender's index, token id
inline constexpr std::size_t init_payload_bytes = 24;  // timestamp, session to continue, ciphers, 7 zero
inline constexpr std::size_t init_mac1_at = init_header_bytes + 80 + init_payload_bytes + 16;
inline constexpr std::size_t init_bytes = init_mac1_at + 2 * mac_bytes;
inline constexpr std::size_t response_header_bytes = 8;   // type, version, 2 zero, receiver's index
inline constexpr std::size_t response_payload_bytes = 8;  // sender's index, cipher, fresh, 2 zero
inline constexpr std::size_t response_bytes = response_header_bytes + 32 + response_payload_bytes + 16;
inline constexpr std::size_t cookie_bytes = 8 + 24 + mac_bytes + 16;
inline constexpr std::size_t refusal_bytes = 8 + mac_bytes;
}  // namespace wire

// Nothing that a stranger can make us send is longer than what he sent.
static_assert(wire::response_bytes <= wire::init_bytes && wire::cookie_bytes <= wire::init_bytes &&
              wire::refusal_bytes <= wire::init_bytes);

inline std::uint8_t byte_at(BytesView datagram, std::size_t at) {
  return static_cast<std::uint8_t>(datagram[at]);
}

inline std::uint32_t u32_at(BytesView datagram, std::size_t at) {
  std::uint32_t v = 0;
  for (std::size_t i = 4; i-- > 0;) v = v << 8 | byte_at(datagram, at + i);
  return v;
}

}  // namespace syncline

#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

#include "protocol/bytes.h"

namespace syncline {

// A fixed number of opaque bytes with a total order; Tag keeps the kinds apart at compile time.
template <std::size_t N, class Tag>
struct FixedBytes {
  static constexpr std::size_t size = N;
  std::array<std::uint8_t, N> bytes{};

  auto operator<=>(const FixedBytes&) const = default;
  bool is_zero() const { return *this == FixedBytes{}; }
  BytesView view() const { return {reinterpret_cast<const char*>(bytes.data()), N}; }
  static FixedBytes from(BytesView raw) {  // raw.size() must be at least N
    FixedBytes out;
    std::memcpy(out.bytes.data(), raw.data(), N);
    return out;
  }
};

using ActorId = FixedBytes<16, struct ActorTag>;      // one incarnation of one index: a writer of versions
using NodeId = FixedBytes<32, struct NodeTag>;        // a machine's Ed25519 public key
using ClusterId = FixedBytes<16, struct ClusterTag>;  // random, made by `init`
using Hash128 = FixedBytes<16, struct HashTag>;       // XXH3-128 with the cluster's secret, canonical (big-endian) form
using Key32 = FixedBytes<32, struct KeyTag>;          // an X25519 key or a symmetric secret

using FolderId = std::uint32_t;  // 0 is the cluster's own data, 1 the folder it was founded with; others: folder_id_of() in member.h
inline constexpr FolderId kClusterFolder = 0, kFirstFolder = 1;

// Names one version for ever: the seq-th write of an actor. seq starts at 1; a zero dot means "none".
struct Dot {
  ActorId actor;
  std::uint64_t seq = 0;
  auto operator<=>(const Dot&) const = default;
};

// Lower-case hexadecimal, and its inverse (nullopt for an odd length or a foreign character).
std::string to_hex(BytesView raw);
std::optional<Bytes> from_hex(std::string_view text);
template <std::size_t N, class Tag>
std::string to_hex(const FixedBytes<N, Tag>& id) { return to_hex(id.view()); }

}  // namespace syncline

template <std::size_t N, class Tag>
struct std::hash<syncline::FixedBytes<N, Tag>> {
  std::size_t operator()(const syncline::FixedBytes<N, Tag>& id) const noexcept {
    std::size_t head = 0;  // the ids are random or hashes: their first bytes are as good as any hash of them
    std::memcpy(&head, id.bytes.data(), sizeof head);
    return head;
  }
};

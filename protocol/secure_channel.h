#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/handshake_wire.h"
#include "protocol/ids.h"

// Sealed datagrams between two ends that share keys: type, receiver's index, 64-bit counter, ciphertext and
// tag (LINKS.md, "Data"). No IO, no clock (times are monotonic milliseconds of the caller), one thread.
namespace syncline {

enum class Cipher : std::uint8_t { chacha20_poly1305 = 1, aes256_gcm = 2 };  // bits of an offer
std::uint8_t available_ciphers();  // AES-GCM only where the CPU has it: libsodium has no other

// What a handshake yields. Wipes itself.
struct ChannelSecrets {
  ~ChannelSecrets();
  Key32 send, receive;
  Cipher cipher = Cipher::chacha20_poly1305;
  std::uint32_t own_index = 0,
                peer_index = 0;  // what the other end, and we, put into datagrams to be found by
};

inline constexpr std::size_t kSealHeadBytes = 13;
inline constexpr std::size_t kSealTagBytes = 16;
inline constexpr std::size_t kSealBytes =
    kSealHeadBytes + kSealTagBytes;  // what a datagram is longer than its content

// The counters seen of late (RFC 6479). Counters may come in any order within a window of 8,128; each counts
// once.
class ReplayWindow {
 public:
  bool is_new(std::uint64_t counter) const;
  void mark(std::uint64_t counter);           // is_new(counter) must hold
  std::uint64_t end() const { return end_; }  // above the greatest counter marked

 private:
  static constexpr std::size_t kWords = 128;  // 8,192 bits, one word of which is always in transition
  std::array<std::uint64_t, kWords> bits_{};
  std::uint64_t end_ = 0;
};

// One pair of directional keys, from one handshake. Wiped on destruction.
class ChannelKeys {
 public:
  ChannelKeys(const ChannelSecrets& secrets, std::uint64_t now_ms);
  ~ChannelKeys();
  ChannelKeys(const ChannelKeys&) = delete;
  ChannelKeys& operator=(const ChannelKeys&) = delete;

  std::uint32_t own_index() const { return own_index_; }
  std::uint64_t born_ms() const { return born_ms_; }
  std::uint64_t sent() const { return next_; }
  std::uint64_t received_end() const { return window_.end(); }

  // Seals datagram[13, 13 + plain_size) in place and writes head and tag; returns the datagram's size.
  std::size_t seal(std::span<std::uint8_t> datagram, std::size_t plain_size);
  // Opens into `out` (at least datagram.size() - kSealBytes). nullopt: forged, replayed or too old.
  std::optional<std::size_t> open(BytesView datagram, std::span<std::uint8_t> out);

 private:
  struct Ciphers;
  std::unique_ptr<Ciphers> ciphers_;
  std::uint32_t own_index_, peer_index_;
  std::uint64_t born_ms_;
  std::uint64_t next_ = 0;
  ReplayWindow window_;
};

// The keys of one link through its life: the current ones, the previous ones for what is still under way, and
// as responder the next ones, which are not used for sending before the initiator has shown that it has them.
// So new keys leave no gap.
class SecureChannel {
 public:
  struct Limits {
    std::uint64_t rekey_after_ms = 120'000;             // the initiator asks for new keys
    std::uint64_t rekey_after_datagrams = 1ULL << 25;   // in either direction; some 46 GB
    std::uint64_t expire_after_ms = 240'000;            // without new keys by then, the channel is dead
    std::uint64_t expire_after_datagrams = 1ULL << 32;  // far below what AES-GCM allows for these sizes
    std::uint64_t previous_for_ms = 10'000;             // how long old keys still open what comes late
  };
  SecureChannel() = default;
  explicit SecureChannel(const Limits& limits) : limits_(limits) {}

  // New keys. The initiator sends with them at once (and must send something: that confirms them), the
  // responder from the first datagram that opens with them.
  void install(const ChannelSecrets& secrets, bool initiator, std::uint64_t now_ms);

  bool can_send() const { return current_ != nullptr; }
  std::size_t seal(std::span<std::uint8_t> datagram, std::size_t plain_size);

  struct Opened {
    std::size_t size = 0;
    bool newest = false;     // no later datagram has come: the peer's address is the one this came from
    bool confirmed = false;  // the first with new keys
  };
  std::optional<Opened> open(BytesView datagram, std::span<std::uint8_t> out, std::uint64_t now_ms);

  bool wants_rekey(std::uint64_t now_ms) const;
  bool expired(std::uint64_t now_ms) const;
  void tick(std::uint64_t now_ms);  // forgets the previous keys when their time is over
  // Every own index in use: what the owner's table of indices must hold. `changes` counts how often they
  // changed.
  std::vector<std::uint32_t> indices() const;
  std::uint64_t changes() const { return changes_; }

 private:
  Limits limits_;
  std::unique_ptr<ChannelKeys> previous_, current_, next_;
  std::uint64_t previous_until_ms_ = 0, changes_ = 0;
};

}  // namespace syncline

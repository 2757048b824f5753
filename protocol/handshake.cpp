#include "protocol/handshake.h"

#include <fmt/format.h>
#include <sodium.h>

#include "protocol/codec.h"

namespace syncline {
namespace {

constexpr std::size_t kNoiseAt = wire::init_header_bytes;

// Everything in clear that both sides must agree on, so that a changed byte breaks the handshake.
Bytes prologue(HandshakeKind kind, const ClusterId& cluster, BytesView init_header) {
  Bytes out = "syncline link";
  if (kind == HandshakeKind::member) out += cluster.view();  // a newcomer does not know it yet
  return out.append(init_header);
}

noise::PskAfter psk_after(HandshakeKind kind) {
  return kind == HandshakeKind::member ? noise::PskAfter::second : noise::PskAfter::first;
}

std::uint64_t session_name(const noise::Hash512& transcript) {
  Reader r(transcript.view());
  return r.u64() | 1;
}

HandshakeDone done(const noise::SplitKeys& keys, bool initiator, Cipher cipher, std::uint32_t own,
                   std::uint32_t peer, bool fresh) {
  HandshakeDone out;
  out.secrets.send = initiator ? keys.first : keys.second;
  out.secrets.receive = initiator ? keys.second : keys.first;
  out.secrets.cipher = cipher;
  out.secrets.own_index = own;
  out.secrets.peer_index = peer;
  out.session = session_name(keys.transcript);
  out.fresh = fresh;
  return out;
}

Bytes init_header(const HandshakeInitiator::Options& o) {
  Writer w;
  w.u8(static_cast<std::uint8_t>(o.kind == HandshakeKind::member ? DatagramType::init
                                                                 : DatagramType::join_init));
  w.u8(kLinkVersion);
  w.raw(BytesView("\0\0", 2));
  w.u32(o.index);
  for (std::uint8_t byte : o.kind == HandshakeKind::join ? o.token_id : TokenId{}) w.u8(byte);
  return w.take();
}

Bytes init_payload(const HandshakeInitiator::Options& o) {
  Writer w;
  w.u64(o.timestamp);
  w.u64(o.session);
  w.u8(o.ciphers);
  w.raw(BytesView("\0\0\0\0\0\0\0", 7));
  return w.take();
}

// What a refusal means, as one line about the peer.
std::optional<std::string> describe(std::uint8_t code, std::uint8_t peer_version) {
  switch (static_cast<Refusal>(code)) {
    case Refusal::version:
      return fmt::format("the other side speaks link version {}, this one {}: upgrade the older",
                         peer_version, kLinkVersion);
    case Refusal::cannot_read:
      return "the other side belongs to another cluster";
    case Refusal::not_member:
      return "this node's key is not on the other side's member list";
    case Refusal::token:
      return "the token is unknown there, expired, used or mistyped";
    case Refusal::stale:
      return "this node's clock is behind what the other side has seen of it";
  }
  return std::nullopt;
}

}  // namespace

Bytes refusal_reply(BytesView init, Refusal why) {
  Bytes out(wire::refusal_bytes, '\0');
  out[wire::type_at] = static_cast<char>(DatagramType::refusal);
  out[wire::version_at] = static_cast<char>(kLinkVersion);
  out[wire::code_at] = static_cast<char>(why);
  out.replace(wire::index_at, 4, init.substr(wire::index_at, 4));
  out.replace(8, wire::mac_bytes, init.substr(wire::init_mac1_at, wire::mac_bytes));
  return out;
}

std::optional<std::uint32_t> receiver_index(BytesView datagram) {
  if (datagram.size() < 8) return std::nullopt;
  switch (static_cast<DatagramType>(byte_at(datagram, wire::type_at))) {
    case DatagramType::data:
      return u32_at(datagram, 1);
    case DatagramType::response:
    case DatagramType::cookie:
    case DatagramType::refusal:
      return u32_at(datagram, wire::index_at);
    case DatagramType::init:
    case DatagramType::join_init:
      break;
  }
  return std::nullopt;
}

Result<HandshakeInitiator> HandshakeInitiator::start(const Options& options,
                                                     const std::optional<Mac>& cookie) {
  const Bytes header = init_header(options);
  HandshakeInitiator self(
      options, noise::Initiator(psk_after(options.kind), prologue(options.kind, options.cluster, header),
                                options.own, options.responder, options.psk));
  const std::optional<Bytes> noise = self.state_.write_first(options.ephemeral, init_payload(options));
  if (!noise) return fail(Error::Code::invalid, "the peer's link key is not a usable X25519 key");
  self.init_ = header + *noise;
  append_macs(self.init_, options.responder, cookie);
  // The Noise state has copies and wipes them.
  sodium_memzero(&self.options_.own.secret, Key32::size);
  sodium_memzero(&self.options_.ephemeral.secret, Key32::size);
  sodium_memzero(&self.options_.psk, Key32::size);
  return self;
}

HandshakeInitiator::Outcome HandshakeInitiator::receive(BytesView datagram) {
  if (receiver_index(datagram) != options_.index) return Ignored{};
  const BytesView mac1 = BytesView(init_).substr(wire::init_mac1_at, wire::mac_bytes);
  switch (static_cast<DatagramType>(byte_at(datagram, wire::type_at))) {
    case DatagramType::response:
      return receive_response(datagram);
    case DatagramType::cookie:
      if (auto cookie = open_cookie(datagram, options_.responder, mac1)) return *cookie;
      return Ignored{};
    case DatagramType::refusal: {
      if (datagram.size() != wire::refusal_bytes || datagram.substr(8) != mac1) return Ignored{};
      auto reason = describe(byte_at(datagram, wire::code_at), byte_at(datagram, wire::version_at));
      if (!reason) return Ignored{};
      return Refused{std::move(*reason)};
    }
    default:
      return Ignored{};
  }
}

HandshakeInitiator::Outcome HandshakeInitiator::receive_response(BytesView datagram) {
  if (datagram.size() != wire::response_bytes || byte_at(datagram, wire::version_at) != kLinkVersion ||
      datagram.substr(2, 2) != BytesView("\0\0", 2))
    return Ignored{};
  const std::optional<Bytes> payload = state_.read_second(datagram.substr(wire::response_header_bytes));
  if (!payload) {
    if (options_.kind == HandshakeKind::join) return Ignored{};  // its key was checked with the init
    return Refused{"the other side's answer is not authentic: its cluster secret differs from this node's"};
  }
  Reader r(*payload);
  const std::uint32_t peer_index = r.u32();
  const std::uint8_t cipher = r.u8();
  const bool fresh = r.u8() != 0;
  const bool offered = (cipher == static_cast<std::uint8_t>(Cipher::chacha20_poly1305) ||
                        cipher == static_cast<std::uint8_t>(Cipher::aes256_gcm)) &&
                       (cipher & options_.ciphers) != 0;
  if (!r.ok() || !offered) return Ignored{};
  const noise::SplitKeys keys = state_.split();
  return done(keys, true, static_cast<Cipher>(cipher), options_.index, peer_index, fresh);
}

HandshakeResponder::HandshakeResponder(HandshakeKind kind, BytesView init, noise::Responder state)
    : kind_(kind), init_(init), state_(std::move(state)) {}

std::variant<HandshakeResponder, Refusal> HandshakeResponder::open(const Options& options, BytesView init) {
  if (byte_at(init, wire::version_at) != kLinkVersion) return Refusal::version;
  const HandshakeKind kind =
      byte_at(init, wire::type_at) == static_cast<std::uint8_t>(DatagramType::join_init)
          ? HandshakeKind::join
          : HandshakeKind::member;
  const BytesView header = init.substr(0, wire::init_header_bytes);
  HandshakeResponder self(
      kind, init, noise::Responder(psk_after(kind), prologue(kind, options.cluster, header), options.own));
  const BytesView noise = init.substr(kNoiseAt, wire::init_mac1_at - kNoiseAt);
  const std::optional<Key32> caller = self.state_.read_static(noise);
  if (!caller) return Refusal::cannot_read;
  self.caller_ = *caller;
  for (std::size_t i = 0; i < self.token_id_.size(); ++i) self.token_id_[i] = byte_at(init, 8 + i);
  return self;
}

bool HandshakeResponder::read_payload(const Key32& psk) {
  const std::optional<Bytes> payload =
      state_.read_payload(BytesView(init_).substr(kNoiseAt, wire::init_mac1_at - kNoiseAt), psk);
  if (!payload) return false;
  Reader r(*payload);
  timestamp_ = r.u64();
  session_ = r.u64();
  ciphers_ = r.u8();
  return r.ok();
}

std::optional<HandshakeResponder::Accepted> HandshakeResponder::accept(std::uint32_t own_index,
                                                                       std::uint8_t own_ciphers, bool fresh,
                                                                       const noise::DhKeys& ephemeral) {
  const unsigned common = ciphers_ & own_ciphers;
  Cipher cipher = Cipher::aes256_gcm;
  if ((common & static_cast<unsigned>(Cipher::aes256_gcm)) == 0) cipher = Cipher::chacha20_poly1305;
  if ((common & static_cast<unsigned>(cipher)) == 0) return std::nullopt;

  Writer payload;
  payload.u32(own_index);
  payload.u8(static_cast<std::uint8_t>(cipher));
  payload.u8(fresh);
  payload.raw(BytesView("\0\0", 2));
  const std::optional<Bytes> noise = state_.write_second(ephemeral, payload.data());
  if (!noise) return std::nullopt;

  const std::uint32_t caller_index = u32_at(init_, wire::index_at);
  Writer response;
  response.u8(static_cast<std::uint8_t>(DatagramType::response));
  response.u8(kLinkVersion);
  response.raw(BytesView("\0\0", 2));
  response.u32(caller_index);
  response.raw(*noise);
  const noise::SplitKeys keys = state_.split();
  return Accepted{response.take(), done(keys, false, cipher, own_index, caller_index, fresh)};
}

}  // namespace syncline

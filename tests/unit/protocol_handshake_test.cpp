#include "protocol/handshake.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "protocol/handshake_gate.h"

namespace syncline {
namespace {

noise::DhKeys key_pair(std::uint8_t seed) {
  Key32 secret;
  secret.bytes.fill(seed);
  return noise::dh_keys(secret);
}

Key32 key_of(std::uint8_t fill) {
  Key32 key;
  key.bytes.fill(fill);
  return key;
}

ClusterId cluster_of(std::uint8_t fill) {
  ClusterId id;
  id.bytes.fill(fill);
  return id;
}

// Two ends that agree on everything; a test bends one thing.
struct Pair {
  noise::DhKeys caller = key_pair(1), responder = key_pair(2);
  HandshakeInitiator::Options call;
  HandshakeResponder::Options answer{responder, cluster_of(7)};
  Key32 psk = key_of(9);
  std::uint8_t ciphers = available_ciphers();

  explicit Pair(HandshakeKind kind = HandshakeKind::member) {
    call.kind = kind;
    call.own = caller;
    call.responder = responder.public_key;
    call.cluster = cluster_of(7);
    call.psk = psk;
    if (kind == HandshakeKind::join) call.token_id = {1, 2, 3, 4, 5, 6, 7, 8};
    call.index = 0x01020304;
    call.timestamp = 1000;
    call.ciphers = available_ciphers();
    call.ephemeral = key_pair(3);
  }

  HandshakeInitiator start(const std::optional<Mac>& cookie = {}) {
    return HandshakeInitiator::start(call, cookie).value();
  }
  // The whole responder's side; nullopt where it refuses.
  std::optional<HandshakeResponder::Accepted> respond(BytesView init) {
    if (!Mac1Check(answer.own.public_key)(init)) return std::nullopt;
    auto opened = HandshakeResponder::open(answer, init);
    auto* responder = std::get_if<HandshakeResponder>(&opened);
    if (!responder || !responder->read_payload(psk)) return std::nullopt;
    return responder->accept(0x0a0b0c0d, ciphers, true, key_pair(4));
  }
  Refusal refusal(BytesView init) { return std::get<Refusal>(HandshakeResponder::open(answer, init)); }
};

class Handshake : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_GE(sodium_init(), 0); }
};

// The published vectors of the reference implementation "cacophony" for our two protocol names: whoever
// implements Noise from its specification talks to us.
struct Vector {
  noise::PskAfter after;
  const char* first;
  const char* second;
  const char* transcript;
};
const Vector kVectors[] = {
    {noise::PskAfter::first,
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944902b84cee06d6795dc5f2501c05ba76688c6ce7"
     "d2ab36d91"
     "ce6d3211721f3280f6264f7c2ea2e6b13d78afb983ae1ffb05f1f4e9fa55356622301ebaff6e9f21c1f43208cbd63fb9b408215"
     "9b8fc5bb3",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088430b230ee9def0e1e7c053a14848bbfb1458026c9"
     "aa2bbbd4b"
     "237cb92491392b",
     "186371bec588c76e8deb325921814d59591519641d70e37cde7ab4bc8b17600e3d9062228a6132e257baf34bc156927e5d85a7d"
     "3ea93f752"
     "4caf13710b226b3b"},
    {noise::PskAfter::second,
     "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944b6fe0240b839afac809de1630eaf99d8f9b9413"
     "94f0512c0"
     "554633bbb021d15176135c0a20e7fdb9a9ed066f22f054b47625b1d5061cb27d6a17f053273db7c25216a5addc506ee321bc061"
     "8feb5849d",
     "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088438f627e69fc120006f746b9d420bf4056cf8481a"
     "b32d9e904"
     "ffaeeaa56a5290",
     "ed837c9084f2f0333a7ec60b9bcacd9921394858de8ced118b5966d1147ba390084dab42326c565a309c29317a6079be30aa1d7"
     "90d25a517"
     "b43287426cb1d36a"},
};

Key32 hex_key(std::string_view hex) { return Key32::from(from_hex(hex).value()); }

TEST_F(Handshake, SpeaksNoiseAsPublished) {
  const auto own =
      noise::dh_keys(hex_key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"));
  const auto peer =
      noise::dh_keys(hex_key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"));
  const auto ours =
      noise::dh_keys(hex_key("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"));
  const auto theirs =
      noise::dh_keys(hex_key("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"));
  const Key32 psk = hex_key("54686973206973206d7920417573747269616e20706572737065637469766521");
  for (const Vector& v : kVectors) {
    noise::Initiator initiator(v.after, "John Galt", own, peer.public_key, psk);
    noise::Responder responder(v.after, "John Galt", peer);
    const Bytes first = initiator.write_first(ours, "Ludwig von Mises").value();
    EXPECT_EQ(to_hex(first), v.first);
    EXPECT_EQ(responder.read_static(first), own.public_key);
    EXPECT_EQ(responder.read_payload(first, psk), "Ludwig von Mises");
    const Bytes second = responder.write_second(theirs, "Murray Rothbard").value();
    EXPECT_EQ(to_hex(second), v.second);
    EXPECT_EQ(initiator.read_second(second), "Murray Rothbard");
    EXPECT_EQ(to_hex(initiator.split().transcript), v.transcript);
    EXPECT_EQ(initiator.split().first, responder.split().first);
    EXPECT_EQ(initiator.split().second, responder.split().second);
  }
}

TEST_F(Handshake, BothEndsHoldTheSameKeysCrosswise) {
  for (const HandshakeKind kind : {HandshakeKind::member, HandshakeKind::join}) {
    Pair pair(kind);
    auto initiator = pair.start();
    const auto accepted = pair.respond(initiator.message());
    ASSERT_TRUE(accepted);
    const auto outcome = initiator.receive(accepted->response);
    const auto* done = std::get_if<HandshakeDone>(&outcome);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->secrets.send, accepted->done.secrets.receive);
    EXPECT_EQ(done->secrets.receive, accepted->done.secrets.send);
    EXPECT_NE(done->secrets.send, done->secrets.receive);
    EXPECT_EQ(done->secrets.own_index, accepted->done.secrets.peer_index);
    EXPECT_EQ(done->secrets.peer_index, accepted->done.secrets.own_index);
    EXPECT_EQ(done->session, accepted->done.session);
    EXPECT_NE(done->session, 0u);
    EXPECT_TRUE(done->fresh);
  }
}

TEST_F(Handshake, CarriesWhatTheCallerSaid) {
  Pair pair;
  pair.call.session = 77;
  auto opened = HandshakeResponder::open(pair.answer, pair.start().message());
  auto& responder = std::get<HandshakeResponder>(opened);
  EXPECT_EQ(responder.caller(), pair.caller.public_key);
  ASSERT_TRUE(responder.read_payload(pair.psk));
  EXPECT_EQ(responder.timestamp(), 1000u);
  EXPECT_EQ(responder.session(), 77u);
}

TEST_F(Handshake, TheCipherIsOneThatBothHave) {
  const auto chacha = static_cast<std::uint8_t>(Cipher::chacha20_poly1305);
  const auto aes = static_cast<std::uint8_t>(Cipher::aes256_gcm);
  const auto agree = [](std::uint8_t caller, std::uint8_t responder) -> std::optional<Cipher> {
    Pair pair;
    pair.call.ciphers = caller;
    pair.ciphers = responder;
    auto initiator = pair.start();
    const auto accepted = pair.respond(initiator.message());
    if (!accepted) return std::nullopt;
    return std::get<HandshakeDone>(initiator.receive(accepted->response)).secrets.cipher;
  };
  EXPECT_EQ(agree(chacha | aes, chacha | aes), Cipher::aes256_gcm);
  EXPECT_EQ(agree(chacha | aes, chacha), Cipher::chacha20_poly1305);
  EXPECT_EQ(agree(chacha, chacha | aes), Cipher::chacha20_poly1305);
  EXPECT_EQ(agree(aes, chacha), std::nullopt);
}

TEST_F(Handshake, AnotherClusterSecretIsNamed) {
  Pair pair;
  auto initiator = pair.start();
  pair.psk = key_of(8);
  const auto accepted = pair.respond(initiator.message());  // IKpsk2: only the caller can notice
  ASSERT_TRUE(accepted);
  const auto outcome = initiator.receive(accepted->response);
  ASSERT_TRUE(std::holds_alternative<HandshakeInitiator::Refused>(outcome));
  EXPECT_NE(std::get<HandshakeInitiator::Refused>(outcome).reason.find("secret"), std::string::npos);
}

TEST_F(Handshake, AWrongTokenSecretIsNoticedByTheResponder) {
  Pair pair(HandshakeKind::join);
  auto initiator = pair.start();
  auto opened = HandshakeResponder::open(pair.answer, initiator.message());
  auto& responder = std::get<HandshakeResponder>(opened);
  EXPECT_EQ(responder.token_id(), pair.call.token_id);
  EXPECT_FALSE(responder.read_payload(key_of(8)));
  const auto outcome = initiator.receive(refusal_reply(initiator.message(), Refusal::token));
  EXPECT_NE(std::get<HandshakeInitiator::Refused>(outcome).reason.find("token"), std::string::npos);
}

TEST_F(Handshake, AnInitForAnotherKeyDoesNotPassTheFirstCheck) {
  Pair pair;
  pair.call.responder = key_pair(5).public_key;
  EXPECT_FALSE(Mac1Check(pair.responder.public_key)(pair.start().message()));
}

TEST_F(Handshake, AnotherClusterIsNamed) {
  Pair pair;
  pair.call.cluster = cluster_of(8);
  auto initiator = pair.start();
  EXPECT_EQ(pair.refusal(initiator.message()), Refusal::cannot_read);
  const auto outcome = initiator.receive(refusal_reply(initiator.message(), Refusal::cannot_read));
  EXPECT_NE(std::get<HandshakeInitiator::Refused>(outcome).reason.find("cluster"), std::string::npos);
}

TEST_F(Handshake, AnotherVersionIsNamed) {
  Pair pair;
  auto initiator = pair.start();
  Bytes newer = initiator.message();
  newer[wire::version_at] = kLinkVersion + 1;
  EXPECT_EQ(pair.refusal(newer), Refusal::version);
  Bytes refusal = refusal_reply(initiator.message(), Refusal::version);
  refusal[wire::version_at] = 9;
  const auto outcome = initiator.receive(refusal);
  EXPECT_NE(std::get<HandshakeInitiator::Refused>(outcome).reason.find("version 9"), std::string::npos);
}

TEST_F(Handshake, ARefusalCountsOnlyForTheInitItQuotes) {
  Pair pair;
  auto initiator = pair.start();
  Bytes refusal = refusal_reply(initiator.message(), Refusal::not_member);
  for (std::size_t at = 4; at < refusal.size(); ++at) {
    Bytes forged = refusal;
    forged[at] = static_cast<char>(forged[at] ^ 1);
    EXPECT_TRUE(std::holds_alternative<HandshakeInitiator::Ignored>(initiator.receive(forged))) << at;
  }
}

TEST_F(Handshake, NoByteOfAnInitCanBeChanged) {
  for (const HandshakeKind kind : {HandshakeKind::member, HandshakeKind::join}) {
    Pair pair(kind);
    const Bytes init = pair.start().message();
    for (std::size_t at = 0; at < init.size() - wire::mac_bytes; ++at) {
      Bytes forged = init.substr(0, init.size() - 2 * wire::mac_bytes);
      if (at < forged.size()) forged[at] = static_cast<char>(forged[at] ^ 0x40);
      append_macs(forged, pair.responder.public_key, {});  // mac1 needs no secret: a forger can make it
      if (at >= wire::init_mac1_at) forged[at] = static_cast<char>(forged[at] ^ 0x40);
      EXPECT_FALSE(pair.respond(forged)) << at;
    }
    for (std::size_t size = 0; size < init.size(); ++size)
      EXPECT_FALSE(pair.respond(BytesView(init).substr(0, size))) << size;
    EXPECT_FALSE(pair.respond(init + "x"));
  }
}

TEST_F(Handshake, NoByteOfAResponseCanBeChangedAndTheTrueOneStillCounts) {
  Pair pair;
  auto initiator = pair.start();
  const Bytes response = pair.respond(initiator.message()).value().response;
  for (std::size_t at = 0; at < response.size(); ++at) {
    Bytes forged = response;
    forged[at] = static_cast<char>(forged[at] ^ 0x40);
    EXPECT_FALSE(std::holds_alternative<HandshakeDone>(initiator.receive(forged))) << at;
  }
  for (std::size_t size = 0; size < response.size(); ++size)
    EXPECT_FALSE(
        std::holds_alternative<HandshakeDone>(initiator.receive(BytesView(response).substr(0, size))));
  EXPECT_TRUE(std::holds_alternative<HandshakeDone>(initiator.receive(response)));
}

TEST_F(Handshake, AResponseToAnotherInitIsIgnored) {
  Pair pair;
  auto first = pair.start();
  const Bytes response = pair.respond(first.message()).value().response;
  pair.call.ephemeral = key_pair(6);
  auto second = pair.start();
  EXPECT_FALSE(std::holds_alternative<HandshakeDone>(second.receive(response)));
}

TEST_F(Handshake, KeysThatAreNoPointsAreRefused) {
  Pair pair;
  pair.call.responder = Key32{};
  EXPECT_FALSE(HandshakeInitiator::start(pair.call, {}).has_value());

  Pair zero;
  zero.call.own.public_key = Key32{};  // a caller that claims the point of order one
  auto opened = HandshakeResponder::open(zero.answer, zero.start().message());
  EXPECT_FALSE(std::get<HandshakeResponder>(opened).read_payload(zero.psk));
}

FillRandom counting_random() {
  return [n = std::uint8_t{0}](void* out, std::size_t size) mutable { std::memset(out, ++n, size); };
}

TEST_F(Handshake, ACookieProvesTheAddressItWasSentTo) {
  Pair pair;
  CookieJar jar(pair.responder.public_key, counting_random());
  auto initiator = pair.start();
  EXPECT_FALSE(jar.mac2_ok(initiator.message(), "1.2.3.4:5", 10));
  const Bytes reply = jar.reply(initiator.message(), "1.2.3.4:5", 10);
  EXPECT_LE(reply.size(), initiator.message().size());

  const auto outcome = initiator.receive(reply);
  ASSERT_TRUE(std::holds_alternative<Mac>(outcome));
  pair.call.ephemeral = key_pair(6);
  const Bytes again = pair.start(std::get<Mac>(outcome)).message();
  EXPECT_TRUE(jar.mac2_ok(again, "1.2.3.4:5", 20));
  EXPECT_FALSE(jar.mac2_ok(again, "1.2.3.4:6", 20));
  EXPECT_TRUE(jar.mac2_ok(again, "1.2.3.4:5", 130'000)) << "the secret before the present one counts";
  EXPECT_FALSE(jar.mac2_ok(again, "1.2.3.4:5", 260'000));
}

TEST_F(Handshake, AForgedCookieIsIgnored) {
  Pair pair;
  CookieJar jar(pair.responder.public_key, counting_random());
  auto initiator = pair.start();
  const Bytes reply = jar.reply(initiator.message(), "source", 10);
  for (std::size_t at = 4; at < reply.size(); ++at) {
    Bytes forged = reply;
    forged[at] = static_cast<char>(forged[at] ^ 1);
    EXPECT_TRUE(std::holds_alternative<HandshakeInitiator::Ignored>(initiator.receive(forged))) << at;
  }
}

TEST(HandshakeGate, AFloodCostsABoundedNumberOfHandshakes) {
  HandshakeGate gate;
  std::size_t answered = 0, cookies = 0;
  for (std::uint64_t ms = 1; ms <= 1000; ++ms) {
    for (int i = 0; i < 100; ++i) {
      switch (gate.admit(false, "spoofed", ms)) {
        case HandshakeGate::Verdict::answer:
          ++answered;
          break;
        case HandshakeGate::Verdict::ask_cookie:
          ++cookies;
          break;
        case HandshakeGate::Verdict::drop:
          break;
      }
    }
  }
  EXPECT_LE(answered, 130u);
  EXPECT_LE(cookies, 22'000u);
}

TEST(HandshakeGate, AProvenSourceGetsThroughAFloodButHasARateOfItsOwn) {
  HandshakeGate gate;
  std::size_t flood = 0;
  for (int i = 0; i < 1000; ++i) gate.admit(false, "spoofed", 1);
  EXPECT_EQ(gate.admit(true, "honest", 1), HandshakeGate::Verdict::answer);
  for (int i = 0; i < 1000; ++i) flood += gate.admit(true, "greedy", 1) == HandshakeGate::Verdict::answer;
  EXPECT_LE(flood, 10u);
  EXPECT_EQ(gate.admit(true, "honest", 1), HandshakeGate::Verdict::answer);
}

}  // namespace
}  // namespace syncline

#include "protocol/secure_channel.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>
#include <random>
#include <set>

namespace syncline {
namespace {

ChannelSecrets secrets(std::uint8_t generation, bool initiator, Cipher cipher) {
  ChannelSecrets out;
  out.send.bytes.fill(static_cast<std::uint8_t>(generation * 2 + (initiator ? 0 : 1)));
  out.receive.bytes.fill(static_cast<std::uint8_t>(generation * 2 + (initiator ? 1 : 0)));
  out.cipher = cipher;
  out.own_index = generation * 10u + (initiator ? 1 : 2);
  out.peer_index = generation * 10u + (initiator ? 2 : 1);
  return out;
}

Bytes seal(SecureChannel& channel, BytesView plain) {
  std::vector<std::uint8_t> buffer(plain.size() + kSealBytes);
  std::copy(plain.begin(), plain.end(), buffer.begin() + kSealHeadBytes);
  const std::size_t size = channel.seal(buffer, plain.size());
  return Bytes(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
}

std::optional<Bytes> open(SecureChannel& channel, BytesView datagram, std::uint64_t now_ms = 0) {
  std::array<std::uint8_t, 4096> out;
  const auto opened = channel.open(datagram, out, now_ms);
  if (!opened) return std::nullopt;
  return Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(opened->size));
}

class Channel : public ::testing::TestWithParam<Cipher> {
 protected:
  void SetUp() override {
    ASSERT_GE(sodium_init(), 0);
    if ((available_ciphers() & static_cast<std::uint8_t>(GetParam())) == 0)
      GTEST_SKIP() << "no AES on this CPU";
    caller_.install(secrets(1, true, GetParam()), true, 0);
    responder_.install(secrets(1, false, GetParam()), false, 0);
  }
  SecureChannel caller_, responder_;
};

TEST_P(Channel, CarriesBothWaysOnceTheCallerHasSpoken) {
  EXPECT_FALSE(responder_.can_send());
  EXPECT_EQ(open(responder_, seal(caller_, "hello")), "hello");
  ASSERT_TRUE(responder_.can_send());
  EXPECT_EQ(open(caller_, seal(responder_, "")), "");
  EXPECT_EQ(open(caller_, seal(responder_, Bytes(4000, 'x'))), Bytes(4000, 'x'));
}

TEST_P(Channel, NoByteOfADatagramCanBeChanged) {
  const Bytes datagram = seal(caller_, "a few bytes");
  for (std::size_t at = 1; at < datagram.size(); ++at) {  // byte 0, the type, decides who is asked
    Bytes forged = datagram;
    forged[at] = static_cast<char>(forged[at] ^ 1);
    EXPECT_EQ(open(responder_, forged), std::nullopt) << at;
  }
  for (std::size_t size = 0; size < datagram.size(); ++size)
    EXPECT_EQ(open(responder_, BytesView(datagram).substr(0, size)), std::nullopt) << size;
  EXPECT_EQ(open(responder_, datagram), "a few bytes") << "forgeries must not use up the counter";
}

TEST_P(Channel, ADatagramCountsOnceInAnyOrder) {
  std::vector<Bytes> datagrams;
  for (int i = 0; i < 5000; ++i) datagrams.push_back(seal(caller_, std::to_string(i)));
  std::mt19937 random(1);
  std::shuffle(datagrams.begin(), datagrams.end(), random);
  for (const Bytes& datagram : datagrams) EXPECT_TRUE(open(responder_, datagram));
  for (const Bytes& datagram : datagrams) EXPECT_FALSE(open(responder_, datagram));
}

TEST_P(Channel, WhatIsTooOldIsRefused) {
  const Bytes old = seal(caller_, "old");
  for (int i = 0; i < 9000; ++i) open(responder_, seal(caller_, ""));
  EXPECT_EQ(open(responder_, old), std::nullopt);
}

TEST_P(Channel, OnlyTheNewestDatagramMovesTheAddress) {
  const Bytes first = seal(caller_, "1"), second = seal(caller_, "2");
  std::array<std::uint8_t, 64> out;
  EXPECT_TRUE(responder_.open(second, out, 0)->newest);
  EXPECT_FALSE(responder_.open(first, out, 0)->newest);
}

TEST_P(Channel, NewKeysLeaveNoGap) {
  ASSERT_TRUE(open(responder_, seal(caller_, "up")));
  const Bytes late = seal(caller_, "late");
  responder_.install(secrets(2, false, GetParam()), false, 100);
  EXPECT_EQ(open(caller_, seal(responder_, "still the old keys")), "still the old keys");
  caller_.install(secrets(2, true, GetParam()), true, 120);
  EXPECT_EQ(open(caller_, seal(responder_, "old keys, under way")), "old keys, under way");

  std::array<std::uint8_t, 64> out;
  EXPECT_TRUE(responder_.open(seal(caller_, "new keys"), out, 130)->confirmed);
  EXPECT_EQ(open(caller_, seal(responder_, "new keys too")), "new keys too");
  EXPECT_EQ(open(responder_, late), "late");

  caller_.tick(60'000), responder_.tick(60'000);
  EXPECT_EQ(responder_.indices(), (std::vector<std::uint32_t>{22}));
  EXPECT_EQ(caller_.indices(), (std::vector<std::uint32_t>{21}));
}

INSTANTIATE_TEST_SUITE_P(Ciphers, Channel, ::testing::Values(Cipher::chacha20_poly1305, Cipher::aes256_gcm),
                         [](const auto& info) {
                           return info.param == Cipher::aes256_gcm ? "aes" : "chacha";
                         });

TEST(SecureChannel, AsksForNewKeysByTimeAndByTraffic) {
  ASSERT_GE(sodium_init(), 0);
  SecureChannel::Limits limits;
  limits.rekey_after_ms = 1000;
  limits.rekey_after_datagrams = 10;
  limits.expire_after_ms = 2000;
  limits.expire_after_datagrams = 20;
  SecureChannel caller(limits), responder(limits);
  caller.install(secrets(1, true, Cipher::chacha20_poly1305), true, 5000);
  responder.install(secrets(1, false, Cipher::chacha20_poly1305), false, 5000);
  EXPECT_FALSE(caller.wants_rekey(5999));
  EXPECT_TRUE(caller.wants_rekey(6000));
  EXPECT_FALSE(caller.expired(6999));
  EXPECT_TRUE(caller.expired(7000));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(open(responder, seal(caller, "")));
  EXPECT_TRUE(caller.wants_rekey(5001));
  EXPECT_TRUE(responder.wants_rekey(5001)) << "what was received counts as well";
  for (int i = 0; i < 10; ++i) seal(caller, "");
  EXPECT_TRUE(caller.expired(5001));
}

TEST(ReplayWindow, AgreesWithASetOfCounters) {
  std::mt19937_64 random(7);
  ReplayWindow window;
  std::set<std::uint64_t> seen;
  std::uint64_t base = 0;
  for (int i = 0; i < 200'000; ++i) {
    base += random() % 3 == 0 ? random() % (i % 1000 == 0 ? 100'000 : 40) : 0;
    const std::uint64_t counter = base - std::min<std::uint64_t>(base, random() % 9000);
    const std::uint64_t end = seen.empty() ? 0 : *seen.rbegin() + 1;
    const bool expected = !seen.contains(counter) && (counter >= end || end - counter <= 127 * 64);
    ASSERT_EQ(window.is_new(counter), expected) << counter << " below " << end;
    if (!expected) continue;
    window.mark(counter);
    seen.insert(counter);
    while (seen.size() > 20'000) seen.erase(seen.begin());
  }
}

}  // namespace
}  // namespace syncline

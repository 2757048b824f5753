#include <gmock/gmock.h>

#include "tests/unit/node_transport_fixture.h"

namespace syncline::transport_test {
namespace {

using ::testing::HasSubstr;

class JoinLinkTest : public TransportTest {
 protected:
  JoinTarget target(std::uint8_t secret = 77) {
    JoinTarget out;
    out.inviter_public_key = a_.options.keys.public_key;
    out.token_id = kToken;
    out.token_secret = filled_key(secret);
    out.addresses = {a_.address()};
    return out;
  }
};

TEST_F(JoinLinkTest, ATokenOpensALinkThatEndsWhenItsWorkIsDone) {
  b_.options.cluster = {};  // a newcomer knows neither cluster nor secret
  b_.options.cluster_psk = {};
  start({&a_, &b_});
  const JoinLinkId id = b_.transport->join(target());
  ASSERT_TRUE(until([&] { return a_.joins_opened && b_.joins_opened; }));
  EXPECT_EQ(b_.join_link, id);
  EXPECT_EQ(a_.join_key, b_.options.keys.public_key);
  EXPECT_EQ(a_.join_token, kToken);

  const Bytes request = pattern(300'000, 1), answer = pattern(900'000, 2);
  EXPECT_TRUE(b_.transport->join_send(id, request));
  ASSERT_TRUE(until([&] { return a_.join_inbox == std::vector<Bytes>{request}; }));
  EXPECT_TRUE(a_.transport->join_send(*a_.join_link, answer));
  a_.transport->join_close(*a_.join_link);
  EXPECT_FALSE(a_.transport->join_send(*a_.join_link, "too late"));
  ASSERT_TRUE(until([&] { return !a_.join_reason.empty() && !b_.join_reason.empty(); }));
  EXPECT_EQ(b_.join_inbox, std::vector<Bytes>{answer}) << "close waits for what was queued";
}

TEST_F(JoinLinkTest, AWrongSecretIsRefused) {
  start({&a_, &b_});
  b_.transport->join(target(78));
  ASSERT_TRUE(until([&] { return !b_.join_reason.empty(); }));
  EXPECT_THAT(b_.join_reason, HasSubstr("token"));
  EXPECT_THAT(a_.refused_reason, HasSubstr("token"));
  EXPECT_EQ(a_.joins_opened + b_.joins_opened, 0);
}

TEST_F(JoinLinkTest, AnUnknownTokenIsRefused) {
  start({&a_, &b_});
  JoinTarget unknown = target();
  unknown.token_id[0] = 99;
  b_.transport->join(unknown);
  ASSERT_TRUE(until([&] { return !b_.join_reason.empty(); }));
  EXPECT_THAT(b_.join_reason, HasSubstr("token"));
}

TEST_F(JoinLinkTest, AnInviterThatDoesNotAnswerIsNamed) {
  start({&a_, &b_});
  JoinTarget nobody = target();
  nobody.inviter_public_key = link_keys(50).public_key;
  b_.transport->join(nobody);
  skip(seconds(11));
  EXPECT_THAT(b_.join_reason, HasSubstr("no answer from " + a_.address()));
}

TEST_F(TransportTest, GarbageHarmsNobody) {
  link_through_relay(a_, b_);
  relay_->record = true;
  exchange(a_, b_, 1);
  relay_->record = false;
  const std::vector<Bytes> real = relay_->recorded;  // replayed, cut short, lengthened, with bits flipped
  std::mt19937 random(5);
  const Udp stranger;
  const std::uint16_t ports[] = {port_of(a_.address()), port_of(b_.address())};
  a_.inbox.clear(), b_.inbox.clear();
  for (int i = 0; i < 20'000; ++i) {
    Bytes datagram = real[random() % real.size()];
    switch (random() % 5) {
      case 0:
        datagram.resize(random() % (datagram.size() + 1));
        break;
      case 1:
        datagram.append(random() % 5000, 'x');
        break;
      case 2:
        datagram[random() % datagram.size()] ^= static_cast<char>(1 << random() % 8);
        break;
      case 3:
        datagram = pattern(random() % 6000, static_cast<unsigned>(i));
        break;
      default:
        break;
    }
    if (random() % 4 == 0 && !datagram.empty()) datagram[0] = static_cast<char>(random() % 8);
    stranger.send(ports[i % 2], datagram);
    if (i % 50 == 0) step();
  }
  exchange(a_, b_, 1);
  EXPECT_EQ(a_.downs[b_.id()] + b_.downs[a_.id()], 0) << a_.down_reason << b_.down_reason;
  EXPECT_EQ(a_.ups[b_.id()] + b_.ups[a_.id()], 2);
}

TEST_F(TransportTest, AReplayedInitOpensNothing) {
  start({&a_, &b_});
  relay_ = std::make_unique<Relay>(port_of(b_.address()));
  relay_->record = true;
  connect(a_, b_);
  const Bytes init = relay_->recorded.front();
  ASSERT_EQ(init.size(), wire::init_bytes);
  const Udp stranger;
  stranger.send(port_of(b_.address()), init);
  std::optional<std::pair<std::uint16_t, Bytes>> answer;
  ASSERT_TRUE(until([&] { return (answer = stranger.receive()).has_value(); }));
  EXPECT_EQ(answer->second[0], static_cast<char>(DatagramType::refusal));
  EXPECT_LE(answer->second.size(), init.size());
  skip(seconds(3));
  EXPECT_EQ(b_.ups[a_.id()], 1);
  EXPECT_EQ(b_.downs[a_.id()], 0);
}

TEST_F(TransportTest, AFloodOfCallsDoesNotKeepAMemberOut) {
  start({&a_, &b_});
  HandshakeInitiator::Options call;
  call.own = noise::dh_keys(filled_key(60));
  call.responder = b_.options.keys.public_key;
  call.cluster = b_.options.cluster;
  call.timestamp = 1;
  call.ciphers = available_ciphers();
  call.ephemeral = noise::dh_keys(filled_key(61));
  const Bytes init = HandshakeInitiator::start(call, {}).value().message();
  const Udp stranger;
  std::size_t answers = 0, cookies = 0;
  const auto flood = [&] {
    for (int i = 0; i < 20; ++i) stranger.send(port_of(b_.address()), init);
    while (auto got = stranger.receive()) {
      ++answers;
      cookies += got->second[0] == static_cast<char>(DatagramType::cookie);
      EXPECT_LE(got->second.size(), init.size());
    }
  };
  for (int i = 0; i < 100; ++i) flood(), step();
  EXPECT_GT(cookies, 0u);
  a_.transport->set_peers({b_.as_peer({b_.address()})});
  b_.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] {
    flood();
    return a_.linked[b_.id()];
  }));
  EXPECT_EQ(b_.ups.size(), 1u);
}

}  // namespace
}  // namespace syncline::transport_test

#include <gmock/gmock.h>

#include "protocol/limits.h"
#include "tests/unit/node_transport_fixture.h"

namespace syncline::transport_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(TransportTest, EveryLaneCarriesMessagesOfAllSizesInOrder) {
  link(a_, b_);
  exchange(a_, b_, 2);
  EXPECT_EQ(a_.ups[b_.id()], 1);
  EXPECT_EQ(b_.ups[a_.id()], 1);
}

TEST_F(TransportTest, WorksWithoutBatchesAndWithoutAes) {
  a_.tuning.socket.batches = false;
  b_.tuning.ciphers = static_cast<std::uint8_t>(Cipher::chacha20_poly1305);
  link(a_, b_);
  exchange(a_, b_, 1);
}

TEST_F(TransportTest, ALossyNetworkDeliversEverythingOnceAndInOrder) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    Node a{1}, b{2};
    nodes_.clear();
    start({&a, &b});
    relay_ = std::make_unique<Relay>(port_of(b.address()), seed);
    relay_->faults = {.drop = 0.05, .duplicate = 0.05, .hold = 0.1};
    connect(a, b);
    exchange(a, b, 2, 262'144);
    EXPECT_EQ(a.downs[b.id()], 0) << "seed " << seed;
  }
}

TEST_F(TransportTest, BothCallAtOnceAndOneLinkLives) {
  for (int round = 0; round < 25; ++round) {
    Node a{1}, b{2};
    nodes_.clear();
    start({&a, &b});
    a.transport->set_peers({b.as_peer({b.address()})});
    b.transport->set_peers({a.as_peer({a.address()})});
    ASSERT_TRUE(until([&] { return a.linked[b.id()] && b.linked[a.id()]; }));
    a.transport->send(b.id(), Lane::control, "from a");
    b.transport->send(a.id(), Lane::control, "from b");
    ASSERT_TRUE(until([&] { return !a.inbox.empty() && !b.inbox.empty(); }));
    skip(seconds(2));
    EXPECT_EQ(a.ups[b.id()] + b.ups[a.id()], 2);
    EXPECT_EQ(a.downs[b.id()] + b.downs[a.id()], 0) << a.down_reason << b.down_reason;
  }
}

// Whoever of the two had called, and whoever has the smaller key.
TEST_F(TransportTest, AKilledPeerThatComesBackIsLinkedAgainAtOnce) {
  for (const auto& [survivor, victim] : {std::pair{1, 2}, {2, 1}}) {
    Node a{static_cast<std::uint8_t>(survivor)}, b{static_cast<std::uint8_t>(victim)};
    nodes_.clear();
    link_through_relay(a, b);
    relay_->cut = true;  // what its destructor says must not arrive, as after kill -9
    b.transport.reset();
    b.linked.clear();
    relay_->cut = false;
    b.start();
    b.transport->set_peers({a.as_peer({a.address()})});
    const auto begin = Clock::now();
    ASSERT_TRUE(until([&] { return a.ups[b.id()] == 2 && b.ups[a.id()] == 2; }));
    EXPECT_LT(Clock::now() - begin, seconds(1));
    EXPECT_EQ(a.downs[b.id()], 1);
    a.transport->send(b.id(), Lane::small, "again");
    ASSERT_TRUE(until([&] { return !b.inbox.empty(); }));
  }
  nodes_.clear();
}

TEST_F(TransportTest, APeerThatStopsIsMissedAtOnceAndFoundWhenItReturns) {
  link(a_, b_);
  b_.transport.reset();
  b_.linked.clear();
  ASSERT_TRUE(until([&] { return !a_.linked[b_.id()]; }, seconds(2)));
  EXPECT_THAT(a_.down_reason, HasSubstr("stopping"));
  b_.start();
  b_.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] { return a_.linked[b_.id()]; }));
}

TEST_F(TransportTest, ASilentPeerIsGivenUpWithinTenSeconds) {
  link_through_relay(a_, b_);
  skip(seconds(30));
  EXPECT_TRUE(a_.linked[b_.id()]) << a_.down_reason;
  relay_->cut = true;
  skip(seconds(10));
  EXPECT_FALSE(a_.linked[b_.id()]);
  EXPECT_FALSE(b_.linked[a_.id()]);
  EXPECT_THAT(a_.down_reason, HasSubstr("no answer"));
  relay_->cut = false;
  skip(seconds(7));
  EXPECT_TRUE(a_.linked[b_.id()]);
}

// Between its link with one and the next call to another a node would serve readers of whom the other knows nothing.
TEST_F(TransportTest, ALinkThatComesUpHasTheOthersCalledAtOnce) {
  Node c{3};
  start({&a_, &b_, &c});
  relay_ = std::make_unique<Relay>(port_of(c.address()));
  relay_->cut = true;
  a_.transport->set_peers({b_.as_peer({}), c.as_peer({relay_->address()})});
  c.transport->set_peers({a_.as_peer({})});
  skip(seconds(20));
  while (a_.transport->service(now()) - now() < seconds(3)) skip(milliseconds(50));  // its next call is so far away
  relay_->cut = false;
  b_.transport->set_peers({a_.as_peer({a_.address()})});
  ASSERT_TRUE(until([&] { return a_.linked[b_.id()]; }, seconds(2)));
  EXPECT_TRUE(until([&] { return a_.linked[c.id()] && c.linked[a_.id()]; }, seconds(1)));
  nodes_.clear();
}

TEST_F(TransportTest, ASilentPeerThatOwesAnAcknowledgementIsGivenUpSooner) {
  link_through_relay(a_, b_);
  skip(seconds(30));
  relay_->cut = true;
  ASSERT_TRUE(a_.transport->send(b_.id(), Lane::small, "are you there?"));
  skip(milliseconds(3'500));
  EXPECT_TRUE(a_.linked[b_.id()]) << a_.down_reason;
  skip(seconds(1));
  EXPECT_FALSE(a_.linked[b_.id()]);
  EXPECT_THAT(a_.down_reason, HasSubstr("no acknowledgement"));
}

TEST_F(TransportTest, AStallOfOurOwnIsNotThePeersSilence) {
  link(a_, b_);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(a_.transport->send(b_.id(), Lane::small, "on its way"));
    a_.transport->flush();
    step();
    ASSERT_TRUE(b_.transport->send(a_.id(), Lane::small, "unanswered"));
    b_.transport->flush();
    skipped_ += seconds(15);  // stopped, and the answer waits in the socket
    skip(seconds(2));
    ASSERT_TRUE(a_.linked[b_.id()]) << a_.down_reason;
    ASSERT_TRUE(b_.linked[a_.id()]) << b_.down_reason;
  }
  EXPECT_EQ(a_.ups[b_.id()], 1);
  EXPECT_EQ((a_.inbox[{b_.id(), Lane::small}].size()), 3u);
  EXPECT_EQ((b_.inbox[{a_.id(), Lane::small}].size()), 3u);
}

TEST_F(TransportTest, WhatIsSentRightAfterAStallIsAcknowledged) {
  link(a_, b_);
  skipped_ += seconds(5);  // between service() and flush(): the disk held up the work of this turn
  ASSERT_TRUE(a_.transport->send(b_.id(), Lane::small, "late"));
  a_.transport->flush();
  skip(milliseconds(500));
  EXPECT_EQ((b_.inbox[{a_.id(), Lane::small}].size()), 1u);
  EXPECT_LT(a_.transport->stats(b_.id()).rtt_us, 1'000'000u);
  skip(seconds(12));
  EXPECT_TRUE(a_.linked[b_.id()]) << a_.down_reason;
}

TEST_F(TransportTest, AfterALongStallADeadPeerIsMissedSoon) {
  link_through_relay(a_, b_);
  relay_->cut = true;
  skipped_ += seconds(60);
  skip(seconds(4));
  EXPECT_FALSE(a_.linked[b_.id()]);
}

TEST_F(TransportTest, AnIdleLinkCostsLessThanAHundredBytesASecond) {
  link_through_relay(a_, b_);
  skip(seconds(5));
  relay_->bytes = 0;
  skip(seconds(100));
  EXPECT_LT(relay_->bytes, 100u * 100u);
}

TEST_F(TransportTest, KeysAreRenewedUnderTrafficWithoutAGap) {
  a_.tuning.keys.rekey_after_ms = 1000;
  link_through_relay(a_, b_);
  int sent = 0, got = 0;
  b_.on_message = [&](Lane, BytesView message) { EXPECT_EQ(message, std::to_string(got++)); };
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(a_.transport->send(b_.id(), Lane::small, std::to_string(sent++)));
    skip(milliseconds(50));
  }
  ASSERT_TRUE(until([&] { return got == sent; }));
  EXPECT_GE(relay_->types[static_cast<std::uint8_t>(DatagramType::init)], 5u);
  EXPECT_EQ(a_.downs[b_.id()] + b_.downs[a_.id()], 0) << a_.down_reason;
  EXPECT_EQ(a_.ups[b_.id()], 1);
}

TEST_F(TransportTest, ALinkFollowsItsPeerToAnotherAddress) {
  link_through_relay(a_, b_);
  relay_->move();
  a_.transport->send(b_.id(), Lane::small, "from elsewhere");
  ASSERT_TRUE(until([&] { return b_.inbox.size() == 1; }));
  b_.transport->send(a_.id(), Lane::small, "back");
  ASSERT_TRUE(until([&] { return a_.inbox.size() == 1; }, seconds(2)));
  EXPECT_EQ(a_.ups[b_.id()], 1);
}

TEST_F(TransportTest, ASmallMessageOvertakesBulk) {
  link(a_, b_);
  std::size_t before_small = 0;
  bool small_came = false;
  b_.on_message = [&](Lane lane, BytesView) {
    if (lane == Lane::small) small_came = true, before_small = b_.received_bytes[2];
  };
  const Bytes piece(256 * 1024, 'x');
  std::size_t queued = 0;
  const auto fill = [&] {
    while (a_.transport->send(b_.id(), Lane::bulk, piece)) queued += piece.size();
    return true;
  };
  ASSERT_TRUE(until([&] { return fill() && b_.received_bytes[2] > 32'000'000; }));
  const std::size_t done = b_.received_bytes[2];
  a_.transport->send(b_.id(), Lane::small, Bytes(64 * 1024, 's'));
  ASSERT_TRUE(until([&] { return fill() && small_came; }));
  // It waits for what is on the way, not for the 4 MiB in the queue as well.
  EXPECT_LE(before_small - done, limits::link_window_bytes + 512 * 1024);
}

TEST_F(TransportTest, QueuesAreBoundedAndSayWhenThereIsRoom) {
  link(a_, b_);
  const Bytes piece(limits::message_bytes, 'x');
  for (Lane lane : {Lane::small, Lane::bulk}) {
    int taken = 0;
    while (a_.transport->send(b_.id(), lane, piece)) ++taken;
    EXPECT_GE(taken, 2);
    EXPECT_LE(taken, 4);
    EXPECT_LE(a_.transport->queued_bytes(b_.id(), lane), 4u * 1024 * 1024);
    ASSERT_TRUE(until([&] { return a_.writables[static_cast<std::size_t>(lane)] == 1; }));
  }
  EXPECT_TRUE(a_.linked[b_.id()]);
}

TEST_F(TransportTest, AnOverflowOfControlClosesTheLinkAndSaysSo) {
  link_through_relay(a_, b_);
  relay_->cut = true;
  const Bytes piece(limits::message_bytes, 'x');
  for (int i = 0; i < 40; ++i) a_.transport->send(b_.id(), Lane::control, piece);
  ASSERT_TRUE(until([&] { return !a_.linked[b_.id()]; }, seconds(2)));
  EXPECT_THAT(a_.down_reason, HasSubstr("control"));
}

TEST_F(TransportTest, ARemovedMemberIsCutOff) {
  link(a_, b_);
  b_.transport->set_peers({});
  ASSERT_TRUE(until([&] { return !a_.linked[b_.id()] && !b_.linked[a_.id()]; }));
  EXPECT_TRUE(a_.disowned_by.empty()) << "to be on no list proves nothing";
  ASSERT_TRUE(until([&] { return a_.dial_reason.find("member list") != std::string::npos; }));
  EXPECT_THAT(b_.refused_reason, HasSubstr("member list"));
  EXPECT_EQ(a_.ups[b_.id()], 1);
}

TEST_F(TransportTest, OneThatIsGoneIsToldByALinkThatProvesIt) {
  start({&a_, &b_});
  LinkPeer gone = a_.as_peer({a_.address()});
  gone.gone = true;
  b_.transport->set_peers({gone});
  a_.transport->set_peers({b_.as_peer({b_.address()})});
  ASSERT_TRUE(until([&] { return a_.disowned_by[b_.id()] > 0; }));
  EXPECT_EQ(b_.ups[a_.id()], 0);
  EXPECT_TRUE(b_.disowned_by.empty());
}

TEST_F(TransportTest, OneThatGoesWhileLinkedIsToldToo) {
  link(a_, b_);
  LinkPeer gone = a_.as_peer({a_.address()});
  gone.gone = true;
  b_.transport->set_peers({gone});
  ASSERT_TRUE(until([&] { return a_.disowned_by[b_.id()] > 0 && !a_.linked[b_.id()] && !b_.linked[a_.id()]; }));
  EXPECT_TRUE(b_.disowned_by.empty());
}

TEST_F(TransportTest, AnotherClustersNodeIsToldSo) {
  a_.options.cluster.bytes.fill(9);
  start({&a_, &b_});
  a_.transport->set_peers({b_.as_peer({b_.address()})});
  b_.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] { return !a_.dial_reason.empty(); }));
  EXPECT_THAT(a_.dial_reason, HasSubstr("another cluster"));
}

TEST_F(TransportTest, AnotherClusterSecretGivesNoLink) {
  a_.options.cluster_psk = filled_key(9);
  start({&a_, &b_});
  a_.transport->set_peers({b_.as_peer({b_.address()})});
  b_.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] { return !a_.dial_reason.empty(); }));
  EXPECT_THAT(a_.dial_reason, HasSubstr("secret"));
  skip(seconds(5));
  EXPECT_EQ(a_.ups[b_.id()] + b_.ups[a_.id()], 0);
}

TEST_F(TransportTest, NobodyThereIsSaidAfterSomeRounds) {
  start({&a_});
  const std::string nowhere = "127.0.0.1:" + std::to_string(Udp().port());
  a_.transport->set_peers({b_.as_peer({nowhere})});
  skip(seconds(3));
  EXPECT_THAT(a_.dial_reason, HasSubstr("no answer from " + nowhere));
}

TEST_F(TransportTest, AHostNameIsLookedUp) {
  start({&a_, &b_});
  const std::string port = std::to_string(port_of(b_.address()));
  a_.transport->set_peers({b_.as_peer({"no-such-host.invalid:" + port, "localhost:" + port})});
  b_.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] { return a_.linked[b_.id()]; }, seconds(60)));
}

TEST_F(TransportTest, Ipv6Works) {
  a_.options.listen = b_.options.listen = "[::1]:0";
  auto probe = LinkTransport::create(a_.options, {}, a_);
  if (!probe) GTEST_SKIP() << "no IPv6 here";
  link(a_, b_);
  EXPECT_THAT(a_.transport->stats(b_.id()).address, StartsWith("[::1]:"));
  exchange(a_, b_, 1);
}

TEST_F(TransportTest, EveryAddressMeansIpv4AndIpv6) {
  a_.options.listen = "*:0";
  start({&a_, &b_});
  const std::string port = std::to_string(port_of(a_.address()));
  b_.transport->set_peers({a_.as_peer({"127.0.0.1:" + port})});
  a_.transport->set_peers({b_.as_peer({})});
  ASSERT_TRUE(until([&] { return a_.linked[b_.id()] && b_.linked[a_.id()]; }));
  EXPECT_THAT(a_.transport->stats(b_.id()).address, StartsWith("127.0.0.1:"));
}

TEST_F(TransportTest, APortInUseIsAnErrorThatNamesIt) {
  start({&a_});
  b_.options.listen = a_.address();
  const auto made = LinkTransport::create(b_.options, {}, b_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Error::Code::exists);
  EXPECT_THAT(made.error().message, HasSubstr(a_.address()));
  b_.options.listen = "nonsense";
  EXPECT_FALSE(LinkTransport::create(b_.options, {}, b_));
}

// --- What a link is made of

TEST(LinkLane, MessagesSurviveAnyCutOfTheStream) {
  for (std::size_t chunk_bytes : {1u, 3u, 5u, 64u, 1000u, 100'000u}) {
    LaneSender sender(chunk_bytes);
    LaneReceiver receiver;
    std::vector<Bytes> sent, got;
    for (std::size_t size : {0u, 1u, 3u, 4u, 5u, 63u, 64u, 999u, 5000u}) {
      sent.push_back(pattern(size, static_cast<unsigned>(size)));
      sender.push(sent.back());
    }
    while (const auto chunk = sender.pop()) {
      EXPECT_LE(chunk->size(), chunk_bytes);
      receiver.feed(*chunk);
      while (const auto message = receiver.next()) got.emplace_back(*message);
    }
    EXPECT_EQ(got, sent) << chunk_bytes;
    EXPECT_EQ(sender.bytes(), 0u);
    EXPECT_FALSE(receiver.broken());
  }
}

TEST(LinkLane, ALengthAboveTheLimitIsNotWaitedFor) {
  LaneReceiver receiver;
  receiver.feed(BytesView("\x01\x00\x10\x00", 4));  // limits::message_bytes + 1
  EXPECT_EQ(receiver.next(), std::nullopt);
  EXPECT_TRUE(receiver.broken());
}

// Feeds the window rounds of 40 ms in which all that it allows is sent, and a share is lost.
std::size_t window_after(LinkWindow& window, int rounds, double loss) {
  static Clock::time_point now{std::chrono::hours(1)};
  static EnetLink::Path path{40, 0, 0, 0};
  for (int i = 0; i < rounds; ++i) {
    now += milliseconds(40);
    path.acked_bytes += static_cast<std::uint64_t>(static_cast<double>(window.bytes()) * (1 - loss));
    path.sent += window.bytes() / 1343;
    path.lost += static_cast<std::uint64_t>(static_cast<double>(window.bytes()) / 1343 * loss);
    window.update(path, true, now);
  }
  return window.bytes();
}

TEST(LinkWindow, OpensWhereTheNetworkIsFreeOrOnlyNoisyAndClosesWhereItIsFull) {
  LinkWindow window;
  EXPECT_EQ(window_after(window, 20, 0), limits::link_window_bytes);
  EXPECT_EQ(window_after(window, 50, 0.01), limits::link_window_bytes);
  EXPECT_LT(window_after(window, 10, 0.5), limits::link_window_bytes / 4);
  EXPECT_EQ(window_after(window, 200, 0), limits::link_window_bytes);
}

}  // namespace
}  // namespace syncline::transport_test

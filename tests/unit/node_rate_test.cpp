// What a node may send: the bucket, the schedule, and links that keep to it while time is skipped.
#include "node/bandwidth.h"
#include "node/link_rate.h"
#include "tests/unit/node_transport_fixture.h"

namespace syncline {
namespace {

using transport_test::Node;
using transport_test::pattern;
using transport_test::TransportTest;
using namespace std::chrono_literals;

constexpr Clock::time_point kStart{1000h};

// Sends chunks as soon as they may go; returns how many bytes went until `end`.
std::uint64_t send_all(LinkRate& rate, Clock::time_point& now, Clock::time_point end, std::size_t chunk) {
  std::uint64_t sent = 0;
  while (now < end) {
    const auto at = rate.free_at(now);
    if (at > now) {
      now = std::min(at, end);
      continue;
    }
    rate.count_sent(chunk, now);
    sent += chunk;
  }
  return sent;
}

TEST(LinkRate, keeps_to_the_rate_and_bounds_bursts) {
  LinkRate rate;
  auto now = kStart;
  rate.set(1'000'000, now);
  EXPECT_NEAR(static_cast<double>(send_all(rate, now, kStart + 10s, 65'000)), 10e6, 150e3);
  now = kStart + 1h;  // idle in between: a tenth of a second is saved up, and no more
  EXPECT_LE(send_all(rate, now, now + 1ms, 10'000), 110'000u);
}

TEST(LinkRate, none_is_no_limit_and_a_change_holds_at_once) {
  LinkRate rate;
  auto now = kStart;
  rate.count_sent(1 << 30, now);
  EXPECT_EQ(rate.free_at(now), now);
  EXPECT_FALSE(rate.limited());
  rate.set(1000, now);
  EXPECT_EQ(rate.free_at(now), now) << "what was sent before is not owed";
  rate.count_sent(10'000, now);
  EXPECT_GT(rate.free_at(now), now + 9s);
  rate.set(1'000'000, now);
  EXPECT_LT(rate.free_at(now), now + 20ms);
  rate.set(0, now);
  EXPECT_EQ(rate.free_at(now), now);
}

TEST(Bandwidth, rates_and_periods_are_read) {
  EXPECT_EQ(parse_rate("20 MiB/s"), 20u << 20);
  EXPECT_EQ(parse_rate("20MiB/s"), 20u << 20);
  EXPECT_EQ(parse_rate("1.5 MB/s"), 1'500'000u);
  EXPECT_EQ(parse_rate("100 Mbit/s"), 12'500'000u);
  EXPECT_EQ(parse_rate("unlimited"), 0u);
  for (const char* bad : {"", "20", "MiB/s", "-1 MiB/s", "0 MiB/s", "1 B/s", "20 MiB", "nan MiB/s", "inf MiB/s", "1e99 MiB/s"})
    EXPECT_FALSE(parse_rate(bad)) << bad;
  EXPECT_EQ(parse_rate_period("08:00-18:30 5 MiB/s"), (RatePeriod{480, 1110, 5u << 20}));
  EXPECT_EQ(parse_rate_period("22:00-24:00 unlimited"), (RatePeriod{1320, 1440, 0}));
  for (const char* bad : {"", "8:00-18:00 5 MiB/s", "08:00-08:00 5 MiB/s", "08:00-25:00 5 MiB/s", "08:60-09:00 5 MiB/s", "24:01-02:00 5 MiB/s",
                          "08:00-18:00", "08:00-18:00 5"})
    EXPECT_FALSE(parse_rate_period(bad)) << bad;
}

TEST(Bandwidth, the_first_period_that_holds_the_moment_counts) {
  const Bandwidth b{"2 MiB/s", {"12:00-13:00 unlimited", "08:00-18:00 1 MiB/s", "22:00-06:00 8 MiB/s"}};
  const auto at = [&](std::uint32_t hour, std::uint32_t minute) { return b.rate_at(hour * 60 + minute); };
  EXPECT_EQ(at(7, 59), 2u << 20);
  EXPECT_EQ(at(8, 0), 1u << 20);
  EXPECT_EQ(at(12, 30), 0u);
  EXPECT_EQ(at(18, 0), 2u << 20);
  EXPECT_EQ(at(23, 59), 8u << 20);
  EXPECT_EQ(at(0, 0), 8u << 20);
  EXPECT_EQ(at(6, 0), 2u << 20);
}

class RateTest : public TransportTest {
 protected:
  std::size_t total(const Node& node) const {
    return node.received_bytes[0] + node.received_bytes[1] + node.received_bytes[2];
  }
};

TEST_F(RateTest, links_keep_to_it_and_control_does_not_wait) {
  link(a_, b_);
  a_.transport->set_upload_rate(1 << 20);
  const auto begin = now();
  for (unsigned i = 0; i < 3; ++i) ASSERT_TRUE(a_.transport->send(b_.id(), Lane::bulk, pattern(1'000'000, i)));
  for (unsigned i = 0; i < 10; ++i) ASSERT_TRUE(a_.transport->send(b_.id(), Lane::small, pattern(50'000, i)));
  skip(1000ms);
  const double seconds = std::chrono::duration<double>(now() - begin).count();
  const auto got = static_cast<double>(total(b_)), expected = seconds * (1 << 20);
  EXPECT_LE(got, expected + 300e3);  // a burst and a chunk
  EXPECT_GE(got, expected - 300e3 - 1e6);  // of a message that is on its way nothing is told yet
  EXPECT_EQ(b_.received_bytes[1], 500'000u) << "small ones first";
  ASSERT_TRUE(a_.transport->send(b_.id(), Lane::control, "now"));
  const auto before = skipped_;
  ASSERT_TRUE(until([&] { return b_.received_bytes[0] == 3; }));
  EXPECT_EQ(skipped_, before);
  EXPECT_LT(b_.received_bytes[2], 3'000'000u) << "control did not wait for the rest";
  a_.transport->set_upload_rate(0);
  EXPECT_TRUE(until([&] { return b_.received_bytes[2] == 3'000'000u; }));
}

// Two links share it, and neither is left with nothing.
TEST_F(RateTest, two_links_share_it) {
  Node c{3};
  start({&a_, &b_, &c});
  a_.transport->set_peers({b_.as_peer({b_.address()}), c.as_peer({c.address()})});
  b_.transport->set_peers({a_.as_peer({})});
  c.transport->set_peers({a_.as_peer({})});
  ASSERT_TRUE(until([&] { return a_.linked[b_.id()] && a_.linked[c.id()]; }));
  a_.transport->set_upload_rate(2 << 20);
  for (Node* to : {&b_, &c})
    for (unsigned i = 0; i < 30; ++i) ASSERT_TRUE(a_.transport->send(to->id(), Lane::bulk, pattern(100'000, i)));
  const auto begin = now();
  skip(1500ms);
  const double seconds = std::chrono::duration<double>(now() - begin).count();
  EXPECT_LE(static_cast<double>(total(b_) + total(c)), seconds * (2 << 20) + 500e3);
  EXPECT_GE(total(b_), 700'000u);
  EXPECT_GE(total(c), 700'000u);
}

}  // namespace
}  // namespace syncline

#include <gmock/gmock.h>

#include "tests/unit/node_replica_farm.h"

// Readiness by lag, and drain: replicas with disks in memory.
namespace syncline::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using State = Readiness::State;
using Phase = DrainView::Phase;

class Ready : public ::testing::Test {
 protected:
  explicit Ready(std::size_t count = 2) : farm_(count, true) {}
  void start() {
    for (std::size_t n = 0; n < farm_.machines.size(); ++n) farm_.feed(n, ScanFinished{1});
    farm_.link_all();
    farm_.advance(4'000);
  }
  Readiness of(std::size_t n) { return farm_.machines[n].replica->readiness(); }
  Replica& replica(std::size_t n) { return *farm_.machines[n].replica; }
  Phase phase(std::size_t n) { return replica(n).drain_view().phase; }
  void drain(std::size_t n) {
    ASSERT_TRUE(replica(n).drain(farm_.now()));
    farm_.feed(n, Tick{});
    farm_.run();
    farm_.advance(100);
  }
  void upload_many(std::size_t n, std::size_t count, std::size_t bytes = 10) {
    for (std::size_t i = 0; i < count; ++i)
      farm_.upload(n, "f" + std::to_string(i), std::string(bytes, static_cast<char>('a' + i % 26)) + std::to_string(i));
  }
  // What holds contents back: the records pass.
  void hold_contents() {
    farm_.held = [](const ReplicaFarm::Packet& p) { return p.is<Piece>(); };
  }

  ReplicaFarm farm_;
};

TEST_F(Ready, from_the_first_scan_on_and_not_before) {
  farm_.feed(0, Tick{});
  EXPECT_EQ(of(0).state, State::starting);
  EXPECT_THAT(of(0).reason, HasSubstr("first scan"));
  start();
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, a_newcomer_needs_every_file) {
  farm_.feed(0, ScanFinished{1});
  upload_many(0, 3, 300 * 1024);
  hold_contents();
  farm_.feed(1, ScanFinished{1});
  farm_.link_all();
  farm_.advance(4'000);
  EXPECT_EQ(of(1).state, State::catching_up);
  EXPECT_EQ(of(1).folders.at(0).changes, 3u);
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(100);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, one_that_has_caught_up_may_be_some_changes_behind_for_some_time) {
  start();
  farm_.cut(0, 1);
  upload_many(0, 3, 100 * 1024);
  hold_contents();
  farm_.link_all();
  EXPECT_EQ(of(1).folders.at(0).changes, 3u);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
  farm_.advance(9'000);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
  farm_.advance(2'000);
  EXPECT_EQ(of(1).state, State::catching_up);
  EXPECT_GE(of(1).folders.at(0).behind_ms, 10'000u);
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(10'000);  // what was asked for and lost is asked for again
  farm_.advance(300);
  EXPECT_EQ(of(1).folders.at(0).changes, 0u);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, more_changes_behind_than_allowed) {
  start();
  farm_.cut(0, 1);
  upload_many(0, 65);
  hold_contents();
  farm_.link_all();
  EXPECT_EQ(of(1).state, State::catching_up);
  EXPECT_THAT(of(1).reason, HasSubstr("65 files"));
}

TEST_F(Ready, records_that_have_not_come_count_too) {
  start();
  farm_.cut(0, 1);
  upload_many(0, 65);
  farm_.held = [](const ReplicaFarm::Packet& p) { return p.is<Entries>(); };
  farm_.link_all();
  farm_.advance(300);
  EXPECT_GE(of(1).missing, 65u);
  EXPECT_EQ(of(1).state, State::catching_up);
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(300);
  EXPECT_EQ(of(1).missing, 0u);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, a_large_file_on_its_way_keeps_no_reader_away) {
  start();
  hold_contents();
  farm_.upload(0, "film", std::string(600 * 1024, 'x'));
  farm_.run();
  farm_.advance(30'000);
  EXPECT_EQ(of(1).folders.at(0).changes, 1u);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, a_full_disk_is_told_until_there_is_room) {
  start();
  farm_.machines[1].disk->space_left(100);
  farm_.upload(0, "a", std::string(5'000, 'a'));
  farm_.run();
  farm_.advance(300);
  EXPECT_EQ(of(1).state, State::stopped);
  EXPECT_THAT(of(1).reason, HasSubstr("no space left"));
  EXPECT_EQ(of(1).folders.at(0).full, 1u);
  farm_.machines[1].disk->space_left(1'000'000);
  farm_.advance(6'000);
  EXPECT_EQ(farm_.shown(1, "a"), std::string(5'000, 'a'));
  farm_.advance(300);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, is_told_to_balancers_as_it_is_told_to_members) {
  start();
  farm_.cut(0, 1);
  upload_many(0, 3, 100 * 1024);
  hold_contents();
  farm_.link_all();
  farm_.now_ms += 11'000;
  EXPECT_EQ(of(1).state, State::ready) << "the other member still waits for this one";
  farm_.feed(1, Tick{});
  EXPECT_EQ(of(1).state, State::catching_up);
}

TEST_F(Ready, who_asks_puts_no_tick_off) {
  start();
  farm_.upload(0, "a", "x");
  farm_.run();
  farm_.advance(300);
  const std::uint64_t due = replica(0).next_tick_ms();
  ASSERT_LE(due, farm_.now_ms + 1'000);
  for (int poll = 0; poll < 10; ++poll) {
    farm_.now_ms += 10;
    EXPECT_EQ(of(0).state, State::ready);
    EXPECT_TRUE(replica(0).start_wait(1, "a", {}, farm_.now()));
  }
  EXPECT_EQ(replica(0).next_tick_ms(), due);
}

TEST_F(Ready, one_of_two_goes_on_alone_but_does_not_begin_alone) {
  farm_.feed(1, ScanFinished{1});
  for (int i = 0; i < 10; ++i) farm_.advance(1'000);
  EXPECT_EQ(of(1).state, State::starting);
  EXPECT_THAT(of(1).reason, HasSubstr("no member is linked"));
  start();
  ASSERT_EQ(of(1).state, State::ready) << of(1).reason;
  farm_.restart(1);
  farm_.feed(1, ScanFinished{1});
  for (int i = 0; i < 10; ++i) farm_.advance(1'000);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, drain_ends_when_another_member_has_everything) {
  start();
  farm_.upload(0, "a", "x");
  drain(0);
  EXPECT_EQ(phase(0), Phase::leaving);
  EXPECT_EQ(of(0).state, State::drained);
  farm_.upload(0, "late", "written while the balancer did not know yet");
  farm_.run();
  farm_.advance(3'600);
  EXPECT_EQ(phase(0), Phase::drained);
  EXPECT_THAT(replica(0).drain_view().have, ElementsAre(farm_.node(1)));
  EXPECT_EQ(farm_.shown(1, "late"), "written while the balancer did not know yet");
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

TEST_F(Ready, drain_waits_for_contents_with_readers_still_there) {
  start();
  hold_contents();
  farm_.upload(0, "film", std::string(600 * 1024, 'x'));
  farm_.run();
  drain(0);
  farm_.advance(5'000);
  EXPECT_EQ(phase(0), Phase::spreading);
  EXPECT_EQ(of(0).state, State::draining);
  EXPECT_TRUE(of(0).takes_readers());
  EXPECT_THAT(replica(0).drain_view().lacking, ElementsAre(farm_.node(1)));
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(100);
  EXPECT_EQ(phase(0), Phase::leaving);
  EXPECT_EQ(farm_.shown(1, "film").size(), 600u * 1024);
}

TEST_F(Ready, drain_waits_for_what_the_lane_refused) {
  start();
  farm_.held = [](const ReplicaFarm::Packet& p) { return p.is<Entries>(); };
  farm_.upload(0, "p", "refused");
  farm_.run();
  farm_.packets.clear();
  farm_.feed(0, SendRefused{farm_.node(1), Lane::small});
  drain(0);
  for (int i = 0; i < 5; ++i) farm_.advance(1000);
  EXPECT_EQ(phase(0), Phase::spreading);
  farm_.held = nullptr;
  for (int i = 0; i < 7; ++i) farm_.advance(1000);
  EXPECT_EQ(phase(0), Phase::drained);
  EXPECT_EQ(farm_.shown(1, "p"), "refused");
}

TEST_F(Ready, drain_waits_for_somebody_to_be_there) {
  start();
  farm_.cut(0, 1);
  farm_.upload(0, "a", "x");
  drain(0);
  farm_.advance(5'000);
  EXPECT_EQ(phase(0), Phase::spreading);
  EXPECT_THAT(replica(0).drain_view().absent, ElementsAre(farm_.node(1)));
  farm_.link_all();
  farm_.advance(100);
  EXPECT_EQ(phase(0), Phase::leaving);
  EXPECT_EQ(farm_.shown(1, "a"), "x");
}

TEST_F(Ready, resume_ends_it) {
  start();
  drain(0);
  farm_.advance(4'000);
  ASSERT_EQ(phase(0), Phase::drained);
  replica(0).resume(farm_.now());
  farm_.advance(300);
  EXPECT_EQ(phase(0), Phase::off);
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;
}

TEST_F(Ready, drain_is_remembered_over_a_restart) {
  start();
  drain(0);
  farm_.restart(0);
  EXPECT_EQ(phase(0), Phase::leaving);
  farm_.feed(0, ScanFinished{1});
  EXPECT_EQ(of(0).state, State::drained);
  farm_.link_all();
  farm_.advance(4'000);
  EXPECT_EQ(phase(0), Phase::drained);
  replica(0).resume(farm_.now());
  farm_.advance(100);
  farm_.restart(0);
  EXPECT_EQ(phase(0), Phase::off);
}

class Alone : public Ready {
 protected:
  Alone() : Ready(1) {}
};

TEST_F(Alone, has_nobody_to_leave_its_files_with) {
  start();
  const Status refused = replica(0).drain(farm_.now());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Error::Code::refused);
  EXPECT_EQ(phase(0), Phase::off);
}

class CutOff : public Ready {
 protected:
  CutOff() : Ready(3) {}
};

TEST_F(CutOff, the_one_without_a_majority_is_not_ready) {
  start();
  ASSERT_EQ(of(0).state, State::ready) << of(0).reason;
  farm_.cut(0, 1), farm_.cut(0, 2);
  EXPECT_EQ(of(0).state, State::cut_off);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
}

// What has passed by a `wait` for all meanwhile counts, however little it is.
TEST_F(CutOff, one_that_returns_needs_every_file) {
  start();
  farm_.cut(0, 1), farm_.cut(0, 2);
  farm_.advance(60'000);
  upload_many(1, 3, 300 * 1024);
  farm_.run();
  farm_.held = [](const ReplicaFarm::Packet& p) { return p.to == 0 && p.is<Piece>(); };
  farm_.link_all();
  farm_.advance(300);
  EXPECT_EQ(of(0).state, State::catching_up);
  EXPECT_EQ(of(0).folders.at(0).changes, 3u);
  farm_.held = nullptr;
  farm_.run();
  farm_.advance(300);
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;
}

// The other would confirm uploads without it, for as long as it is not linked.
TEST_F(CutOff, one_that_returns_looks_for_all_members_first) {
  start();
  farm_.cut(0, 1), farm_.cut(0, 2);
  farm_.advance(60'000);
  farm_.link(0, 1);
  farm_.run();
  farm_.advance(1'000);
  EXPECT_EQ(of(0).state, State::catching_up);
  EXPECT_EQ(of(0).reason, "looking for the other members");
  farm_.link(0, 2);
  farm_.run();
  farm_.advance(300);
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;
}

TEST_F(CutOff, one_that_returns_waits_for_no_dead_member) {
  start();
  farm_.cut(0, 1), farm_.cut(0, 2);
  farm_.advance(60'000);
  farm_.link(0, 1);
  farm_.run();
  farm_.advance(4'000);
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;
}

TEST_F(CutOff, what_one_brings_that_takes_no_readers_makes_no_other_unready) {
  start();
  farm_.cut(0, 1), farm_.cut(0, 2);
  upload_many(0, 100, 300 * 1024);
  farm_.advance(60'000);
  bool ready = true;
  farm_.held = [&](const ReplicaFarm::Packet& p) {
    ready = ready && of(1).takes_readers() && of(2).takes_readers();
    return p.is<Piece>();
  };
  farm_.upload(1, "for 0", std::string(300 * 1024, 'x'));
  farm_.link_all();
  farm_.advance(300);
  ASSERT_EQ(of(0).state, State::catching_up);
  EXPECT_EQ(of(1).state, State::ready) << of(1).reason;
  EXPECT_EQ(of(2).state, State::ready) << of(2).reason;
  EXPECT_TRUE(ready);
  EXPECT_EQ(of(1).folders.at(0).changes, 100u);
  EXPECT_EQ(of(2).folders.at(0).changes, 101u);
}

// What only a member knew of that is gone now must not age what another one has just written.
TEST_F(CutOff, what_a_member_took_along_is_not_missing_any_more) {
  start();
  farm_.cut(1, 2), farm_.cut(0, 2);
  farm_.upload(2, "a", "x");
  farm_.held = [](const ReplicaFarm::Packet& p) { return p.to == 0 && p.is<Entries>(); };
  farm_.link(0, 2);  // the greeting tells what there is
  farm_.run();
  farm_.advance(6'000);
  ASSERT_GE(of(0).missing_ms, 5'000u);
  farm_.cut(0, 1);
  farm_.upload(1, "b", "y");
  farm_.link(0, 1);
  farm_.run();
  farm_.advance(300);
  farm_.cut(0, 2);
  farm_.advance(300);
  EXPECT_GE(of(0).missing, 1u);
  EXPECT_LT(of(0).missing_ms, 1'000u);
}

// Who is gone counts for no majority, and who hears that it is gone itself takes neither readers nor uploads.
TEST_F(CutOff, who_is_evicted_counts_no_more) {
  start();
  farm_.upload(0, "a", "x");
  farm_.run();
  const Departure gone{ReplicaFarm::node(2), MemberState::evicted, ReplicaFarm::node(0)};
  replica(0).put_value(departure_path(gone.node), encode_departure(gone), farm_.now());
  farm_.feed(0, Tick{});
  farm_.run();
  EXPECT_EQ(of(2).state, State::stopped);
  EXPECT_THAT(of(2).reason, HasSubstr("evicted"));
  EXPECT_FALSE(replica(2).start_wait(1, "a", {}, farm_.now()));
  farm_.cut(0, 2), farm_.cut(1, 2), farm_.cut(0, 1);
  farm_.advance(5'000);
  EXPECT_EQ(of(0).state, State::ready) << of(0).reason;  // one of two
  const auto wait = replica(0).start_wait(1, "a", {.who = WaitGoal::Who::majority}, farm_.now());
  ASSERT_TRUE(wait);
  EXPECT_EQ(replica(0).wait_state(*wait).absent.size() + replica(0).wait_state(*wait).have.size() +
                replica(0).wait_state(*wait).lacking.size(),
            2u);
}

TEST_F(CutOff, wait_counts_who_was_ready_a_moment_ago) {
  start();
  farm_.cut(0, 1), farm_.cut(1, 2);
  farm_.upload(0, "a", "x");
  farm_.run();
  const auto wait = replica(0).start_wait(1, "a", {}, farm_.now());
  ASSERT_TRUE(wait) << wait.error().message;
  farm_.advance(2'000);
  WaitView view = replica(0).wait_state(*wait);
  EXPECT_FALSE(view.over) << "a balancer may still send readers to the second";
  EXPECT_THAT(view.lacking, ElementsAre(farm_.node(1)));
  farm_.advance(1'600);
  view = replica(0).wait_state(*wait);
  EXPECT_TRUE(view.done);
  EXPECT_THAT(view.absent, ElementsAre(farm_.node(1)));
}

// Three members, of which the last has not been there yet: nothing holds it up but what the test holds back.
class Newcomer : public Ready {
 protected:
  Newcomer() : Ready(3) {
    for (std::size_t n = 0; n < 3; ++n) farm_.feed(n, ScanFinished{1});
    farm_.link(0, 1);
    farm_.run();
    farm_.advance(4'000);
  }
  using Packet = ReplicaFarm::Packet;
  // A slow line, on which nothing but the greeting has come.
  static bool is_control_from_newcomer(const Packet& p) {
    return p.from == 2 && p.to == 1 && p.lane == Lane::control && !p.is<Hello>();
  }
  static bool is_small_to_newcomer(const Packet& p) { return p.to == 2 && p.lane == Lane::small; }
  void arrives() { farm_.link(0, 2), farm_.link(1, 2), farm_.run(); }
  // As a balancer does, but every 10 ms.
  bool gets_ready_within(std::uint64_t ms) {
    for (std::uint64_t at = 0; at < ms; at += 10) {
      if (of(2).takes_readers()) return true;
      farm_.advance(10);
    }
    return of(2).takes_readers();
  }
  // A file of the second that all have, as far as it knows.
  void upload_for_all() {
    farm_.upload(1, "promised", "x");
    farm_.run();
    const auto wait = replica(1).start_wait(1, "promised", {}, farm_.now());
    ASSERT_TRUE(wait) << wait.error().message;
    farm_.feed(1, Tick{});
    farm_.run();
    const WaitView view = replica(1).wait_state(*wait);
    ASSERT_TRUE(view.done);
    EXPECT_THAT(view.absent, ElementsAre(farm_.node(2)));
  }
};

TEST_F(Newcomer, gets_no_reader_before_all_wait_for_it) {
  farm_.held = is_control_from_newcomer;
  arrives();
  EXPECT_FALSE(gets_ready_within(5'000));
  EXPECT_THAT(of(2).reason, HasSubstr("telling the other members"));
  farm_.held = [](const Packet& p) { return is_control_from_newcomer(p) || is_small_to_newcomer(p); };
  upload_for_all();
  EXPECT_FALSE(gets_ready_within(1'000));
  EXPECT_EQ(farm_.shown(2, "promised"), "(nothing)");
  farm_.held = is_small_to_newcomer;  // now it is waited for, but the file is still on its way
  EXPECT_FALSE(gets_ready_within(1'000));
  farm_.held = nullptr;
  EXPECT_TRUE(gets_ready_within(1'000)) << of(2).reason;
  EXPECT_EQ(farm_.shown(2, "promised"), "x");
}

TEST_F(Newcomer, waits_for_contents_that_were_promised_before_it_counted) {
  farm_.held = is_control_from_newcomer;
  arrives();
  farm_.held = [](const Packet& p) { return is_control_from_newcomer(p) || (p.to == 2 && p.is<Piece>()); };
  farm_.upload(1, "promised", std::string(300 * 1024, 'x'));
  farm_.run();
  EXPECT_FALSE(gets_ready_within(4'000));
  farm_.held = [](const Packet& p) { return p.to == 2 && p.is<Piece>(); };
  EXPECT_FALSE(gets_ready_within(1'000));
  EXPECT_EQ(of(2).folders.at(0).changes, 1u);
  // What takes its place meanwhile is no better than nothing.
  farm_.upload(1, "promised", std::string(301 * 1024, 'y'));
  farm_.run();
  EXPECT_FALSE(gets_ready_within(1'000));
  farm_.held = nullptr;
  EXPECT_TRUE(gets_ready_within(15'000)) << of(2).reason;
  EXPECT_EQ(farm_.shown(2, "promised").size(), 301u * 1024);
}

TEST_F(Newcomer, does_not_wait_for_a_member_that_is_gone) {
  farm_.held = is_control_from_newcomer;
  arrives();
  EXPECT_FALSE(gets_ready_within(4'000));
  farm_.cut(1, 2);
  EXPECT_TRUE(gets_ready_within(100)) << of(2).reason;
}

TEST_F(Newcomer, tells_a_member_that_is_linked_meanwhile) {
  farm_.link(0, 2);
  farm_.held = [](const Packet& p) { return p.from == 2 && p.to == 0 && p.lane == Lane::control && !p.is<Hello>(); };
  farm_.run();
  EXPECT_FALSE(gets_ready_within(4'000));
  farm_.link(1, 2);
  farm_.held = is_control_from_newcomer;
  EXPECT_FALSE(gets_ready_within(1'000));
  farm_.held = nullptr;
  EXPECT_TRUE(gets_ready_within(100)) << of(2).reason;
}

TEST_F(Newcomer, asks_again_where_a_full_lane_took_no_question) {
  farm_.held = is_control_from_newcomer;
  arrives();
  EXPECT_FALSE(gets_ready_within(4'000));
  std::erase_if(farm_.packets, is_control_from_newcomer);
  farm_.held = nullptr;
  EXPECT_TRUE(gets_ready_within(11'000)) << of(2).reason;
}

}  // namespace
}  // namespace syncline::testing

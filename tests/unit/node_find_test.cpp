// Fetch on miss, decided by replicas in memory: what a reader is told, and that nobody is told "nowhere" of a
// file that some member had taken before he asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/replica_find.h"
#include "protocol/limits.h"
#include "tests/unit/node_replica_farm.h"

namespace syncline {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using State = FindView::State;
using Farm = testing::ReplicaFarm;

class FindTest : public ::testing::Test {
 protected:
  FindTest() { farm_.link_all(); }
  template <class... M>
  void hold() {
    farm_.held = [](const Farm::Packet& p) { return (p.is<M>() || ...); };
  }
  void let_go() {
    farm_.held = nullptr;
    farm_.run();
  }
  template <class M>
  void lose() {
    std::erase_if(farm_.packets, [](const Farm::Packet& p) { return p.is<M>(); });
  }

  Farm farm_{3};
};

TEST_F(FindTest, an_upload_that_nobody_has_noticed_yet) {
  farm_.machines[0].disk->app_make_directory("a");
  farm_.machines[0].disk->app_write("a/b.jpg", "bytes");
  const auto find = farm_.find(1, "a/b.jpg");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
  EXPECT_TRUE(farm_.over(1, find));
  EXPECT_EQ(farm_.shown(1, "a/b.jpg"), "bytes");
}

TEST_F(FindTest, an_upload_on_this_node_that_nobody_has_noticed_yet) {
  farm_.machines[1].disk->app_write("own.jpg", "bytes");
  const auto find = farm_.find(1, "own.jpg");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
}

TEST_F(FindTest, a_record_that_has_not_come) {
  hold<Entries>();
  farm_.upload(0, "p", "bytes");
  farm_.run();
  lose<Entries>();  // a full lane did not take them
  for (const std::size_t peer : {1u, 2u}) farm_.feed(0, SendRefused{Farm::node(peer), Lane::small});
  farm_.held = nullptr;
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
  EXPECT_EQ(farm_.shown(1, "p"), "bytes");
}

TEST_F(FindTest, a_record_of_a_member_that_is_gone_since) {
  farm_.held = [](const Farm::Packet& p) { return p.is<Entries>() && p.to == 1; };
  farm_.upload(0, "p", "bytes");
  farm_.run();
  farm_.cut(0, 1), farm_.cut(0, 2);
  farm_.held = nullptr;
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
}

TEST_F(FindTest, nowhere_when_all_have_said_so) {
  const auto find = farm_.find(1, "nothing");
  EXPECT_EQ(farm_.state(1, find), State::under_way);
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::nowhere);
  EXPECT_TRUE(farm_.over(1, find));
  for (const auto& machine : farm_.machines) EXPECT_EQ(machine.asked_looks, 1u);  // every disk was looked at
}

TEST_F(FindTest, a_member_that_is_not_linked) {
  farm_.cut(0, 1);
  const auto find = farm_.find(1, "nothing");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
  EXPECT_THAT(farm_.view(1, find).silent, ElementsAre(Farm::node(0)));
}

TEST_F(FindTest, a_member_that_does_not_answer) {
  hold<LookupAnswer>();
  const auto find = farm_.find(1, "nothing");
  farm_.run();
  farm_.advance(limits::lookup_timeout_ms - 1);
  EXPECT_EQ(farm_.state(1, find), State::under_way);
  EXPECT_LE(farm_.machines[1].replica->next_tick_ms(), farm_.now_ms + 1);
  farm_.advance(1);
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
  EXPECT_THAT(farm_.view(1, find).silent, UnorderedElementsAre(Farm::node(0), Farm::node(2)));
}

TEST_F(FindTest, a_link_that_goes_down_meanwhile) {
  hold<LookupAnswer>();
  const auto find = farm_.find(1, "nothing");
  farm_.run();
  farm_.cut(1, 2);
  let_go();
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
  EXPECT_THAT(farm_.view(1, find).silent, ElementsAre(Farm::node(2)));
}

TEST_F(FindTest, a_link_that_comes_up_meanwhile) {
  farm_.cut(0, 1);
  farm_.machines[0].disk->app_write("p", "bytes");
  hold<LookupAnswer>();
  const auto find = farm_.find(1, "p");
  farm_.run();
  farm_.link(0, 1);
  farm_.run();
  let_go();
  EXPECT_EQ(farm_.state(1, find), State::here);
}

TEST_F(FindTest, what_was_deleted_is_nowhere) {
  farm_.upload(0, "p", "bytes");
  farm_.run();
  farm_.machines[0].disk->app_remove("p");
  farm_.observe(0, "p");
  farm_.run();
  EXPECT_EQ(farm_.shown(1, "p"), "(nothing)");
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::nowhere);
  farm_.machines[2].disk->app_write("p", "again");
  const auto again = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, again), State::here);
  EXPECT_EQ(farm_.shown(1, "p"), "again");
}

// The record of the deletion has not come everywhere: who still has the file says so, and the newest version
// decides.
TEST_F(FindTest, what_was_deleted_is_nowhere_though_a_member_has_it_still) {
  farm_.upload(0, "p", "bytes");
  farm_.run();
  farm_.held = [](const Farm::Packet& p) { return p.to == 2 && p.is<Entries>(); };
  farm_.machines[0].disk->app_remove("p");
  farm_.observe(0, "p");
  farm_.run();
  ASSERT_EQ(farm_.shown(2, "p"), "bytes");
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::nowhere);
}

TEST_F(FindTest, bytes_that_are_on_their_way) {
  hold<Piece>();
  farm_.upload(0, "p", std::string(limits::inline_content_bytes + 1, 'x'));
  farm_.run();
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::under_way);
  EXPECT_EQ(farm_.lookups, 0u);
  EXPECT_EQ(farm_.find(1, "p"), find);  // the same for all who want it
  let_go();
  EXPECT_EQ(farm_.state(1, find), State::here);
  EXPECT_EQ(farm_.shown(1, "p").size(), limits::inline_content_bytes + 1);
}

TEST_F(FindTest, bytes_that_do_not_come) {
  hold<Piece>();
  farm_.upload(0, "p", std::string(limits::inline_content_bytes + 1, 'x'));
  farm_.run();
  const auto find = farm_.find(1, "p");
  farm_.run();
  farm_.advance(limits::find_timeout_ms - 1);
  EXPECT_EQ(farm_.state(1, find), State::under_way);
  farm_.advance(1);
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
}

TEST_F(FindTest, what_a_reader_waits_for_overtakes_the_backlog) {
  hold<Piece>();
  for (int i = 0; i < 12; ++i)
    farm_.upload(0, "big" + std::to_string(i),
                 std::string(limits::range_bytes * 2, static_cast<char>('a' + i)));
  farm_.run();
  const auto wanted = [&](const std::string& path) {
    return std::any_of(farm_.packets.begin(), farm_.packets.end(), [&](const Farm::Packet& p) {
      return p.to == 1 && p.is<Piece>() &&
             std::get<Piece>(*decode(p.message)).bytes.front() ==
                 static_cast<char>('a' + std::stoi(path.substr(3)));
    });
  };
  ASSERT_TRUE(wanted("big0"));
  ASSERT_FALSE(wanted("big11"));
  const auto find = farm_.find(1, "big11");
  farm_.run();
  EXPECT_TRUE(wanted("big11"));
  farm_.held = [](const Farm::Packet& p) {
    return p.is<Piece>() && std::get<Piece>(*decode(p.message)).bytes.front() != 'a' + 11;
  };
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
  EXPECT_NE(farm_.shown(1, "big0").size(), limits::range_bytes * 2);
}

TEST_F(FindTest, a_file_that_is_being_written_is_neither_here_nor_nowhere) {
  const auto writer = farm_.machines[0].disk->app_open("p");
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
  EXPECT_THAT(farm_.view(1, find).silent, ElementsAre(Farm::node(0)));
}

TEST_F(FindTest, a_stopped_folder_cannot_say) {
  farm_.feed(0, FolderStopped{1, "emptied"});
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::unavailable);
  const auto own = farm_.find(0, "p");
  EXPECT_EQ(farm_.state(0, own), State::unavailable);
}

// A look that was under way when the question came may have been made before the upload.
TEST_F(FindTest, an_old_look_answers_no_question) {
  farm_.machines[0].blind = true;
  const auto find = farm_.find(1, "p");
  farm_.run();
  farm_.observe(0, "p");  // the watcher's: it finds nothing
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::under_way);
  farm_.machines[0].disk->app_write("p", "bytes");
  farm_.machines[0].blind = false;
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
}

TEST_F(FindTest, a_look_for_one_member_is_not_the_answer_to_a_later_one) {
  farm_.machines[0].blind = true;
  const auto first = farm_.find(1, "p");
  farm_.run();
  // It is made, but not told yet, when an upload and another member's question come.
  Observation nothing = farm_.machines[0].folder->observe("p", {});
  ASSERT_EQ(nothing.state, Observation::State::absent);
  farm_.machines[0].looks.clear();
  farm_.machines[0].disk->app_write("p", "bytes");
  const auto second = farm_.find(2, "p");
  farm_.run();
  farm_.feed(0, Observed{1, nothing, UINT64_MAX, true});
  farm_.machines[0].blind = false;
  farm_.run();
  EXPECT_EQ(farm_.state(2, second), State::here);
  EXPECT_EQ(farm_.state(1, first), State::nowhere);  // it came before the upload
}

TEST_F(FindTest, a_crowd_shares_two_questions) {
  hold<LookupAnswer>();
  const auto first = farm_.find(1, "p");
  farm_.run();
  std::set<std::uint64_t> later;
  for (int i = 0; i < 100; ++i) later.insert(farm_.find(1, "p"));
  farm_.run();
  ASSERT_EQ(later.size(), 1u);
  EXPECT_FALSE(later.contains(first));
  EXPECT_EQ(farm_.lookups, 2u);
  let_go();
  EXPECT_EQ(farm_.state(1, first), State::nowhere);
  EXPECT_EQ(farm_.state(1, *later.begin()), State::nowhere);
  EXPECT_EQ(farm_.lookups, 4u);
}

// The first reader was too early, those after the upload are not told what he is told.
TEST_F(FindTest, who_comes_after_the_upload_finds_it) {
  hold<LookupAnswer>();
  const auto early = farm_.find(1, "p");
  farm_.run();
  farm_.machines[0].disk->app_write("p", "bytes");
  const auto late = farm_.find(1, "p");
  farm_.run();
  let_go();
  EXPECT_EQ(farm_.state(1, early), State::nowhere);
  EXPECT_EQ(farm_.state(1, late), State::here);
}

TEST_F(FindTest, a_flood_of_misses_is_answered_from_memory) {
  for (unsigned i = 0; i < tuning::misses_asked + 20; ++i) {
    const auto find = farm_.find(1, "p");
    farm_.run();
    EXPECT_EQ(farm_.state(1, find), State::nowhere);
    EXPECT_TRUE(farm_.over(1, find));
    farm_.machines[1].replica->end_find(find);
  }
  EXPECT_EQ(farm_.lookups, 2u * tuning::misses_asked);
  farm_.upload(0, "p", "bytes");  // becomes known: the memory is void
  farm_.run();
  EXPECT_EQ(farm_.shown(1, "p"), "bytes");
  farm_.machines[1].disk->app_remove("p");
  farm_.observe(1, "p");
  farm_.run();
  farm_.find(1, "p");
  EXPECT_EQ(farm_.lookups, 2u * tuning::misses_asked + 2);
}

TEST_F(FindTest, memory_of_misses_is_short) {
  for (unsigned i = 0; i < tuning::misses_asked; ++i) farm_.find(1, "p"), farm_.run();
  const auto before = farm_.lookups;
  farm_.find(1, "p"), farm_.run();
  EXPECT_EQ(farm_.lookups, before);
  farm_.advance(tuning::miss_ms);
  farm_.machines[0].disk->app_write("p", "bytes");
  const auto find = farm_.find(1, "p");
  farm_.run();
  EXPECT_EQ(farm_.state(1, find), State::here);
}

TEST_F(FindTest, finds_are_bounded) {
  hold<LookupAnswer>();
  for (std::size_t i = 0; i < tuning::finds_max; ++i) farm_.find(1, "p" + std::to_string(i));
  const auto more = farm_.machines[1].replica->start_find(1, "more", farm_.all_but(1), farm_.now());
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Error::Code::full);
  farm_.advance(limits::find_timeout_ms);
  for (std::uint64_t id = 1; id <= tuning::finds_max; ++id) farm_.machines[1].replica->end_find(id);
  EXPECT_TRUE(farm_.machines[1].replica->start_find(1, "more", farm_.all_but(1), farm_.now()));
}

TEST_F(FindTest, an_abandoned_find_gives_its_place_to_the_next) {
  hold<LookupAnswer>();
  const auto first = farm_.find(1, "p");
  const auto second = farm_.find(1, "p");
  ASSERT_NE(first, second);
  farm_.machines[1].replica->end_find(first);
  farm_.feed(1, Tick{});
  let_go();
  EXPECT_EQ(farm_.state(1, second), State::nowhere);
}

// A member that starts anew counts its questions from 1 again: answers to its former self must not reach it.
TEST_F(FindTest, questions_of_a_lost_link_are_void) {
  farm_.machines[0].blind = true;
  farm_.find(1, "p");
  farm_.run();
  farm_.cut(0, 1);
  farm_.link(0, 1);
  farm_.run();
  std::size_t answers = 0;
  farm_.held = [&](const Farm::Packet& p) { return answers += p.is<LookupAnswer>() && p.from == 0, false; };
  farm_.machines[0].blind = false;
  farm_.run();
  EXPECT_EQ(answers, 0u);
}

TEST_F(FindTest, alone) {
  Farm alone(1);
  const auto find = alone.find(0, "p");
  alone.run();
  EXPECT_EQ(alone.state(0, find), State::nowhere);
}

}  // namespace
}  // namespace syncline

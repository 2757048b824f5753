#include <condition_variable>
#include <csignal>
#include <mutex>
#include <random>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/storage_kv_support.h"

namespace syncline {
namespace {

using namespace kv_test;

TEST(KvLmdb, RecoveryTellsHowTheLastRunEnded) {
  TempDirectory temp;
  {
    auto kv = must_open(options_for(temp / "index"));
    EXPECT_TRUE(kv->recovery().clean);
    ASSERT_TRUE(kv->apply({{"a", "1"}}));
  }
  {
    auto kv = must_open(log_only(temp / "index"));
    EXPECT_TRUE(kv->recovery().clean);
    EXPECT_FALSE(kv->recovery().power_loss);
    ASSERT_TRUE(kv->apply({{"b", "1"}, {"c", "1"}}));
    ASSERT_TRUE(kv->apply({{"b", std::nullopt}}));
  }
  {  // killed in the same boot
    auto kv = must_open(log_only(temp / "index"));
    EXPECT_FALSE(kv->recovery().clean);
    EXPECT_FALSE(kv->recovery().power_loss);
    EXPECT_EQ(kv->recovery().replayed_keys, (std::vector<Bytes>{"b", "c"}));
  }
  KvOptions after = log_only(temp / "index");
  after.boot_id = "boot-2";
  for (int i = 0; i < 2;
       ++i) {  // the second time after a crash before anything became durable: still distrusted
    auto kv = must_open(after);
    EXPECT_TRUE(kv->recovery().power_loss);
    EXPECT_EQ(kv->recovery().replayed_keys, (std::vector<Bytes>{"b", "c"}));
    EXPECT_EQ(all_of(*kv), (Model{{"a", "1"}, {"c", "1"}}));
  }
  after.sync_files = nullptr;
  ASSERT_TRUE(must_open(after)->flush_wait());
  auto kv = must_open(after);
  EXPECT_TRUE(kv->recovery().clean);
  EXPECT_TRUE(kv->recovery().replayed_keys.empty());
}

TEST(KvLmdb, WhatWasReplayedBecomesDurableTogetherWithTheNextBatch) {
  TempDirectory temp;
  ASSERT_TRUE(must_open(log_only(temp / "index"))->apply({{"a", "1"}}));
  std::mutex mutex;
  std::condition_variable groups;
  std::vector<std::uint64_t> seen;
  KvOptions options = options_for(temp / "index");
  options.on_durable = [&](std::uint64_t durable) {
    const std::lock_guard lock(mutex);
    seen.push_back(durable);
    groups.notify_all();
  };
  auto kv = must_open(options);
  must_open(options_for(temp / "other"))->flush();  // some time for a group that should not begin
  EXPECT_EQ(kv->applied(), 1u);
  EXPECT_EQ(kv->durable(), 0u);
  ASSERT_TRUE(kv->apply({{"mark", "1"}}));
  std::unique_lock lock(mutex);
  groups.wait(lock, [&] { return !seen.empty(); });
  EXPECT_EQ(seen, std::vector<std::uint64_t>{2});
}

TEST(KvLmdb, ATornLogGivesWholeBatchesFromTheBeginning) {
  TempDirectory temp;
  const std::vector<Model> states = five_in_the_log(temp / "index");
  const auto files = log_files(temp / "index");
  ASSERT_FALSE(files.empty());
  const Bytes log = read_whole(files.back());
  std::size_t best = 0;
  for (std::size_t size = 0; size <= log.size(); ++size) {
    const std::string copy = temp / "copy";
    fs::remove_all(copy);
    fs::copy(temp / "index", copy);
    write_whole(copy + "/" + fs::path(files.back()).filename().string(), BytesView(log).substr(0, size));
    auto kv = must_open(log_only(copy));
    ASSERT_EQ(all_of(*kv), states[kv->applied()]) << "cut at " << size;
    ASSERT_GE(kv->applied(), best) << "cut at " << size;
    best = kv->applied();
    // The lost numbers are given again, and what is written under them is what the next open finds.
    ASSERT_TRUE(kv->apply({{"new", "life"}}));
    Model next = states[best];
    next["new"] = "life";
    kv.reset();
    ASSERT_EQ(all_of(*must_open(log_only(copy))), next) << "cut at " << size;
  }
  EXPECT_EQ(best, 5u);
}

TEST(KvLmdb, AFlippedByteInTheLogEndsIt) {
  TempDirectory temp;
  const std::vector<Model> states = five_in_the_log(temp / "index");
  const auto files = log_files(temp / "index");
  const Bytes log = read_whole(files.back());
  for (std::size_t at = 0; at < log.size(); ++at) {
    const std::string copy = temp / "copy";
    fs::remove_all(copy);
    fs::copy(temp / "index", copy);
    Bytes bad = log;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    write_whole(copy + "/" + fs::path(files.back()).filename().string(), bad);
    const auto kv = open_lmdb_kv(log_only(copy));
    if (!kv) {
      ASSERT_EQ(kv.error().code, Error::Code::invalid) << "at " << at;  // the version byte
      continue;
    }
    ASSERT_EQ(all_of(**kv), states[(*kv)->applied()]) << "at " << at;
    if (at >= 16) {
      ASSERT_LT((*kv)->applied(), 5u) << "at " << at;
    }
  }
}

// No group begins before the close.
KvOptions one_log_file(const std::string& directory) {
  KvOptions options = log_only(directory);
  options.group_ms_max = 3'600'000;
  return options;
}

TEST(KvLmdb, ALostLogFileHidesTheLaterOnesForGood) {
  TempDirectory temp;
  {
    // Two groups in two files: the first is stuck in its sync while the second gathers.
    std::mutex mutex;
    std::condition_variable stuck_or_free;
    bool stuck = false, free = false;
    KvOptions options = one_log_file(temp / "index");
    options.sync_files = [&] {
      std::unique_lock lock(mutex);
      stuck = true;
      stuck_or_free.notify_all();
      stuck_or_free.wait(lock, [&] { return free; });
      return no_sync();
    };
    auto kv = must_open(options);
    ASSERT_TRUE(kv->apply({{"a", "1"}}));
    kv->flush();
    std::unique_lock lock(mutex);
    stuck_or_free.wait(lock, [&] { return stuck; });
    for (const char* key : {"b", "c", "d", "e"}) ASSERT_TRUE(kv->apply({{key, "1"}}));
    free = true;
    stuck_or_free.notify_all();
  }
  const auto files = log_files(temp / "index");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(all_of(*must_open(log_only(temp / "index"))).size(), 5u);
  fs::remove(files[0]);
  {
    auto kv = must_open(one_log_file(temp / "index"));
    EXPECT_EQ(all_of(*kv), Model{});
    for (const char* key : {"x", "y", "z"}) ASSERT_TRUE(kv->apply({{key, "1"}}));
  }
  // The numbers 2 and 3 have been given again; 4 and 5 of the lost row would fit behind them.
  EXPECT_EQ(all_of(*must_open(options_for(temp / "index"))), (Model{{"x", "1"}, {"y", "1"}, {"z", "1"}}));
}

TEST(KvLmdb, CommittedGroupsLeaveNoLogBehind) {
  TempDirectory temp;
  auto kv = must_open(options_for(temp / "index"));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(kv->apply({{fmt::format("{}", i), "v"}}));
    ASSERT_TRUE(kv->flush_wait());
  }
  kv.reset();
  EXPECT_TRUE(log_files(temp / "index").empty());
}

// The child of the kill test: applies batch after batch and reports each number that apply() returned for.
[[noreturn]] void apply_until_killed(const std::string& directory, int pipe) {
  KvOptions options = options_for(directory);
  options.group_ms_max = 2;
  auto kv = open_lmdb_kv(options);
  if (!kv) ::_exit(3);
  for (std::uint64_t i = (*kv)->applied() + 1;; ++i) {
    const Bytes value = fmt::format("{}", i);
    if (!(*kv)->apply({{"first", value}, {fmt::format("k{}", i % 50), value}, {"last", value}})) ::_exit(4);
    if (::write(pipe, &i, sizeof i) != sizeof i) ::_exit(5);
  }
}

TEST(KvLmdb, KilledAtAnyMomentItKeepsWhatItAcknowledged) {
  TempDirectory temp;
  std::mt19937_64 rng(11);
  for (int round = 0; round < 15; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const ::pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      apply_until_killed(temp / "index", ends[1]);
    }
    ::close(ends[1]);
    std::uint64_t acknowledged = 0;
    for (std::uint64_t n = 0, stop = 1 + rng() % 3000; n < stop; ++n) {
      ASSERT_EQ(::read(ends[0], &acknowledged, sizeof acknowledged),
                static_cast<::ssize_t>(sizeof acknowledged));
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    for (std::uint64_t more = 0; ::read(ends[0], &more, sizeof more) == static_cast<::ssize_t>(sizeof more);)
      acknowledged = more;
    ::close(ends[0]);

    auto kv = must_open(log_only(temp / "index"));
    EXPECT_FALSE(kv->recovery().clean);
    const std::uint64_t applied = kv->applied();
    ASSERT_GE(applied, acknowledged);
    ASSERT_LE(applied, acknowledged + 1);
    Model model;
    for (std::uint64_t i = applied; i + 50 > applied && i > 0; --i)
      model[fmt::format("k{}", i % 50)] = fmt::format("{}", i);
    model["first"] = model["last"] = fmt::format("{}", applied);
    ASSERT_EQ(all_of(*kv), model) << "round " << round;
  }
}

}  // namespace
}  // namespace syncline

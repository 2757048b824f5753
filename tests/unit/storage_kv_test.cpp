#include <atomic>
#include <csignal>
#include <future>
#include <random>
#include <thread>

#include <sys/resource.h>

#include "tests/unit/storage_kv_support.h"

namespace syncline {
namespace {

using namespace kv_test;

// Both implementations under one body; reopen() is a close and an open where there is something to open.
struct OnLmdb {
  TempDirectory directory;
  std::unique_ptr<Kv> kv = must_open(options_for(directory / "index"));
  void reopen() {
    kv.reset();
    kv = must_open(options_for(directory / "index"));
  }
};
struct OnMemory {
  std::unique_ptr<MemoryKv> kv = make_memory_kv();
  void reopen() { kv->crash(kv->applied(), false); }
};

template <class World>
class KvTest : public ::testing::Test {
 public:
  World world;
};
struct WorldNames {
  template <class World>
  static std::string GetName(int) {
    return std::is_same_v<World, OnLmdb> ? "Lmdb" : "Memory";
  }
};
using Worlds = ::testing::Types<OnLmdb, OnMemory>;
TYPED_TEST_SUITE(KvTest, Worlds, WorldNames);

Bytes random_key(std::mt19937_64& rng) {
  Bytes key(1 + rng() % 3, 'a');
  for (char& c : key) c = static_cast<char>("\0ab\xff"[rng() % 4]);
  if (rng() % 50 == 0) key.resize(limits::kv_key_bytes, 'k');
  return key;
}

KvBatch random_batch(std::mt19937_64& rng) {
  KvBatch batch;
  for (std::size_t i = 0, n = 1 + rng() % 5; i < n; ++i) {
    const bool big = rng() % 40 == 0;
    auto value = rng() % 3 == 0 ? std::nullopt : std::optional(Bytes(rng() % (big ? 20000 : 20), 'v'));
    batch.emplace_back(random_key(rng), std::move(value));
  }
  return batch;
}

void expect_same_reads(Kv& kv, const Model& model, std::mt19937_64& rng) {
  for (int i = 0; i < 5; ++i) {
    const Bytes key = random_key(rng);
    const auto found = model.find(key);
    ASSERT_EQ(kv.get(key), found == model.end() ? std::nullopt : std::optional(found->second));
  }
  const Bytes first = rng() % 4 == 0 ? Bytes() : random_key(rng),
              last = rng() % 4 == 0 ? Bytes() : random_key(rng);
  const std::size_t max_items = rng() % 30;
  KvItems expected;
  for (auto it = model.lower_bound(first); it != model.end() && expected.size() < max_items; ++it) {
    if (!last.empty() && it->first >= last) break;
    expected.push_back(*it);
  }
  ASSERT_EQ(kv.range(first, last, max_items), expected);
}

TYPED_TEST(KvTest, EqualsAMapUnderRandomOperations) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    std::mt19937_64 rng(seed);
    this->world.reopen();
    Model model = all_of(*this->world.kv);
    std::uint64_t number = this->world.kv->applied();
    for (int step = 0; step < 600; ++step) {
      KvBatch batch = random_batch(rng);
      apply_to(model, batch);
      ASSERT_TRUE(this->world.kv->apply(std::move(batch)));
      ASSERT_EQ(this->world.kv->applied(), ++number);
      expect_same_reads(*this->world.kv, model, rng);
      if (rng() % 60 == 0) {
        ASSERT_TRUE(this->world.kv->flush_wait());
      }
      if (rng() % 100 == 0) {
        this->world.reopen();
        ASSERT_EQ(this->world.kv->applied(), number);
        ASSERT_EQ(all_of(*this->world.kv), model);
      }
      if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << step;
    }
  }
}

TYPED_TEST(KvTest, FlushMakesEverythingDurable) {
  Kv& kv = *this->world.kv;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(kv.apply({{"k", "v"}}));
  EXPECT_EQ(kv.applied(), 3u);
  ASSERT_TRUE(kv.flush_wait());
  EXPECT_EQ(kv.durable(), 3u);
}

TYPED_TEST(KvTest, TheLastChangeOfAKeyInABatchStands) {
  Kv& kv = *this->world.kv;
  ASSERT_TRUE(kv.apply({{"k", "1"}, {"k", std::nullopt}, {"k", "2"}, {"gone", "x"}, {"gone", std::nullopt}}));
  EXPECT_EQ(all_of(kv), (Model{{"k", "2"}}));
}

TYPED_TEST(KvTest, RefusesKeysTheDatabaseCannotHold) {
  Kv& kv = *this->world.kv;
  EXPECT_EQ(kv.apply({{"", "v"}}).error().code, Error::Code::refused);
  EXPECT_EQ(kv.apply({{"good", "v"}, {Bytes(limits::kv_key_bytes + 1, 'k'), "v"}}).error().code,
            Error::Code::refused);
  EXPECT_EQ(kv.get("good"), std::nullopt);
  EXPECT_EQ(kv.get(""), std::nullopt);
  ASSERT_TRUE(kv.apply({}));
  EXPECT_EQ(kv.applied(), 0u);
}

TYPED_TEST(KvTest, NothingIsAppliedAfterDamageWasReported) {
  Kv& kv = *this->world.kv;
  kv.report_damage("a value made no sense");
  EXPECT_EQ(kv.apply({{"k", "v"}}).error().code, Error::Code::invalid);
  EXPECT_EQ(kv.get("k"), std::nullopt);
}

TEST(KvMemory, ACrashKeepsADurableBeginning) {
  auto kv = make_memory_kv();
  std::vector<Model> states{{}};
  std::mt19937_64 rng(7);
  for (std::uint64_t i = 1; i <= 30; ++i) {
    const KvBatch batch = random_batch(rng);
    ASSERT_TRUE(kv->apply(batch));
    states.push_back(states.back());
    apply_to(states.back(), batch);
    if (i == 10) kv->make_durable();
  }
  auto image = kv->copy();
  kv->crash(20);
  EXPECT_EQ(kv->applied(), 20u);
  EXPECT_EQ(all_of(*kv), states[20]);
  EXPECT_TRUE(kv->recovery().power_loss);
  EXPECT_FALSE(kv->recovery().replayed_keys.empty());
  kv->crash(3);
  EXPECT_EQ(all_of(*kv), states[10]) << "what was durable is never lost";
  EXPECT_TRUE(kv->recovery().replayed_keys.empty());
  EXPECT_EQ(all_of(*image), states[30]);
}

TEST(KvLmdb, DirectoryAndFilesArePrivate) {
  TempDirectory temp;
  auto kv = must_open(log_only(temp / "index"));
  ASSERT_TRUE(kv->apply({{"k", "v"}}));
  EXPECT_EQ(fs::status(temp / "index").permissions(), fs::perms::owner_all);
  std::size_t files = 0;
  for (const auto& item : fs::directory_iterator(temp / "index")) {
    EXPECT_EQ(item.status().permissions(), fs::perms::owner_read | fs::perms::owner_write) << item.path();
    ++files;
  }
  EXPECT_EQ(files, 4u);  // lock, data.mdb, lock.mdb, a log file
}

TEST(KvLmdb, ASecondOpenerIsRefused) {
  TempDirectory temp;
  auto kv = must_open(options_for(temp / "index"));
  const auto second = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Error::Code::refused);
  EXPECT_NE(second.error().message.find("in use"), std::string::npos);
  kv.reset();
  EXPECT_TRUE(open_lmdb_kv(options_for(temp / "index")));
}

TEST(KvLmdb, FilesAreSyncedBeforeTheIndexClaimsThem) {
  TempDirectory temp;
  std::atomic<bool> synced = false;
  std::atomic<std::uint64_t> told = 0;
  KvOptions options = options_for(temp / "index");
  options.sync_files = [&] { return synced = true, Status{}; };
  options.on_durable = [&](std::uint64_t durable) {
    EXPECT_TRUE(synced);
    told = durable;
  };
  auto kv = must_open(options);
  ASSERT_TRUE(kv->apply({{"k", "v"}}));
  EXPECT_FALSE(kv->durable() == 1 && !synced);
  kv.reset();  // closing flushes
  EXPECT_EQ(told, 1u);
}

TEST(KvLmdb, AGroupThatCannotBeSyncedStaysAndIsTriedAgain) {
  TempDirectory temp;
  std::atomic<bool> broken = true;
  KvOptions options = options_for(temp / "index");
  options.sync_files = [&] { return broken ? no_sync() : Status{}; };
  options.pending_bytes_max = 4096;
  auto kv = must_open(options);
  Model model;
  Status status;
  std::uint64_t accepted = 0;
  for (int i = 0; i < 200; ++i) {  // bounded: sooner or later apply() passes the error on
    const KvBatch batch{{fmt::format("{:04}", i), Bytes(100, 'v')}};
    status = kv->apply(batch);
    if (!status) break;
    apply_to(model, batch);
    ++accepted;
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Error::Code::full);
  EXPECT_EQ(kv->flush_wait().error().code, Error::Code::full);
  EXPECT_EQ(kv->durable(), 0u);
  EXPECT_EQ(kv->applied(), accepted);
  EXPECT_EQ(all_of(*kv), model);
  broken = false;
  ASSERT_TRUE(kv->flush_wait());
  ASSERT_TRUE(kv->apply({{"after", "v"}}));
  model["after"] = "v";
  kv.reset();
  EXPECT_EQ(all_of(*must_open(options_for(temp / "index"))), model);
}

TEST(KvLmdb, AFailedGroupIsTriedAgainWithoutBeingAsked) {
  TempDirectory temp;
  std::atomic<int> attempts = 0;
  std::promise<std::uint64_t> told;
  KvOptions options = options_for(temp / "index");
  options.sync_files = [&] { return ++attempts < 3 ? no_sync() : Status{}; };
  options.on_durable = [&](std::uint64_t durable) { told.set_value(durable); };
  auto kv = must_open(options);
  ASSERT_TRUE(kv->apply({{"k", "v"}}));
  EXPECT_EQ(told.get_future().get(), 1u);
  EXPECT_EQ(attempts, 3);
}

// A soft limit on the size of any file stands for a full disk: the kernel then answers EFBIG, or writes
// short.
class FileSizeLimit {
 public:
  FileSizeLimit() {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
  }
  ~FileSizeLimit() { lift(); }
  void set(std::uint64_t bytes) {
    const ::rlimit limit{bytes, old_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  void lift() { ::setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  ::rlimit old_{};
};

TEST(KvLmdb, AFullDiskChangesNothingAndWorkGoesOnOnceThereIsSpace) {
  TempDirectory temp;
  Model model;
  {
    auto kv = must_open(options_for(temp / "index"));
    FileSizeLimit limit;
    limit.set(100'000);
    Status status;
    std::mt19937_64 rng(3);
    int accepted = 0;
    for (; accepted < 10'000 && status; ++accepted) {
      const KvBatch batch{{fmt::format("{}", accepted), Bytes(rng() % 5000, 'x')},
                          {"last", fmt::format("{}", accepted)}};
      status = kv->apply(batch);
      if (status) apply_to(model, batch);
      if (accepted % 7 == 0) (void)kv->flush_wait();
    }
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Error::Code::full) << status.error().message;
    EXPECT_EQ(all_of(*kv), model);
    const std::uint64_t number = kv->applied();
    limit.lift();
    ASSERT_TRUE(kv->apply({{"space", "again"}}));
    EXPECT_EQ(kv->applied(), number + 1);
    model["space"] = "again";
    ASSERT_TRUE(kv->flush_wait());
    EXPECT_EQ(kv->durable(), number + 1);
  }
  EXPECT_EQ(all_of(*must_open(options_for(temp / "index"))), model);
}

TEST(KvLmdb, AFullMapIsFullNotBroken) {
  TempDirectory temp;
  KvOptions options = options_for(temp / "index");
  options.map_bytes = 1 << 20;
  auto kv = must_open(options);
  ASSERT_TRUE(kv->apply({{"small", "v"}}));
  ASSERT_TRUE(kv->flush_wait());
  ASSERT_TRUE(kv->apply({{"large", Bytes(2 << 20, 'v')}}));
  EXPECT_EQ(kv->flush_wait().error().code, Error::Code::full);
  EXPECT_EQ(kv->get("small"), "v");
  EXPECT_EQ(kv->get("large")->size(), 2u << 20);
  kv.reset();
  EXPECT_EQ(must_open(options_for(temp / "index"))->get("large")->size(), 2u << 20)
      << "a larger map takes it";
}

TEST(KvLmdb, ReadersSeeWholeBatchesWhileOthersAreWrittenAndCommitted) {
  TempDirectory temp;
  KvOptions options = options_for(temp / "index");
  options.group_ms_max = 1;
  auto kv = must_open(options);
  const auto put = [&](int i) {
    const Bytes value = fmt::format("{}", i);
    return kv->apply({{"a", value}, {"m", value}, {"z", value}, {fmt::format("n{}", i % 100), value}});
  };
  ASSERT_TRUE(put(0));
  std::atomic<bool> done = false;
  std::atomic<int> written = 0;
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      for (int last = 0; !done;) {
        const int before = written;
        const KvItems items = kv->range("a", "", SIZE_MAX);
        EXPECT_GE(items.size(), 4u);
        EXPECT_EQ(items.front().second, items.back().second) << "half a batch";
        const int seen = std::stoi(items.front().second);
        EXPECT_GE(seen, std::max(before, last));
        last = seen;
        const int later = std::stoi(kv->get("m").value_or("-1"));
        EXPECT_GE(later, last);
      }
    });
  }
  for (int i = 1; i <= 3000; ++i) {
    ASSERT_TRUE(put(i));
    written = i;
    if (i % 500 == 0) {
      ASSERT_TRUE(kv->flush_wait());
    }
  }
  done = true;
  for (auto& reader : readers) reader.join();
}

}  // namespace
}  // namespace syncline

#include <cstring>
#include <functional>
#include <random>

#include "tests/unit/storage_kv_support.h"

namespace syncline {
namespace {

using namespace kv_test;

TEST(KvLmdb, FilesThatAreNoDatabaseAreInvalidAndSetAside) {
  TempDirectory temp;
  ASSERT_TRUE(must_open(options_for(temp / "index"))->apply({{"k", "v"}}));
  write_whole(temp / "index/data.mdb", Bytes(8192, 'z'));
  const auto kv = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(kv);
  EXPECT_EQ(kv.error().code, Error::Code::invalid) << kv.error().message;
  const auto first = set_aside(temp / "index");
  ASSERT_TRUE(first);
  EXPECT_EQ(read_whole(*first + "/data.mdb"), Bytes(8192, 'z'));
  fs::create_directory(temp / "index");
  const auto second = set_aside((temp / "index") + "/");
  ASSERT_TRUE(second);
  EXPECT_NE(*first, *second);
  EXPECT_FALSE(fs::exists(temp / "index"));
  EXPECT_EQ(all_of(*must_open(options_for(temp / "index"))), Model{});
}

TEST(KvLmdb, ALogWithoutItsDatabaseIsInvalid) {
  TempDirectory temp;
  five_in_the_log(temp / "index");
  fs::remove(temp / "index/data.mdb");
  const auto kv = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(kv);
  EXPECT_EQ(kv.error().code, Error::Code::invalid);
  EXPECT_FALSE(log_files(temp / "index").empty()) << "nothing is deleted";
}

// A database with two thousand values, closed.
Model two_thousand(const std::string& directory) {
  auto kv = must_open(options_for(directory));
  KvBatch batch;
  for (int i = 0; i < 2000; ++i)
    batch.emplace_back(fmt::format("key {:05}", i), fmt::format("value {:05}", i));
  Model model;
  apply_to(model, batch);
  EXPECT_TRUE(kv->apply(std::move(batch)));
  return model;
}

TEST(KvLmdb, ADatabaseCutShortIsInvalidNeverASignal) {
  TempDirectory temp;
  const Model model = two_thousand(temp / "index");
  const std::uint64_t size = fs::file_size(temp / "index/data.mdb");
  std::size_t invalid = 0;
  for (std::uint64_t cut = 4096; cut < size; cut += 4096 * 3 + 100) {
    fs::remove_all(temp / "copy");
    fs::copy(temp / "index", temp / "copy");
    fs::resize_file(temp / "copy/data.mdb", size - cut);
    for (int i = 0; i < 2; ++i) {  // also the second time
      const auto kv = open_lmdb_kv(options_for(temp / "copy"));
      if (kv) {
        ASSERT_EQ(all_of(**kv), model) << "cut " << cut;
      } else {
        ++invalid;
        ASSERT_EQ(kv.error().code, Error::Code::invalid) << kv.error().message;
      }
    }
  }
  EXPECT_GT(invalid, 10u);
}

// Writes into the file as it is, without making it anew.
void overwrite(const std::string& path, std::uint64_t at, BytesView data) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(data.data(), static_cast<std::streamsize>(data.size()));
}

TEST(KvLmdb, AValueDamagedAtRunTimeStopsTheIndexForGood) {
  TempDirectory temp;
  two_thousand(temp / "index");
  const std::string path = temp / "index/data.mdb";
  const std::size_t at = read_whole(path).rfind("value 01000");
  ASSERT_NE(at, Bytes::npos);
  {
    auto kv = must_open(options_for(temp / "index"));
    EXPECT_EQ(kv->get("key 00999"), "value 00999");
    overwrite(path, at + 8, "7");
    ASSERT_TRUE(kv->apply({{"k", "v"}}));
    EXPECT_EQ(kv->get("key 01000"), std::nullopt);
    EXPECT_EQ(kv->apply({{"k", "v"}}).error().code, Error::Code::invalid);
  }
  overwrite(path, at + 8, "1");
  const auto kv = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(kv) << "also where the damage hides from the next run";
  EXPECT_EQ(kv.error().code, Error::Code::invalid);
}

TEST(KvLmdb, NoiseInTheDatabaseIsFoundAtTheOpenOrHarmless) {
  TempDirectory temp;
  std::mt19937_64 rng(21);
  Model model;
  {
    auto kv = must_open(options_for(temp / "index"));
    for (int i = 0; i < 12; ++i) {
      KvBatch batch;
      for (int n = 0; n < 300; ++n)
        batch.emplace_back(fmt::format("key {}", rng() % 3000), Bytes(rng() % 200, 'v'));
      if (i == 6) batch.emplace_back("large", Bytes(50'000, 'l'));
      apply_to(model, batch);
      ASSERT_TRUE(kv->apply(std::move(batch)));
      ASSERT_TRUE(kv->flush_wait());
    }
  }
  const std::uint64_t pages = fs::file_size(temp / "index/data.mdb") / 4096;
  std::size_t found = 0;
  for (int trial = 0; trial < 120; ++trial) {
    fs::remove_all(temp / "copy");
    fs::copy(temp / "index", temp / "copy");
    const std::uint64_t page = rng() % pages * 4096;
    Bytes noise(trial % 3 == 0 ? 1 : 4096, '\0');
    if (trial % 3 != 1) {
      for (char& c : noise) c = static_cast<char>(rng());
    }
    overwrite(temp / "copy/data.mdb", page + (noise.size() == 1 ? rng() % 200 : 0), noise);
    auto kv = open_lmdb_kv(options_for(temp / "copy"));
    if (!kv) {
      ++found;
      ASSERT_EQ(kv.error().code, Error::Code::invalid) << kv.error().message;
      continue;
    }
    ASSERT_EQ(all_of(**kv), model) << "trial " << trial << " page " << page / 4096;
    ASSERT_TRUE((*kv)->apply({{"still", "works"}}));
    ASSERT_TRUE((*kv)->flush_wait());
    kv->reset();
    ASSERT_EQ(must_open(options_for(temp / "copy"))->get("still"), "works") << "trial " << trial;
  }
  EXPECT_GT(found, 30u);
}

constexpr std::size_t kPage = 4096, kPageHead = 16, kNodeHead = 8;

template <class T>
T load(const Bytes& data, std::size_t offset) {
  T value;
  std::memcpy(&value, data.data() + offset, sizeof value);
  return value;
}

template <class T>
void store(Bytes& data, std::size_t offset, T value) {
  std::memcpy(data.data() + offset, &value, sizeof value);
}

// Offsets of the leaf pages (current ones and old) whose first key `wanted` likes.
std::vector<std::size_t> leaf_pages(const Bytes& data, const std::function<bool(BytesView)>& wanted) {
  std::vector<std::size_t> out;
  for (std::size_t page = 2 * kPage; page + kPage <= data.size(); page += kPage) {
    if (load<std::uint16_t>(data, page + 10) != 2 || load<std::uint16_t>(data, page + 12) < kPageHead + 4)
      continue;
    const std::size_t node = page + load<std::uint16_t>(data, page + kPageHead);
    if (wanted(BytesView(data).substr(node + kNodeHead, load<std::uint16_t>(data, node + 6))))
      out.push_back(page);
  }
  return out;
}

TEST(KvLmdb, KeysOutOfOrderAreFoundAtTheOpen) {
  TempDirectory temp;
  two_thousand(temp / "index");
  Bytes data = read_whole(temp / "index/data.mdb");
  const auto pages = leaf_pages(data, [](BytesView key) { return key.starts_with("key "); });
  ASSERT_FALSE(pages.empty());
  for (const std::size_t page : pages) {
    const auto first = load<std::uint16_t>(data, page + kPageHead),
               second = load<std::uint16_t>(data, page + kPageHead + 2);
    store(data, page + kPageHead, second), store(data, page + kPageHead + 2, first);
  }
  write_whole(temp / "index/data.mdb", data);
  const auto kv = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(kv) << "a search would miss what is there";
  EXPECT_NE(kv.error().message.find("order"), std::string::npos) << kv.error().message;
}

TEST(KvLmdb, APageBothInUseAndFreeIsFoundAtTheOpen) {
  TempDirectory temp;
  two_thousand(temp / "index");
  {
    auto kv = must_open(options_for(temp / "index"));  // frees some pages in several transactions
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(kv->apply({{fmt::format("key {:05}", i * 300), "changed"}}));
      ASSERT_TRUE(kv->flush_wait());
    }
  }
  Bytes data = read_whole(temp / "index/data.mdb");
  const auto lists =
      leaf_pages(data, [](BytesView key) { return key.size() == 8 && !key.starts_with("key"); });
  ASSERT_FALSE(lists.empty());
  const auto txn_of = [&](std::size_t meta) {
    return load<std::uint64_t>(data, meta + kPageHead + 24 + 2 * 48 + 8);
  };
  const std::size_t newest = txn_of(kPage) > txn_of(0) ? kPage : 0;
  const auto root = load<std::uint64_t>(data, newest + kPageHead + 24 + 48 + 40);
  for (const std::size_t page : lists) {
    const std::size_t node = page + load<std::uint16_t>(data, page + kPageHead);
    store(data, node + kNodeHead + 8 + 8, root);  // the first page of the list
  }
  write_whole(temp / "index/data.mdb", data);
  const auto kv = open_lmdb_kv(options_for(temp / "index"));
  ASSERT_FALSE(kv) << "the next transaction would write over it";
  EXPECT_EQ(kv.error().code, Error::Code::invalid);
}

TEST(KvLmdb, AHealthyDatabaseOfAnyShapePassesTheCheck) {
  TempDirectory temp;
  std::mt19937_64 rng(22);
  Model model;
  for (int round = 0; round < 25; ++round) {
    auto kv = must_open(options_for(temp / "index"));
    ASSERT_NE(kv, nullptr) << "round " << round;
    ASSERT_EQ(all_of(*kv), model);
    for (int i = 0; i < 4; ++i) {
      KvBatch batch;
      const std::size_t space = std::size_t{1} << (rng() % 12);
      for (std::size_t n = rng() % 400; n > 0; --n) {
        Bytes key = fmt::format("{}", rng() % space) + Bytes(rng() % 30 == 0 ? rng() % 500 : 0, 'K');
        const std::size_t size = rng() % 60 == 0 ? rng() % 40'000 : rng() % 150;
        batch.emplace_back(std::move(key), rng() % 3 == 0 ? std::nullopt : std::optional(Bytes(size, 'v')));
      }
      if (rng() % 12 == 0) {  // nearly everything goes: trees shrink, pages become free
        for (const auto& item : model) batch.emplace_back(item.first, std::nullopt);
      }
      apply_to(model, batch);
      ASSERT_TRUE(kv->apply(std::move(batch)));
      if (rng() % 2 == 0) {
        ASSERT_TRUE(kv->flush_wait());
      }
    }
  }
}

}  // namespace
}  // namespace syncline

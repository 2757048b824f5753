#include <algorithm>
#include <atomic>
#include <thread>

#include "storage/index_codec.h"
#include "tests/unit/storage_index_support.h"

namespace syncline {
namespace {

using namespace index_test;

TEST(Index, PreorderIsTheOrderOfAWalkThatSortsNames) {
  Rng rng(5);
  const auto components = [](std::string_view path) {
    std::vector<std::basic_string<unsigned char>> out(1);
    for (const char c : path) {
      if (c == '/') {
        out.emplace_back();
      } else {
        out.back().push_back(static_cast<unsigned char>(c));
      }
    }
    return out;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::string a = random_path(rng), b = random_path(rng);
    ASSERT_EQ(preorder_less(a, b), components(a) < components(b)) << a << " " << b;
  }
}

TEST(Index, OnlyATreeThatDoesNotShowTheLiveVersionIsPending) {
  Record file;
  file.folder = 1, file.path = "f", file.content.kind = Kind::file, file.dot = {id_of<ActorId>(1), 5};
  OnDisk shown{{file.content, {}}, file.dot, {}, {}};
  OnDisk older = shown, absent = shown;
  older.dot.seq = 4;
  absent.state.content = {};
  Record tombstone = file, value = file;
  tombstone.content = {};
  value.folder = kClusterFolder, value.content = {}, value.content.kind = Kind::value;
  EXPECT_FALSE(PathEntry{}.pending());
  EXPECT_FALSE((PathEntry{std::nullopt, shown}.pending()));
  EXPECT_TRUE((PathEntry{file, std::nullopt}.pending()));
  EXPECT_TRUE((PathEntry{file, older}.pending()));
  EXPECT_FALSE((PathEntry{file, shown}.pending()));
  EXPECT_FALSE((PathEntry{tombstone, std::nullopt}.pending()));
  EXPECT_TRUE((PathEntry{tombstone, older}.pending()));
  EXPECT_FALSE((PathEntry{tombstone, absent}.pending()));
  EXPECT_FALSE((PathEntry{value, std::nullopt}.pending()));
}

TEST(Index, ALongPathAndAShortOneNeverShareAKey) {
  const std::string long_path =
      std::string(200, 'x') + "/" + std::string(200, 'y') + "/" + std::string(200, 'z');
  const Bytes key = path_key(long_path);
  ASSERT_EQ(key.size(), kPathKeyBytes);
  std::string imitation = key;  // a path that spells out the other's key, hash and all
  std::replace(imitation.begin(), imitation.end(), '\0', '/');
  EXPECT_NE(path_key(imitation), key);
  for (std::size_t size = kPathKeyBytes - 3; size < kPathKeyBytes + 3; ++size) {
    std::string path(size, 'p');
    path[200] = path[400] = '/';
    EXPECT_EQ(path_of(path_key(path), path_in_value(path)), path);
    EXPECT_LE(conflict_key(Table::open_conflict, UINT32_MAX, path, Dot{}).size(), limits::kv_key_bytes);
  }
}

TEST(Index, DecodingDamagedEntriesFailsOrGivesAnEntry) {
  Rng rng(8);
  Dots dots;
  for (int i = 0; i < 300; ++i) {
    const std::string path = random_path(rng);
    const Bytes key = path_key(path), good = encode_entry(path, random_entry(rng, dots, 1, path));
    ASSERT_TRUE(decode_entry(1, key, good));
    for (std::size_t size = 0; size < good.size(); ++size) {
      ASSERT_FALSE(decode_entry(1, key, BytesView(good).substr(0, size))) << "cut short at " << size;
    }
    Bytes bad = good;
    for (int flips = 1 + static_cast<int>(rng() % 3); flips > 0; --flips)
      bad[rng() % bad.size()] = static_cast<char>(rng());
    (void)decode_entry(1, key, bad);  // for the sanitizers
  }
}

TEST(Index, AFileTakesFewBytes) {
  Rng rng(1);
  const std::string path = "uploads/2024/06/IMG_20240617_104532_a.jpg";
  PathEntry e;
  e.live.emplace();
  e.live->folder = 1, e.live->path = path, e.live->dot = {id_of<ActorId>(1), 1'000'000},
  e.live->hlc = Hlc::at_ms(1'718'000'000'000);
  e.live->content = {.kind = Kind::file,
                     .hash = id_of<Hash128>(3),
                     .size = 123'456,
                     .mode = 0644,
                     .mtime_ns = 1'718'000'000'123'456'789,
                     .target = {}};
  e.disk =
      OnDisk{{e.live->content, {5'000'000, 123'456, 1'718'000'000'123'456'789, 1'718'000'000'124'000'000}},
             e.live->dot,
             {},
             e.live->hlc};
  const std::size_t bytes = entry_key(Table::live, 1, path).size() + encode_entry(path, e).size();
  RecordProperty("bytes", static_cast<int>(bytes));
  EXPECT_LE(bytes, 120u);
  e.live->context.raise(id_of<ActorId>(2), 1'000'000);
  e.disk->context = e.live->context;
  e.live->base = id_of<Hash128>(4);
  EXPECT_LE(entry_key(Table::live, 1, path).size() + encode_entry(path, e).size(), 160u) << "edited once";
}

TEST(Index, SignaturesAreKeptUntilDropped) {
  auto kv = make_memory_kv();
  auto index = must_open(*kv);
  Signature signature;
  signature.file_bytes = 5000;
  signature.weak = {1, 2}, signature.strong = {id_of<Hash128>(1), id_of<Hash128>(2)};
  const auto hash = id_of<Hash128>(7);
  EXPECT_EQ(index->signature(hash), nullptr);
  index->put_signature(hash, signature);
  ASSERT_TRUE(index->commit());
  ASSERT_NE(index->signature(hash), nullptr);
  EXPECT_EQ(*index->signature(hash), signature);
  index->drop_signature(hash);
  EXPECT_EQ(index->signature(hash), nullptr);
}

TEST(Index, AfterPowerLossWhatWasNotDurableIsDistrusted) {
  auto kv = make_memory_kv();
  auto index = must_open(*kv);
  Rng rng(2);
  Dots dots;
  const auto put = [&](const std::string& path, Kind kind) {
    PathEntry e;
    e.live = random_record(rng, dots, 1, path);
    e.live->content = {};
    e.live->content.kind = kind;
    e.disk = OnDisk{{e.live->content, {1, 0, 0, 77}}, e.live->dot, {}, {}};
    index->put(1, path, e);
    return e;
  };
  const std::string long_path = "d/" + std::string(250, 'x') + "/" + std::string(250, 'y');
  put("durable", Kind::file);
  ASSERT_TRUE(index->commit());
  kv->make_durable();
  put("d/tail", Kind::file), put("gone", Kind::deleted), put(long_path, Kind::file);
  ASSERT_TRUE(index->commit());
  const std::uint64_t kept = kv->applied();
  put("lost", Kind::file);
  ASSERT_TRUE(index->commit());
  kv->crash(kept);
  index = must_open(*kv);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(index->distrusted(1, "", 10), (std::vector<std::string>{"d/tail", long_path, "gone"}));
    EXPECT_TRUE(index->is_distrusted(1, long_path));
    EXPECT_FALSE(index->is_distrusted(1, "durable"));
    EXPECT_EQ(index->get(1, "durable")->disk->state.print.ctime_ns, 77);
    EXPECT_EQ(index->get(1, "d/tail")->disk->state.print.ctime_ns, 0);
    EXPECT_EQ(index->get(1, "lost"), std::nullopt);
    kv->make_durable();
    kv->crash(kv->applied(), false);  // the marks outlive a further, harmless restart
    index = must_open(*kv);
  }
  auto e = *index->get(1, "d/tail");
  e.live->dot = dots.next(rng);
  index->put(1, "d/tail", e);
  EXPECT_TRUE(index->is_distrusted(1, "d/tail")) << "nobody has looked yet";
  e.disk->state.print.ctime_ns = 99;
  index->put(1, "d/tail", e);
  EXPECT_FALSE(index->is_distrusted(1, "d/tail"));
}

TEST(Index, AnOrdinaryRestartTrustsWhatItKnew) {
  auto kv = make_memory_kv();
  auto index = must_open(*kv);
  PathEntry e;
  e.disk.emplace();
  e.disk->state.print.ctime_ns = 77;
  index->put(1, "p", e);
  ASSERT_TRUE(index->commit());
  kv->crash(kv->applied(), false);
  index = must_open(*kv);
  EXPECT_TRUE(index->distrusted(1, "", 10).empty());
  EXPECT_EQ(index->get(1, "p")->disk->state.print.ctime_ns, 77);
}

TEST(Index, ForeignAndNewerDatabasesAreInvalid) {
  auto foreign = make_memory_kv();
  ASSERT_TRUE(foreign->apply({{"someone", "else"}}));
  EXPECT_EQ(Index::open(*foreign).error().code, Error::Code::invalid);
  auto newer = make_memory_kv();
  must_open(*newer);
  ASSERT_TRUE(newer->apply({{name_key(Table::schema, ""), Bytes("\x03\0\0\0", 4)}}));
  const auto opened = Index::open(*newer);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Error::Code::invalid);
  EXPECT_NE(opened.error().message.find("schema 3"), std::string::npos);
}

TEST(Index, OneOfSchema1IsReadAndBecomesThisOne) {
  auto kv = make_memory_kv();
  must_open(*kv);
  const Bytes counts("\x05\x64\x01\x00\x02\x03\x01", 7);
  ASSERT_TRUE(kv->apply({{name_key(Table::schema, ""), Bytes("\x01\0\0\0", 4)}, {folder_key(Table::counts, 1), counts}}));
  const auto index = must_open(*kv);
  EXPECT_EQ(index->counts(1).files, 5u);
  EXPECT_EQ(index->counts(1).open_conflicts, 1u);
  EXPECT_EQ(index->counts(1).unpublished, 0u);
  EXPECT_EQ(kv->get(name_key(Table::schema, "")), Bytes("\x02\0\0\0", 4));
}

TEST(Index, NothingIsDecidedOnAnEntryThatMakesNoSense) {
  auto kv = make_memory_kv();
  auto index = must_open(*kv);
  ASSERT_TRUE(kv->apply({{entry_key(Table::live, 1, "p"), "garbage"}}));
  EXPECT_EQ(index->get(1, "p"), std::nullopt);
  index->put_meta("decision", "p is free");
  EXPECT_EQ(index->commit().error().code, Error::Code::invalid);
}

TEST(Index, TheOldBatchStaysOpenWhenTheDiskRefusesIt) {
  // A Kv whose disk is full for one batch.
  class FullOnce final : public Kv {
   public:
    std::optional<Bytes> get(BytesView key) override { return inner->get(key); }
    KvItems range(BytesView a, BytesView b, std::size_t n) override { return inner->range(a, b, n); }
    Status apply(KvBatch batch) override {
      if (std::exchange(full, false)) return fail(Error::Code::full, "no space");
      return inner->apply(std::move(batch));
    }
    std::uint64_t applied() override { return inner->applied(); }
    std::uint64_t durable() override { return inner->durable(); }
    void flush() override {}
    Status flush_wait() override { return {}; }
    const KvRecovery& recovery() const override { return inner->recovery(); }
    void report_damage(const std::string& what) override { inner->report_damage(what); }
    std::unique_ptr<MemoryKv> inner = make_memory_kv();
    bool full = false;
  } kv;
  auto index = must_open(kv);
  kv.full = true;
  index->put_meta("name", "value");
  EXPECT_EQ(index->commit().error().code, Error::Code::full);
  EXPECT_EQ(index->meta("name"), "value");
  ASSERT_TRUE(index->commit());
  EXPECT_EQ(must_open(kv)->meta("name"), "value");
}

TEST(Index, ReadersOnOtherThreadsSeeCommittedEntriesWhole) {
  auto kv = make_memory_kv();
  auto index = must_open(*kv);
  const auto put = [&](std::uint64_t i) {
    for (const char* path : {"a", "m/x", "z"}) {
      PathEntry e;
      e.live.emplace();
      e.live->folder = 1, e.live->path = path,
      e.live->dot = {id_of<ActorId>(1), i * 3 + static_cast<std::uint64_t>(path[0] % 3)};
      e.live->hlc.value = i;
      if (i % 2 == 1) e.live->content.kind = Kind::directory;
      index->put(1, path, e);
    }
    ASSERT_TRUE(index->commit());
  };
  put(1);
  std::atomic<bool> done = false;
  std::thread scanner([&] {
    const IndexReader reader(*kv);
    for (std::uint64_t last = 0; !done;) {
      const auto entry = reader.get(1, "m/x");
      if (!entry || !entry->live) {
        ADD_FAILURE() << "not even between its two tables is it gone";
        break;
      }
      EXPECT_GE(entry->live->hlc.value, last);
      last = entry->live->hlc.value;
    }
  });
  for (std::uint64_t i = 2; i < 2000; ++i) put(i);
  done = true;
  scanner.join();
}

}  // namespace
}  // namespace syncline

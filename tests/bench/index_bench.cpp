// What the index costs, on the disk below TMPDIR: puts in batches, look-ups, the log and the scanner's walk,
// with as many files as the argument says. `index_bench --benchmark_filter=1000000` is the large one: some
// 600 MB and half a minute.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "storage/index.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

constexpr FolderId kFolder = 1;

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "index_bench: {}\n", result.error().message);
  std::exit(1);
}
void must(Status status) {
  if (status) return;
  fmt::print(stderr, "index_bench: {}\n", status.error().message);
  std::exit(1);
}

std::string path_of(std::uint64_t i) {
  return fmt::format("uploads/2024/{:02}/{:03}/image_{:08}.jpeg", i % 12, i / 12 % 500, i);
}

PathEntry entry_of(std::uint64_t i) {
  static const ActorId actor = ActorId::from("0123456789abcdef");
  const auto time = static_cast<std::int64_t>(1'718'000'000'000'000'000 + i * 1'234'567);
  PathEntry e;
  Record& r = e.live.emplace();
  r.folder = kFolder, r.path = path_of(i);
  r.content.kind = Kind::file, r.content.size = 1000 + i % 500'000, r.content.mode = 0644;
  r.content.mtime_ns = time;
  std::mt19937_64 noise(i);
  for (auto& byte : r.content.hash.bytes) byte = static_cast<std::uint8_t>(noise());
  r.dot = {actor, i + 1}, r.hlc = Hlc::at_ms(1'718'000'000'000 + i);
  e.disk = OnDisk{{r.content, {100'000 + i, r.content.size, time, time + 400'000}}, r.dot, {}, r.hlc};
  return e;
}

// An index in a directory of its own, gone with it.
struct World {
  World() : directory(fs::temp_directory_path() / fmt::format("syncline-index-bench-{}", ::getpid())) {
    open();
  }
  ~World() {
    index.reset(), kv.reset();
    fs::remove_all(directory);
  }
  void open() {
    index.reset(), kv.reset();
    KvOptions options;
    options.directory = directory;
    kv = must(open_lmdb_kv(options));
    index = must(Index::open(*kv));
  }
  void put(std::uint64_t count, std::uint64_t batch) {
    for (const std::uint64_t end = files + count; files < end;) {
      const PathEntry e = entry_of(files++);
      index->put(kFolder, e.live->path, e);
      index->advance(e.live->dot.actor, e.live->dot.seq);
      if (files % batch == 0) must(index->commit());
    }
    must(index->commit());
  }
  fs::path directory;
  std::unique_ptr<Kv> kv;
  std::unique_ptr<Index> index;
  std::uint64_t files = 0;
};

// Applied, as an upload waits for it, then durable: `durable_ms` is what the last group added.
void put_batches(benchmark::State& state) {
  World world;
  world.put(20'000, 1000);
  must(world.kv->flush_wait());
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) world.put(batch, batch);
  const auto applied = std::chrono::steady_clock::now();
  must(world.kv->flush_wait());
  const std::chrono::duration<double, std::milli> durable = std::chrono::steady_clock::now() - applied;
  state.counters["durable_ms"] = durable.count();
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void fill(World& world, const benchmark::State& state) {
  world.put(static_cast<std::uint64_t>(state.range(0)), 1000);
  must(world.kv->flush_wait());
}

void get(benchmark::State& state, bool there) {
  World world;
  fill(world, state);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    if (world.index->get(kFolder, path_of(random() % world.files + (there ? 0 : world.files))).has_value() !=
        there)
      state.SkipWithError("not what was put");
  }
}

void read_log(benchmark::State& state) {
  World world;
  fill(world, state);
  for (auto _ : state) {
    for (std::uint64_t after = 0;;) {
      const auto part = world.index->log(entry_of(0).live->dot.actor, after, 2000, 1 << 20);
      if (part.empty()) break;
      after = part.back().seq;
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void walk_below(benchmark::State& state) {
  World world;
  fill(world, state);
  const IndexReader reader(*world.kv);
  for (auto _ : state) {
    for (std::string after;;) {
      const auto part = reader.below(kFolder, "", after, 1000);
      if (part.size() < 1000) break;
      after = part.back().first;
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void open_again(benchmark::State& state) {
  World world;
  fill(world, state);
  for (auto _ : state) world.open();
  state.counters["bytes_a_file"] =
      static_cast<double>(fs::file_size(world.directory / "data.mdb")) / static_cast<double>(state.range(0));
}

constexpr std::int64_t kSome = 20'000, kMany = 1'000'000;
BENCHMARK(put_batches)->Arg(1)->Arg(10)->Arg(1000)->UseRealTime();
BENCHMARK_CAPTURE(get, there, true)->Arg(kSome)->Arg(kMany);
BENCHMARK_CAPTURE(get, missing, false)->Arg(kSome)->Arg(kMany);
BENCHMARK(read_log)->Arg(kSome)->Arg(kMany)->Unit(benchmark::kMillisecond);
BENCHMARK(walk_below)->Arg(kSome)->Arg(kMany)->Unit(benchmark::kMillisecond);
BENCHMARK(open_again)->Arg(kSome)->Arg(kMany)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace syncline

BENCHMARK_MAIN();

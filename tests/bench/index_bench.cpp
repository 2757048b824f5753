// What the index costs: puts in batches of several sizes, look-ups, the log, and a million files. Prints
// figures; asserts nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <unistd.h>

#include "storage/index.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using BenchClock = std::chrono::steady_clock;

constexpr FolderId kFolder = 1;

double seconds_since(BenchClock::time_point start) {
  return std::chrono::duration<double>(BenchClock::now() - start).count();
}

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}
void must(Status status) {
  if (status) return;
  fmt::print(stderr, "{}\n", status.error().message);
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
  r.content.kind = Kind::file, r.content.size = 1000 + i % 500'000, r.content.mode = 0644,
  r.content.mtime_ns = time;
  std::uint64_t noise = i;
  for (auto& byte : r.content.hash.bytes)
    byte = static_cast<std::uint8_t>((noise = noise * 6364136223846793005 + 1442695040888963407) >> 56);
  r.dot = {actor, i + 1}, r.hlc = Hlc::at_ms(1'718'000'000'000 + i);
  e.disk = OnDisk{{r.content, {100'000 + i, r.content.size, time, time + 400'000}}, r.dot, {}, r.hlc};
  return e;
}

std::string memory_line() {
  std::ifstream status("/proc/self/status");
  std::string line, out;
  while (std::getline(status, line)) {
    if (line.starts_with("RssAnon") || line.starts_with("RssFile"))
      out += line.substr(0, line.find("kB") + 2) + "  ";
  }
  for (char& c : out) c = c == '\t' ? ' ' : c;
  return out;
}

struct World {
  explicit World(const std::string& name)
      : directory(fs::temp_directory_path() / fmt::format("syncline-bench-{}-{}", ::getpid(), name)) {
    open();
  }
  ~World() {
    index.reset(), kv.reset();
    fs::remove_all(directory);
  }
  void open() {
    KvOptions options;
    options.directory = directory;
    kv = must(open_lmdb_kv(options));
    index = must(Index::open(*kv));
  }
  fs::path directory;
  std::unique_ptr<Kv> kv;
  std::unique_ptr<Index> index;
};

void put_new(World& world, std::uint64_t first, std::uint64_t count, std::uint64_t batch) {
  for (std::uint64_t i = first; i < first + count; ++i) {
    const PathEntry e = entry_of(i);
    world.index->put(kFolder, e.live->path, e);
    world.index->advance(e.live->dot.actor, e.live->dot.seq);
    if ((i + 1) % batch == 0) must(world.index->commit());
  }
  must(world.index->commit());
}

void bench_puts() {
  constexpr std::uint64_t kCount = 100'000;
  for (const std::uint64_t batch : {1u, 10u, 1000u}) {
    World world(fmt::format("put{}", batch));
    const auto start = BenchClock::now();
    put_new(world, 0, kCount, batch);
    const double applied = seconds_since(start);
    must(world.kv->flush_wait());
    fmt::print(
        "put 100,000 new files, batches of {:4}: {:6.2f} us each, {:8.0f}/s applied; {:8.0f}/s durable\n",
        batch, applied * 1e6 / kCount, kCount / applied, kCount / seconds_since(start));
  }
}

void bench_latency() {
  World world("latency");
  put_new(world, 0, 20'000, 1000);
  std::vector<double> us;
  for (std::uint64_t i = 20'000; i < 40'000; ++i) {
    const auto start = BenchClock::now();
    put_new(world, i, 1, 1);
    us.push_back(seconds_since(start) * 1e6);
  }
  std::sort(us.begin(), us.end());
  fmt::print("one put and commit: p50 {:.1f} us, p99 {:.1f} us, p99.9 {:.1f} us, max {:.0f} us\n",
             us[us.size() / 2], us[us.size() * 99 / 100], us[us.size() * 999 / 1000], us.back());
}

void bench_reads(World& world, std::uint64_t count) {
  std::mt19937_64 random(1);
  auto start = BenchClock::now();
  constexpr int kLookups = 200'000;
  for (int i = 0; i < kLookups; ++i) {
    if (!world.index->get(kFolder, path_of(random() % count))) std::abort();
  }
  fmt::print("get at random: {:.2f} us\n", seconds_since(start) * 1e6 / kLookups);
  start = BenchClock::now();
  for (int i = 0; i < kLookups; ++i) {
    if (world.index->get(kFolder, path_of(count + random() % count))) std::abort();
  }
  fmt::print("get of what is not there: {:.2f} us\n", seconds_since(start) * 1e6 / kLookups);

  start = BenchClock::now();
  std::uint64_t seen = 0;
  for (std::uint64_t after = 0;;) {
    const auto part = world.index->log(entry_of(0).live->dot.actor, after, 2000, 1 << 20);
    if (part.empty()) break;
    seen += part.size(), after = part.back().seq;
  }
  fmt::print("log: {} entries, {:.0f}/s\n", seen, static_cast<double>(seen) / seconds_since(start));

  start = BenchClock::now();
  seen = 0;
  const IndexReader reader(*world.kv);
  for (std::string after;;) {
    const auto part = reader.below(kFolder, "", after, 1000);
    seen += part.size();
    if (part.size() < 1000) break;
    after = part.back().first;
  }
  fmt::print("below (scanner): {} entries, {:.0f}/s\n", seen,
             static_cast<double>(seen) / seconds_since(start));
}

void bench_million() {
  constexpr std::uint64_t kCount = 1'000'000;
  World world("million");
  auto start = BenchClock::now();
  put_new(world, 0, kCount, 1000);
  must(world.kv->flush_wait());
  fmt::print("1,000,000 files: {:.1f} s until durable\n", seconds_since(start));
  const auto size = static_cast<double>(fs::file_size(world.directory / "data.mdb"));
  fmt::print("data.mdb {:.0f} MB, {:.0f} bytes a file\n", size / 1e6, size / kCount);
  world.index.reset(), world.kv.reset();
  start = BenchClock::now();
  world.open();
  fmt::print("open after a clean close: {:.1f} ms; {}\n", seconds_since(start) * 1e3, memory_line());
  bench_reads(world, kCount);
  fmt::print("after reading all of it: {}\n", memory_line());
  start = BenchClock::now();
  put_new(world, kCount, 100'000, 1);
  fmt::print("100,000 more, one a batch: {:.0f}/s applied", 100'000 / seconds_since(start));
  must(world.kv->flush_wait());
  fmt::print(", {:.0f}/s durable; {}\n", 100'000 / seconds_since(start), memory_line());
}

}  // namespace
}  // namespace syncline

int main() {
  syncline::bench_puts();
  syncline::bench_latency();
  syncline::bench_million();
}

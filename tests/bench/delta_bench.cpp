// Figures of the delta on content in memory: `delta_bench`, or `delta_bench --benchmark_filter=random`. Bytes
// per second are those of the target.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <thread>

#include "protocol/delta.h"
#include "protocol/delta_patch.h"
#include "protocol/signature_weak.h"

namespace syncline {
namespace {

constexpr std::size_t kBytes = 256 * 1024 * 1024;

const HashKey& key() {
  static const HashKey key(Key32{});
  return key;
}

void fill_random(Bytes& content, std::size_t at, std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (; bytes >= sizeof(std::uint64_t); at += sizeof(std::uint64_t), bytes -= sizeof(std::uint64_t)) {
    const std::uint64_t v = random();
    std::memcpy(content.data() + at, &v, sizeof v);
  }
}

const Bytes& base() {
  static const Bytes content = [] {
    Bytes out(kBytes, '\0');
    fill_random(out, 0, kBytes, 1);
    return out;
  }();
  return content;
}

Signature sign(BytesView content) {
  SignatureBuilder builder(key());
  builder.update(content);
  return builder.finish().value();
}

const Signature& base_signature() {
  static const Signature signature = sign(base());
  return signature;
}

void run_on_threads(std::span<const std::function<void()>> tasks) {
  std::vector<std::thread> threads;
  for (const auto& task : tasks) threads.emplace_back(task);
  for (std::thread& thread : threads) thread.join();
}

Bytes rewritten(std::size_t every) {
  Bytes out = base();
  for (std::size_t page = every / 2; page < kBytes / 4096; page += every)
    fill_random(out, page * 4096, 4096, page);
  return out;
}

void measure(benchmark::State& state, const Bytes& target) {
  const Signature& base = base_signature();  // made here, outside the loop
  const Hash128 hash = key().hash(target);
  DeltaOptions options;
  options.lanes = static_cast<std::size_t>(state.range(0)), options.run = run_on_threads;
  const DeltaSink swallow = [](BytesView piece) { return benchmark::DoNotOptimize(piece), Status{}; };
  DeltaStats stats;
  for (auto _ : state) {
    stats = make_delta(base, key(), DeltaSource::of(target), hash, swallow, options).value();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(target.size()));
  state.counters["delta_bytes"] = static_cast<double>(stats.delta_bytes);
}

void aligned(benchmark::State& state) { measure(state, base()); }
void head_insert(benchmark::State& state) { measure(state, "x" + base()); }
void pages_1_percent(benchmark::State& state) { measure(state, rewritten(100)); }
void random_content(benchmark::State& state) {
  Bytes target(kBytes, '\0');
  fill_random(target, 0, kBytes, 2);
  measure(state, target);
}

void signature(benchmark::State& state) {
  base();
  for (auto _ : state) benchmark::DoNotOptimize(sign(base()));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBytes));
}

void patch_1_percent(benchmark::State& state) {
  const Bytes target = rewritten(100);
  Bytes delta;
  const DeltaSink sink = [&delta](BytesView piece) { return delta.append(piece), Status{}; };
  const Hash128 hash = key().hash(target);
  if (!make_delta(base_signature(), key(), DeltaSource::of(target), hash, sink))
    return state.SkipWithError("no delta");
  const DeltaHeader header{base_signature().file_hash, kBytes, hash, kBytes};
  const ReadAt read = [](std::uint64_t offset, std::span<char> into) -> Result<std::size_t> {
    std::memcpy(into.data(), base().data() + offset, into.size());
    return into.size();
  };
  for (auto _ : state) {
    const PatchOutput swallow = [](BytesView piece) { return benchmark::DoNotOptimize(piece), Status{}; };
    if (!apply_delta(delta, header, read, swallow, key())) state.SkipWithError("patch failed");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBytes));
}

BENCHMARK(signature)->Unit(benchmark::kMillisecond);
BENCHMARK(aligned)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(head_insert)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(pages_1_percent)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(random_content)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(patch_1_percent)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace syncline

BENCHMARK_MAIN();

// The protocol's parts on data in memory: `protocol_bench`, or `protocol_bench --benchmark_filter=seal`.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include <random>

#include "protocol/content_hash.h"
#include "protocol/delta_roll.h"
#include "protocol/merge.h"
#include "protocol/messages.h"
#include "protocol/secure_channel.h"

namespace syncline {
namespace {

Bytes noise(std::size_t bytes, unsigned seed = 1) {
  std::mt19937 random(seed);
  Bytes out(bytes, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

void processed(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void strong_hash(benchmark::State& state) {
  const HashKey key(Key32{});
  const Bytes content = noise(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(key.hash(content));
  processed(state, content.size());
}

// Windows of 4 KiB over content that the base does not have: what a scan pays for each byte of a gap.
void rolling_scan(benchmark::State& state, RollBatch roll) {
  constexpr unsigned kBlockBits = 12;
  constexpr std::size_t kBlock = 1 << kBlockBits, kBytes = 1 << 20;
  const Bytes content = noise(kBytes + kBlock + kRollBatch), base = noise(1 << 18, 2);
  WeakFilter filter(base.size() / kBlock);
  for (std::size_t at = 0; at + kBlock <= base.size(); at += kBlock)
    filter.add(weak_sum(BytesView(base).substr(at, kBlock)));
  std::array<std::uint32_t, kRollBatch> weak;
  for (auto _ : state) {
    WeakSum sum = WeakSum::of(BytesView(content).substr(0, kBlock));
    for (std::size_t at = 0; at < kBytes; at += kRollBatch)
      benchmark::DoNotOptimize(roll(filter, content.data() + at, kBlockBits, kRollBatch, sum, weak.data()));
  }
  processed(state, kBytes);
}

Record record(std::uint64_t number) {
  Record r;
  r.folder = 1, r.path = "uploads/2024/05/image_" + std::to_string(number) + ".jpeg";
  r.content.kind = Kind::file, r.content.size = 64 * 1024, r.content.mode = 0644;
  r.content.mtime_ns = 1'718'000'000'000'000'000 + static_cast<std::int64_t>(number);
  r.content.hash.bytes.fill(static_cast<std::uint8_t>(number));
  r.dot.actor.bytes.fill(7), r.dot.seq = number + 1;
  r.hlc = Hlc::at_ms(1'718'000'000'000 + number);
  return r;
}

Entries entries(std::size_t count, std::size_t attached) {
  Entries out;
  out.actor.bytes.fill(7), out.upto = count;
  for (std::size_t i = 0; i < count; ++i) {
    out.items.push_back({record(i), std::nullopt});
    if (attached) out.items.back().attachment = Entries::Attachment{Encoding::raw, noise(attached)};
  }
  return out;
}

void encode_entries(benchmark::State& state) {
  const Message message =
      entries(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(encode(message));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void decode_entries(benchmark::State& state) {
  const Bytes wire =
      encode(entries(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1))));
  for (auto _ : state)
    if (!decode(wire)) state.SkipWithError("it does not decode");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void merge_concurrent(benchmark::State& state) {
  const Record live = record(1);
  Record incoming = record(2);
  incoming.path = live.path, incoming.dot.actor.bytes.fill(8);
  for (auto _ : state) benchmark::DoNotOptimize(merge(live, incoming));
}

struct Pair {
  explicit Pair(Cipher cipher) : sender(secrets(cipher, 1, 2), 0), receiver(secrets(cipher, 2, 1), 0) {}
  static ChannelSecrets secrets(Cipher cipher, std::uint8_t send, std::uint8_t receive) {
    ChannelSecrets out;
    out.send.bytes.fill(send), out.receive.bytes.fill(receive), out.cipher = cipher;
    return out;
  }
  ChannelKeys sender, receiver;
};

void seal(benchmark::State& state, Cipher cipher) {
  if (!(available_ciphers() & static_cast<std::uint8_t>(cipher)))
    return state.SkipWithError("not on this CPU");
  Pair pair(cipher);
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::uint8_t> datagram(size + kSealBytes);
  for (auto _ : state) benchmark::DoNotOptimize(pair.sender.seal(datagram, size));
  processed(state, size);
}

// Sealing is in the time as well: each datagram opens once only.
void seal_and_open(benchmark::State& state, Cipher cipher) {
  if (!(available_ciphers() & static_cast<std::uint8_t>(cipher)))
    return state.SkipWithError("not on this CPU");
  Pair pair(cipher);
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::uint8_t> datagram(size + kSealBytes), out(size + kSealBytes);
  for (auto _ : state) {
    const std::size_t sealed = pair.sender.seal(datagram, size);
    const BytesView wire(reinterpret_cast<const char*>(datagram.data()), sealed);
    if (!pair.receiver.open(wire, out)) state.SkipWithError("it does not open");
  }
  processed(state, size);
}

BENCHMARK(strong_hash)->Arg(4 << 10)->Arg(64 << 10)->Arg(16 << 20);
BENCHMARK_CAPTURE(rolling_scan, portable, roll_batch_portable);
BENCHMARK_CAPTURE(rolling_scan, best, best_roll_batch());
BENCHMARK(encode_entries)->Args({1, 64 << 10})->Args({100, 0});
BENCHMARK(decode_entries)->Args({1, 64 << 10})->Args({100, 0});
BENCHMARK(merge_concurrent);
BENCHMARK_CAPTURE(seal, aes256_gcm, Cipher::aes256_gcm)->Arg(1372)->Arg(16 << 10);
BENCHMARK_CAPTURE(seal, chacha20_poly1305, Cipher::chacha20_poly1305)->Arg(1372)->Arg(16 << 10);
BENCHMARK_CAPTURE(seal_and_open, aes256_gcm, Cipher::aes256_gcm)->Arg(1372)->Arg(16 << 10);

}  // namespace
}  // namespace syncline

int main(int argc, char** argv) {
  if (sodium_init() < 0) return 1;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}

#pragma once
#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "protocol/delta.h"
#include "protocol/delta_patch.h"

// What the unit tests and the properties of the delta have in common.
namespace syncline::delta_test {

inline const HashKey& key() {
  static const HashKey key(Key32::from("the hash key of the delta's tests"));
  return key;
}

inline Bytes random_bytes(std::uint64_t seed, std::size_t size) {
  std::mt19937_64 random(seed);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

inline Signature signature_of(BytesView content, std::uint32_t block_bytes = limits::delta_block_bytes) {
  SignatureBuilder builder(key(), block_bytes);
  builder.update(content);
  return builder.finish().value();
}

// Hands out at most `most` bytes a call, as a file system may.
inline ReadAt reader_of(BytesView content, std::size_t most = SIZE_MAX) {
  return [content, most](std::uint64_t offset, std::span<char> into) -> Result<std::size_t> {
    if (offset >= content.size()) return std::size_t{0};
    const std::size_t left = content.size() - static_cast<std::size_t>(offset);
    const std::size_t bytes = std::min({into.size(), most, left});
    std::memcpy(into.data(), content.data() + offset, bytes);
    return bytes;
  };
}

inline void run_on_threads(std::span<const std::function<void()>> tasks) {
  std::vector<std::thread> threads;
  for (const auto& task : tasks) threads.emplace_back(task);
  for (std::thread& thread : threads) thread.join();
}

struct Made {
  DeltaHeader header;
  Bytes delta;
  DeltaStats stats;
};

inline Made make(const Signature& base, BytesView target, const DeltaSource& source,
                 const DeltaOptions& options = {}) {
  Made made{{base.file_hash, base.file_bytes, key().hash(target), target.size()}, {}, {}};
  const DeltaSink sink = [&made](BytesView piece) { return made.delta.append(piece), Status{}; };
  made.stats = make_delta(base, key(), source, made.header.target_hash, sink, options).value();
  return made;
}

inline Made make(BytesView base, BytesView target, const DeltaOptions& options = {}) {
  return make(signature_of(base), target, DeltaSource::of(target), options);
}

// The patched content, from a delta that arrives in pieces of `piece_bytes`.
inline Result<Bytes> patch(const Made& made, BytesView base, std::size_t piece_bytes = SIZE_MAX,
                           const HashKey* check = &key()) {
  Bytes out;
  DeltaPatcher patcher(
      made.header, reader_of(base, 1000), [&out](BytesView piece) { return out.append(piece), Status{}; },
      check);
  Status status;
  for (BytesView left = made.delta; !left.empty() && status;
       left.remove_prefix(std::min(piece_bytes, left.size()))) {
    status = patcher.update(left.substr(0, piece_bytes));
  }
  status = patcher.finish();
  if (!status) return tl::unexpected<Error>(status.error());
  return out;
}

}  // namespace syncline::delta_test

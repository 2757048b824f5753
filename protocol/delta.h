#pragma once
#include <cstdint>
#include <functional>
#include <span>

#include "protocol/delta_source.h"
#include "protocol/signature.h"

namespace syncline {

// What a delta is between; the first bytes of its encoding (DELTA.md). A delta is one way: base to target.
struct DeltaHeader {
  Hash128 base_hash;
  std::uint64_t base_bytes = 0;
  Hash128 target_hash;
  std::uint64_t target_bytes = 0;
  bool operator==(const DeltaHeader&) const = default;
};

inline constexpr std::size_t kDeltaHeaderBytesMax = 4 + 2 * (Hash128::size + 10);
// The header at the front of a delta, of which kDeltaHeaderBytesMax bytes, or all where there are fewer, are
// needed. Error invalid for anything else.
Result<DeltaHeader> peek_delta_header(BytesView front);

// Runs every task, in any order and on any threads, and returns when all have ended. It is the caller's
// because protocol/ starts no threads.
using RunTasks = std::function<void(std::span<const std::function<void()>> tasks)>;

struct DeltaOptions {
  std::size_t lanes = 1;  // segments of the target scanned at once, up to limits::delta_lanes
  RunTasks run;           // unset: on the calling thread, one after the other
  std::uint64_t segment_bytes = 64 * 1024 * 1024;  // at least a block; rounded down to a multiple of it
  std::uint64_t max_delta_bytes = UINT64_MAX;      // beyond it: Error full (the whole file is cheaper)
  bool compress = true;                            // literals, with zstd, each where it saves something
  // Of the target, where it is at hand (else null): what stayed in its place is then found without reading it. Of another block size
  // than the base's it is not used.
  const Signature* target_signature = nullptr;
};

struct DeltaStats {
  std::uint64_t delta_bytes = 0;    // all that went into the sink
  std::uint64_t literal_bytes = 0;  // of the target, before compression
  std::uint64_t copied_bytes = 0;   // of the target, found in the base
  std::uint64_t copies = 0;         // runs of them
};

// Takes a delta piece by piece, in order, from the thread that called make_delta; its error ends make_delta.
using DeltaSink = std::function<Status(BytesView piece)>;

// Writes the delta from `base` to `target`, whose hash the caller has found when it read the file, to `sink`.
// Errors: those of the source and the sink; full beyond max_delta_bytes (what the sink has then is to be
// thrown away). Memory beside the signature: about 4 MiB a lane, 16 bytes a block of the base, 24 bytes for
// each run found in lanes * segment_bytes of the target. With read() the target is
// read once, and its literals twice more.
Result<DeltaStats> make_delta(const Signature& base, const HashKey& key, const DeltaSource& target,
                              const Hash128& target_hash, const DeltaSink& sink,
                              const DeltaOptions& options = {});

}  // namespace syncline

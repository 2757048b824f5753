#pragma once
#include <memory>
#include <vector>

#include "protocol/codec.h"
#include "protocol/delta.h"
#include "protocol/delta_scan.h"

namespace syncline {

inline constexpr BytesView kDeltaMagic{"SLD\x02", 4};
// What a receiver keeps of the literals before, for the packed ones to refer to.
inline constexpr int kDeltaWindowLog = 21;
// By which a packed literal may be longer than its bytes: what comes before it in its frame decided that it is packed at all.
inline constexpr std::size_t kPackedExcess = 32;
// The low two bits of the number that begins every operation (DELTA.md); the rest is its length in target
// bytes.
enum class DeltaCode : std::uint8_t { end = 0, copy = 1, literal = 2, literal_zstd = 3 };

// Turns operations into the bytes of a delta. One thread calls it; literals are compressed in lanes.
class DeltaEncoder {
 public:
  DeltaEncoder(const DeltaSource& target, const DeltaOptions& options, const DeltaSink& sink);
  ~DeltaEncoder();

  Status begin(const DeltaHeader& header);
  Status add(const DeltaOp& op);
  Status finish();
  const DeltaStats& stats() const { return stats_; }

 private:
  struct Lane;
  struct Piece {  // a copy, or one chunk of a literal, and its encoding
    DeltaOp op;
    bool packs = false;
    Bytes encoded;
  };
  Piece& next_piece(const DeltaOp& op);
  void encode_copy(Piece& piece);
  Status encode_batch();
  Status write(BytesView encoded);
  Status flush();

  const DeltaOptions& options_;
  const DeltaSink& sink_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Piece> batch_;  // the first batched_ are in use; the others keep their buffers, which the
                              // kernel would clear anew
  std::size_t batched_ = 0;
  std::size_t batch_literal_bytes_ = 0;
  std::uint64_t expected_ = 0;  // base offset at which the next copy is expected
  Bytes out_;
  DeltaStats stats_;
};

}  // namespace syncline

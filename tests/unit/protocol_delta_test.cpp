#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "protocol/delta_encode.h"
#include "protocol/delta_roll.h"
#include "protocol/delta_scan.h"
#include "protocol/signature_weak.h"
#include "tests/unit/protocol_delta_support.h"

namespace syncline::delta_test {
namespace {

constexpr std::size_t kPage = limits::delta_block_bytes;
constexpr std::size_t kMiB = 1024 * 1024;

// One page in `every` gets new content.
Bytes with_pages_rewritten(Bytes content, std::size_t every) {
  for (std::size_t at = kPage * (every / 2), seed = 1000; at < content.size(); at += kPage * every, ++seed) {
    content.replace(at, kPage, random_bytes(seed, kPage));
  }
  return content;
}

void expect_patches(BytesView base, BytesView target, const Made& made) {
  EXPECT_EQ(made.stats.delta_bytes, made.delta.size());
  EXPECT_EQ(made.stats.literal_bytes + made.stats.copied_bytes, target.size());
  const Result<Bytes> patched = patch(made, base);
  ASSERT_TRUE(patched) << patched.error().message;
  EXPECT_TRUE(*patched == target);
}

TEST(WeakSum, IsWhatItsHeaderSaysForEveryLength) {
  const Bytes content = random_bytes(1, 1000);
  for (std::size_t n = 0; n <= content.size(); ++n) {
    std::uint32_t a = 0, b = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto x = static_cast<std::uint8_t>(content[i]);
      a += x, b += static_cast<std::uint32_t>(n - i) * x;
    }
    const WeakSum sum = WeakSum::of(BytesView(content).substr(0, n));
    ASSERT_TRUE(sum.a == a && sum.b == b) << n;
  }
}

TEST(WeakSum, RollsToTheSumOfTheNextWindow) {
  Bytes content = random_bytes(2, 3 * kPage);
  std::fill_n(content.begin(), 100, '\xff');
  WeakSum sum = WeakSum::of(BytesView(content).substr(0, kPage));
  for (std::size_t i = 0; i + kPage < content.size(); ++i) {
    sum.roll(static_cast<std::uint8_t>(content[i]), static_cast<std::uint8_t>(content[i + kPage]), kPage);
    if (i % 97 == 0) {
      ASSERT_EQ(sum.value(), weak_sum(BytesView(content).substr(i + 1, kPage)));
    }
  }
}

TEST(RollBatch, IsTheSameOnEveryProcessorAndTheFilterMissesNothing) {
  Bytes content = random_bytes(30, 40'000);
  std::fill_n(content.begin() + 5000, 3000, '\xff');
  std::fill_n(content.begin() + 20'000, 3000, '\0');
  for (const unsigned block_bits : {9u, 12u, 14u}) {
    const std::size_t block_bytes = std::size_t{1} << block_bits;
    WeakFilter filter(300);
    for (std::size_t at = 0; at + block_bytes <= content.size(); at += 131) {
      filter.add(weak_sum(BytesView(content).substr(at, block_bytes)));
    }
    WeakSum best = WeakSum::of(BytesView(content).substr(0, block_bytes)), portable = best;
    for (std::size_t at = 0; at + block_bytes + kRollBatch <= content.size(); at += kRollBatch) {
      std::uint32_t best_weak[kRollBatch], weak[kRollBatch];
      const char* leaving = content.data() + at;
      const std::uint64_t maybe =
          roll_batch_portable(filter, leaving, block_bits, kRollBatch, portable, weak);
      ASSERT_EQ(best_roll_batch()(filter, leaving, block_bits, kRollBatch, best, best_weak), maybe);
      ASSERT_TRUE(std::equal(weak, weak + kRollBatch, best_weak) && best.a == portable.a &&
                  best.b == portable.b);
      for (std::size_t i = 0; i < kRollBatch; ++i) {
        ASSERT_EQ(weak[i], weak_sum({leaving + i, block_bytes}));
        ASSERT_EQ(maybe >> i & 1, filter.may_have(weak[i]) ? 1u : 0u);
        ASSERT_TRUE((at + i) % 131 != 0 || filter.may_have(weak[i]));
      }
    }
  }
}

TEST(Signature, IsTheSameHoweverTheContentArrives) {
  const Bytes content = random_bytes(3, 200'001);
  const Signature whole = signature_of(content);
  EXPECT_EQ(whole.file_hash, key().hash(content));
  EXPECT_EQ(whole.blocks(), 49u);
  EXPECT_EQ(whole.block_length(48), 200'001 - 48 * kPage);
  EXPECT_EQ(whole.strong[7], key().hash(BytesView(content).substr(7 * kPage, kPage)));
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{4095}, std::size_t{4097}, std::size_t{70'000}}) {
    SignatureBuilder builder(key());
    for (std::size_t at = 0; at < content.size(); at += piece)
      builder.update(BytesView(content).substr(at, piece));
    EXPECT_EQ(builder.finish().value(), whole) << piece;
  }
}

TEST(Signature, SurvivesStorageAndRefusesAnythingElse) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kPage - 1, kPage, kPage + 1, 5 * kPage}) {
    const Signature signature = signature_of(random_bytes(4, size));
    const Bytes encoded = encode_signature(signature);
    EXPECT_LE(encoded.size(), 20 * signature.blocks() + 34);
    EXPECT_EQ(decode_signature(encoded).value(), signature);
    for (std::size_t n = 0; n < encoded.size(); ++n)
      EXPECT_FALSE(decode_signature(BytesView(encoded).substr(0, n))) << n;
    EXPECT_FALSE(decode_signature(encoded + '\0'));
    for (const char block_bytes : {'\0', '\1'}) {  // not a power of two, out of the limits
      Bytes broken = encoded;
      broken.replace(4, 4, Bytes{block_bytes, block_bytes, 0, 0});
      EXPECT_FALSE(decode_signature(broken));
    }
  }
}

TEST(Signature, OfTheLargestFileStaysWithinTheLimit) {
  EXPECT_EQ(signature_block_bytes(100ull << 30), kPage);
  const std::uint64_t largest = signature_block_bytes(limits::file_bytes);
  EXPECT_LE(limits::file_bytes / largest * 20, limits::signature_bytes);
  EXPECT_LE(largest, limits::delta_block_bytes_max);
}

TEST(Delta, OfEqualContentIsAHeaderAndOneCopy) {
  const Bytes base = random_bytes(5, kMiB + 123);
  const Made made = make(base, base);
  EXPECT_LE(made.delta.size(), kDeltaHeaderBytesMax + 8);
  EXPECT_EQ(made.stats.copies, 1u);
  expect_patches(base, base, made);
}

TEST(Delta, OfOneByteAtTheHeadIsTensOfBytes) {
  const Bytes base = random_bytes(6, 16 * kMiB + 77);
  const Bytes target = "x" + base;
  const Made made = make(base, target);
  EXPECT_EQ(made.stats.literal_bytes, 1u);
  EXPECT_LE(made.delta.size(), kDeltaHeaderBytesMax + 16);
  expect_patches(base, target, made);
}

TEST(Delta, HasNoSeamsBetweenSegments) {
  const Bytes base = random_bytes(7, 16 * kMiB + 77);
  const Bytes target = "x" + base;
  DeltaOptions options;
  options.lanes = 4, options.segment_bytes = kMiB, options.run = run_on_threads;
  const Made made = make(base, target, options);
  EXPECT_EQ(made.stats.copies, 1u);
  EXPECT_EQ(made.stats.literal_bytes, 1u);
  expect_patches(base, target, made);
}

TEST(Delta, OfRewrittenPagesHoldsThosePagesAndNoMore) {
  const Bytes base = random_bytes(8, 16 * kMiB);
  for (const std::size_t every : {100u, 2u}) {
    const Bytes target = with_pages_rewritten(base, every);
    std::size_t pages = 0;
    for (std::size_t at = 0; at < base.size(); at += kPage)
      pages += base.compare(at, kPage, target, at, kPage) != 0;
    const Made made = make(base, target);
    EXPECT_EQ(made.stats.literal_bytes, pages * kPage);
    EXPECT_LE(made.delta.size(), pages * (kPage + 12) + 100);
    expect_patches(base, target, made);
  }
}

TEST(Delta, FindsWhatWasInsertedDeletedMovedAppendedAndCut) {
  const Bytes base = random_bytes(9, 2 * kMiB + 1000);
  const BytesView view = base;
  const struct {
    const char* what;
    Bytes target;
    std::size_t literal_bytes_max;
  } cases[] = {
      {"inserted", Bytes(view.substr(0, 700'000)).append("new").append(view.substr(700'000)), 2 * kPage},
      {"deleted", Bytes(view.substr(0, 700'000)).append(view.substr(700'003)), 2 * kPage},
      {"halves swapped", Bytes(view.substr(kMiB)).append(view.substr(0, kMiB)), 2 * kPage},
      {"appended", base + random_bytes(10, 5000), 5000},
      {"cut at the tail", Bytes(view.substr(0, kMiB + 17)), 17},
      {"cut at the head", Bytes(view.substr(17)), kPage},
      {"doubled", base + base, 0},
      {"only the tail block stays", random_bytes(11, 5000).append(view.substr(2 * kMiB)), 5000},
      {"emptied", "", 0},
      {"one block moved into a rewritten one",
       Bytes(base).replace(20 * kPage, kPage, view.substr(30 * kPage, kPage)), 0},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const Made made = make(base, c.target);
    EXPECT_LE(made.stats.literal_bytes, c.literal_bytes_max);
    expect_patches(base, c.target, made);
  }
}

TEST(Delta, OfZerosThatGrowIsSmall) {
  const Bytes base(kMiB + 5, '\0');
  for (const std::size_t size : {std::size_t{10}, kMiB / 2, kMiB + 5, 7 * kMiB}) {
    const Bytes target = "\1" + Bytes(size, '\0');
    const Made made = make(base, target);
    EXPECT_LE(made.delta.size(), 200u) << size;
    expect_patches(base, target, made);
  }
}

TEST(Delta, OfForeignContentCostsHardlyMoreThanTheContent) {
  const Bytes base = random_bytes(12, 4 * kMiB), target = random_bytes(13, 4 * kMiB + 1);
  const Made made = make(base, target);
  EXPECT_EQ(made.stats.literal_bytes, target.size());
  EXPECT_LE(made.delta.size(), target.size() + target.size() / 10'000);
  expect_patches(base, target, made);
  expect_patches("", target, make("", target));
  expect_patches("tiny", target, make("tiny", target));
}

TEST(Delta, PacksLiteralsWhereItPays) {
  Bytes text;
  for (int line = 0; text.size() < kMiB; ++line) text += "line " + std::to_string(line) + " of a log\n";
  DeltaOptions plain;
  plain.compress = false;
  const Made packed = make("", text), raw = make("", text, plain);
  EXPECT_LT(packed.delta.size(), text.size() / 3);
  EXPECT_GT(raw.delta.size(), text.size());
  expect_patches("", text, packed);
  expect_patches("", text, raw);
}

TEST(Delta, StopsAtItsBound) {
  const Bytes target = random_bytes(14, kMiB);
  Bytes got;
  const DeltaSink sink = [&got](BytesView piece) { return got.append(piece), Status{}; };
  DeltaOptions options;
  options.max_delta_bytes = 300'000;
  const auto made =
      make_delta(signature_of(""), key(), DeltaSource::of(target), key().hash(target), sink, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Error::Code::full);
  EXPECT_LE(got.size(), 300'000u);
}

TEST(Delta, ReadsInBoundedPiecesAndGivesTheSameBytesAsFromMemory) {
  const Bytes base = random_bytes(15, 8 * kMiB + 5);
  const Bytes target = "ab" + with_pages_rewritten(base, 9);
  std::size_t most = 0, total = 0;
  const ReadAt read = [&, inner = reader_of(target, 100'000)](std::uint64_t offset, std::span<char> into) {
    most = std::max(most, into.size());
    const Result<std::size_t> got = inner(offset, into);
    total += got.value();
    return got;
  };
  const Signature signature = signature_of(base);
  const Made from_file = make(signature, target, DeltaSource::from(target.size(), read));
  EXPECT_LE(most, kMiB);
  EXPECT_LE(total, target.size() + 2 * from_file.stats.literal_bytes);
  EXPECT_TRUE(from_file.delta == make(base, target).delta);
}

TEST(Delta, EndsWithTheErrorOfItsSourceOrSink) {
  const Bytes base = random_bytes(16, kMiB);
  const Signature signature = signature_of(base);
  const auto error_of = [&](const DeltaSource& source, const DeltaSink& sink) {
    DeltaOptions options;
    options.lanes = 2, options.segment_bytes = 64 * 1024, options.run = run_on_threads;
    return make_delta(signature, key(), source, Hash128{}, sink, options).error().code;
  };
  const DeltaSink swallow = [](BytesView) { return Status{}; };
  const DeltaSink refuse = [](BytesView) -> Status { return fail(Error::Code::timed_out, "link gone"); };
  const ReadAt broken = [](std::uint64_t, std::span<char>) -> Result<std::size_t> {
    return fail(Error::Code::io, "EIO");
  };
  EXPECT_EQ(error_of(DeltaSource::of(base), refuse), Error::Code::timed_out);
  EXPECT_EQ(error_of(DeltaSource::from(base.size(), broken), swallow), Error::Code::io);
  EXPECT_EQ(error_of(DeltaSource::from(base.size() + 1, reader_of(base)), swallow), Error::Code::busy);
}

// A block whose weak sum is that of `kPage` fives, for every `i` and `by`: +1 -2 +1 leaves both sums as they
// were.
Bytes colliding_block(std::size_t i, char by = 1) {
  Bytes block(kPage, '\5');
  for (const int part : {0, 1, 2}) {
    char& c = block[2 * i + static_cast<std::size_t>(part)];
    c = static_cast<char>(part == 1 ? c - 2 * by : c + by);
  }
  return block;
}

TEST(Delta, IsNotSlowedDownByPreparedCollisions) {
  Bytes base, target;
  for (std::size_t i = 0; i < 500; ++i) base += colliding_block(i);
  for (std::size_t i = 0; i < 60; ++i) target += colliding_block(i, 2);
  const Signature signature = signature_of(base);
  const BlockIndex index(signature);
  const DeltaSource source = DeltaSource::of(target);
  DeltaScanner scanner(signature, key(), index, source);
  ASSERT_TRUE(scanner.scan(0, target.size(), 0));
  EXPECT_LE(scanner.false_alarms(), 1025 + target.size() / 64);
  expect_patches(base, target, make(base, target));
  EXPECT_EQ(make(base, base).stats.literal_bytes, 0u);
}

TEST(BlockIndex, CountsEqualBlocksOnce) {
  Bytes base;
  for (std::size_t i = 0; i < 200; ++i) base += Bytes(kPage, '\5');
  base += colliding_block(9);
  const Signature signature = signature_of(base);
  ASSERT_EQ(signature.weak[0], signature.weak[200]);
  const BlockIndex index(signature);
  EXPECT_EQ(index.find(signature.weak[0], signature.strong[7]), 0u);
  EXPECT_EQ(index.find(signature.weak[0], signature.strong[200]), 200u);
  EXPECT_TRUE(index.has(signature.weak[0]));
  EXPECT_EQ(index.find(signature.weak[0], Hash128{}), std::nullopt);
}

// Nearly all pages have an equal elsewhere, as in a disk image: what goes on after a gap is the base's own
// course.
TEST(Delta, StaysOnCourseAmongEqualPages) {
  std::mt19937_64 random(31);
  const Bytes kinds[] = {Bytes(kPage, '\0'), random_bytes(32, kPage), random_bytes(33, kPage)};
  Bytes base;
  for (int page = 0; page < 300; ++page) base += kinds[random() % 3];
  Bytes target = base;
  for (std::size_t gap = 0; gap < 20; ++gap) {
    target.replace((10 * gap + 5) * kPage, (1 + gap % 4) * kPage,
                   random_bytes(34 + gap, (1 + gap % 4) * kPage));
  }
  const Made made = make(base, target);
  EXPECT_EQ(made.stats.copies, 21u);
  EXPECT_EQ(made.stats.literal_bytes, 50 * kPage);
  expect_patches(base, target, made);
}

// --- Patching what was not made by make_delta
// --------------------------------------------------------------------------

// A delta with every kind of operation in it, small enough to break at each byte.
Made small_delta(Bytes& base, Bytes& target) {
  base = random_bytes(20, 3 * kPage + 50);
  target = base.substr(kPage) + random_bytes(21, 100) + Bytes(300, 'z') + random_bytes(22, 20) +
           base.substr(0, 2 * kPage);
  return make(base, target);
}

TEST(DeltaPatch, TakesPiecesOfAnySize) {
  Bytes base, target;
  const Made made = small_delta(base, target);
  for (std::size_t piece = 1; piece < 40; ++piece) EXPECT_TRUE(patch(made, base, piece).value() == target);
}

TEST(DeltaPatch, RefusesADeltaCutShortAnywhere) {
  Bytes base, target;
  const Made whole = small_delta(base, target);
  for (std::size_t n = 0; n < whole.delta.size(); ++n) {
    Made cut = whole;
    cut.delta.resize(n);
    const Result<Bytes> patched = patch(cut, base);
    ASSERT_FALSE(patched) << n;
    EXPECT_EQ(patched.error().code, Error::Code::invalid);
  }
}

TEST(DeltaPatch, NeverTakesBrokenBytesForTheTarget) {
  Bytes base, target;
  const Made whole = small_delta(base, target);
  for (std::size_t bit = 0; bit < 8 * whole.delta.size(); ++bit) {
    Made flipped = whole;
    flipped.delta[bit / 8] = static_cast<char>(flipped.delta[bit / 8] ^ (1 << bit % 8));
    const Result<Bytes> patched = patch(flipped, base);
    EXPECT_TRUE(!patched || *patched == target) << bit;
    const Result<Bytes> unchecked = patch(flipped, base, 7, nullptr);
    EXPECT_TRUE(!unchecked || unchecked->size() == target.size()) << bit;
  }
}

TEST(DeltaPatch, RefusesAnotherBaseAndAnotherDelta) {
  Bytes base, target;
  const Made made = small_delta(base, target);
  Bytes other_base = base;
  other_base[5] = static_cast<char>(other_base[5] + 1);
  EXPECT_EQ(patch(made, other_base).error().code, Error::Code::invalid);
  EXPECT_EQ(patch(made, BytesView(base).substr(0, 100)).error().code, Error::Code::busy);
  Made other = made;
  other.header.target_bytes += 1;
  EXPECT_EQ(patch(other, base).error().code, Error::Code::invalid);
  other = made;
  other.header.base_hash = Hash128{};
  EXPECT_EQ(patch(other, base, SIZE_MAX, nullptr).error().code, Error::Code::invalid);
  EXPECT_EQ(peek_delta_header(made.delta).value(), made.header);
}

// Writes deltas by hand.
struct Forged {
  Writer w;
  DeltaHeader header{{}, 1000, {}, 500'000};

  Forged() {
    w.raw(kDeltaMagic), w.id(header.base_hash), w.varint(1000), w.id(header.target_hash), w.varint(500'000);
  }
  Forged& op(DeltaCode code, std::uint64_t bytes) {
    w.varint(bytes << 2 | static_cast<std::uint64_t>(code));
    return *this;
  }
  Forged& copy(std::uint64_t bytes, std::int64_t moved) {
    op(DeltaCode::copy, bytes), w.signed_varint(moved);
    return *this;
  }
  // The error, and no more than `bytes_max` were put out.
  std::string error(std::size_t bytes_max = 0) {
    std::size_t out = 0;
    const Bytes base(1000, 'b');
    const PatchOutput output = [&out](BytesView piece) { return out += piece.size(), Status{}; };
    DeltaPatcher patcher(header, reader_of(base), output, nullptr);
    const Status status = patcher.update(w.data());
    EXPECT_LE(out, bytes_max);
    EXPECT_FALSE(status);
    if (status) return "";
    EXPECT_EQ(patcher.update("x").error().message, status.error().message) << "an error is final";
    EXPECT_EQ(patcher.finish().error().message, status.error().message);
    return status.error().message;
  }
};

TEST(DeltaPatch, ChecksEveryLengthAndOffset) {
  EXPECT_EQ(Forged().copy(10, 991).error(), "malformed delta: copy from outside the base");
  EXPECT_EQ(Forged().copy(10, -1).error(), "malformed delta: copy from outside the base");
  EXPECT_EQ(Forged().copy(10, INT64_MIN).error(), "malformed delta: copy from outside the base");
  EXPECT_EQ(Forged().copy(1000, 0).copy(1, INT64_MAX).error(1000),
            "malformed delta: copy from outside the base");
  EXPECT_EQ(Forged().copy(1001, 0).error(), "malformed delta: copy from outside the base");
  EXPECT_EQ(Forged().copy(0, 0).error(), "malformed delta: longer than the target");
  EXPECT_EQ(Forged().copy(500'001, 0).error(), "malformed delta: longer than the target");
  EXPECT_EQ(Forged().op(DeltaCode::literal, 500'001).error(), "malformed delta: longer than the target");
  EXPECT_EQ(Forged().op(DeltaCode::literal, UINT64_MAX >> 2).error(),
            "malformed delta: longer than the target");
  EXPECT_EQ(Forged().op(DeltaCode::literal, limits::delta_chunk_bytes + 1).error(),
            "malformed delta: literal too long");
  EXPECT_EQ(Forged().op(DeltaCode::end, 0).error(), "malformed delta: its end is not the target's");
  Forged padded;
  padded.w.raw(BytesView("\x81\x80\x00", 3));
  EXPECT_EQ(padded.error(), "malformed delta: operation");
  Forged endless;
  endless.w.raw(Bytes(1000, '\xff'));
  EXPECT_EQ(endless.error(), "malformed delta: operation");
}

TEST(DeltaPatch, BoundsWhatAPackedLiteralUnpacksTo) {
  Forged same_length;
  same_length.op(DeltaCode::literal_zstd, 100).w.varint(133);
  EXPECT_EQ(same_length.error(), "malformed delta: literal packed to more than its length");
  Bytes zeros(400'000, '\0');
  const Made bomb = make("", zeros);  // chunks of 128 KiB of zeros, each some 20 bytes
  const std::size_t at = bomb.delta.find(BytesView("\x28\xb5\x2f\xfd", 4));
  ASSERT_NE(at, Bytes::npos);
  Forged lying;
  lying.op(DeltaCode::literal_zstd, 1000).w.bytes(BytesView(bomb.delta).substr(at, 15));
  EXPECT_EQ(lying.error(), "malformed delta: packed literal");
  const Made few = make("", Bytes(900, '\0'));
  const std::size_t frame = few.delta.find(BytesView("\x28\xb5\x2f\xfd", 4));
  Forged short_of;
  short_of.op(DeltaCode::literal_zstd, 1000)
      .w.bytes(BytesView(few.delta).substr(frame, few.delta.size() - 1 - frame));
  EXPECT_EQ(short_of.error(), "malformed delta: packed literal");
}

// The example of DELTA.md, byte for byte.
TEST(DeltaPatch, IsTheFormatOfItsPage) {
  const Bytes base = "abc", target = "abcabc!";
  const DeltaHeader header{key().hash(base), 3, key().hash(target), 7};
  Writer w;
  w.raw({"SLD\x02", 4}), w.id(header.base_hash), w.u8(3), w.id(header.target_hash), w.u8(7);
  w.raw({"\x0d\x00\x0d\x05\x06!\x00", 7});
  EXPECT_EQ(patch(Made{header, w.data(), {}}, base).value(), target);
  EXPECT_TRUE(make(base, target).delta.starts_with(BytesView(w.data()).substr(0, 38)));
}

TEST(DeltaPatch, StopsWithTheErrorOfItsOutput) {
  Bytes base, target;
  const Made made = small_delta(base, target);
  const PatchOutput full = [](BytesView) -> Status { return fail(Error::Code::full, "no space"); };
  EXPECT_EQ(apply_delta(made.delta, made.header, reader_of(base), full, key()).error().code,
            Error::Code::full);
}

}  // namespace
}  // namespace syncline::delta_test

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/protocol_delta_support.h"

namespace syncline::delta_test {
namespace {

constexpr std::uint32_t kBlock = limits::delta_block_bytes_min;  // small blocks: more of them in a small case

enum class Filling { random, zeros, repeated, text };

Bytes filled(Filling filling, std::uint64_t seed, std::size_t size) {
  switch (filling) {
    case Filling::random:
      return random_bytes(seed, size);
    case Filling::zeros:
      return Bytes(size, '\0');
    case Filling::repeated: {
      const Bytes unit = random_bytes(seed, 1 + seed % (3 * kBlock));
      Bytes out;
      while (out.size() < size) out += unit;
      out.resize(size);
      return out;
    }
    case Filling::text:
      break;
  }
  Bytes out = random_bytes(seed, size);
  for (char& c : out) c = static_cast<char>('a' + (c & 3));
  return out;
}

struct Edit {
  enum class Kind { insert, erase, replace, move, append, truncate, repeat };
  Kind kind;
  std::size_t at, bytes, to;  // taken modulo what there is
  std::uint64_t seed;
};
void showValue(const Edit& edit, std::ostream& os) {
  os << "edit " << static_cast<int>(edit.kind) << " at " << edit.at << " bytes " << edit.bytes << " to "
     << edit.to << " seed " << edit.seed;
}

// Returns how many bytes of new content the edit brought.
std::size_t apply(const Edit& edit, Filling filling, Bytes& content) {
  const std::size_t at = edit.at % (content.size() + 1);
  const std::size_t bytes = std::min(edit.bytes, content.size() - at);
  const Bytes fresh = filled(filling, edit.seed, edit.bytes);
  switch (edit.kind) {
    case Edit::Kind::insert:
      content.insert(at, fresh);
      return fresh.size();
    case Edit::Kind::erase:
      content.erase(at, bytes);
      return 0;
    case Edit::Kind::replace:
      content.replace(at, bytes, fresh);
      return fresh.size();
    case Edit::Kind::append:
      content += fresh;
      return fresh.size();
    case Edit::Kind::truncate:
      content.resize(content.size() - bytes);
      return 0;
    case Edit::Kind::move: {
      const Bytes piece = content.substr(at, bytes);
      content.erase(at, bytes);
      content.insert(edit.to % (content.size() + 1), piece);
      return 0;
    }
    case Edit::Kind::repeat:
      content.insert(edit.to % (content.size() + 1), content.substr(at, bytes));
      return 0;
  }
  return 0;
}

rc::Gen<Edit> any_edit() {
  const auto length =
      rc::gen::oneOf(rc::gen::inRange<std::size_t>(0, 20), rc::gen::inRange<std::size_t>(0, 5 * kBlock),
                     rc::gen::just<std::size_t>(kBlock));
  const auto position = rc::gen::oneOf(
      rc::gen::inRange<std::size_t>(0, 60'000),
      rc::gen::map(rc::gen::inRange<std::size_t>(0, 100), [](std::size_t n) { return n * kBlock; }));
  return rc::gen::build<Edit>(
      rc::gen::set(&Edit::kind, rc::gen::element(Edit::Kind::insert, Edit::Kind::erase, Edit::Kind::replace,
                                                 Edit::Kind::move, Edit::Kind::append, Edit::Kind::truncate,
                                                 Edit::Kind::repeat)),
      rc::gen::set(&Edit::at, position), rc::gen::set(&Edit::bytes, length),
      rc::gen::set(&Edit::to, position),
      rc::gen::set(&Edit::seed, rc::gen::inRange<std::uint64_t>(0, 1'000'000)));
}

struct Case {
  Filling filling;
  Bytes base, target;
  std::size_t edits = 0, fresh_bytes = 0;
};

Case any_case(bool any_filling) {
  Case c;
  c.filling = any_filling
                  ? *rc::gen::element(Filling::random, Filling::zeros, Filling::repeated, Filling::text)
                  : Filling::random;
  const auto size = *rc::gen::inRange<std::size_t>(0, 60 * kBlock);
  c.base = filled(c.filling, *rc::gen::inRange<std::uint64_t>(0, 1'000'000), size);
  c.target = c.base;
  const auto edits = *rc::gen::container<std::vector<Edit>>(any_edit()).as("edits");
  for (std::size_t i = 0; i < std::min<std::size_t>(edits.size(), 8); ++i, ++c.edits) {
    c.fresh_bytes += apply(edits[i], c.filling, c.target);
  }
  return c;
}

RC_GTEST_PROP(DeltaProperty, PatchedIsTheTarget, ()) {
  const Case c = any_case(true);
  const Signature signature = decode_signature(encode_signature(signature_of(c.base, kBlock))).value();
  DeltaOptions options;
  options.lanes = *rc::gen::inRange<std::size_t>(1, 5);
  options.segment_bytes = *rc::gen::inRange<std::uint64_t>(1, 12) * kBlock;
  options.compress = *rc::gen::arbitrary<bool>();
  if (options.lanes == 4) options.run = run_on_threads;
  const bool mapped = *rc::gen::arbitrary<bool>();
  const DeltaSource source =
      mapped ? DeltaSource::of(c.target) : DeltaSource::from(c.target.size(), reader_of(c.target, 777));

  const Made in_segments = make(signature, c.target, source, options);
  const Made at_once = make(signature, c.target, DeltaSource::of(c.target));
  RC_ASSERT(patch(in_segments, c.base, *rc::gen::inRange<std::size_t>(1, 5000)).value() == c.target);
  RC_ASSERT(patch(at_once, c.base).value() == c.target);
  for (const Made* made : {&in_segments, &at_once}) {
    RC_ASSERT(made->stats.delta_bytes == made->delta.size());
    RC_ASSERT(made->stats.literal_bytes + made->stats.copied_bytes == c.target.size());
  }
}

// Cost follows change: a run of the base that outlived the edits loses less than a block at either end. An
// edit cuts content in at most three more runs (a move: out, in, and what it closes).
RC_GTEST_PROP(DeltaProperty, LiteralsAreTheChangeAndItsEdges, ()) {
  const Case c = any_case(false);
  const Made made = make(signature_of(c.base, kBlock), c.target, DeltaSource::of(c.target));
  RC_ASSERT(made.stats.literal_bytes <= c.fresh_bytes + (3 * c.edits + 1) * 2 * kBlock);
  if (c.edits == 0) RC_ASSERT(made.stats.literal_bytes == 0u);
}

RC_GTEST_PROP(DeltaProperty, BrokenBytesAreNeverTheTarget, ()) {
  const Case c = any_case(true);
  Made made = make(signature_of(c.base, kBlock), c.target, DeltaSource::of(c.target));
  const std::size_t behind_header = *rc::gen::inRange<std::size_t>(0, made.delta.size());
  const auto edits = *rc::gen::container<std::vector<Edit>>(3, any_edit());
  Bytes body = made.delta.substr(behind_header);
  for (const Edit& edit : edits) apply(edit, Filling::random, body);
  made.delta.replace(behind_header, Bytes::npos, body);
  const Result<Bytes> checked = patch(made, c.base, 1000);
  RC_ASSERT(!checked || *checked == c.target);
  const Result<Bytes> unchecked = patch(made, c.base, 1000, nullptr);
  RC_ASSERT(!unchecked || unchecked->size() == c.target.size());
}

}  // namespace
}  // namespace syncline::delta_test

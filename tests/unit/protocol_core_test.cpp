// The rules of the data model by example; tests/property/protocol_laws_property.cpp has them for any values.
#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "protocol/content_hash.h"
#include "protocol/limits.h"
#include "protocol/merge.h"

namespace syncline {
namespace {

ActorId actor(char c) {
  ActorId a;
  a.bytes.fill(static_cast<std::uint8_t>(c));
  return a;
}

Record version(char who, std::uint64_t seq, std::uint64_t hlc, Kind kind = Kind::file, char bytes = 'x') {
  Record r;
  r.folder = 1, r.path = "p", r.dot = {actor(who), seq}, r.hlc = {hlc};
  r.content.kind = kind;
  if (kind == Kind::file) r.content.hash.bytes.fill(static_cast<std::uint8_t>(bytes)), r.content.size = 1;
  return r;
}

TEST(Path, CanonicalOnly) {
  for (const char* good : {"a", "a/b", "a b", "\xff\xfe", "a/.hidden", "...", ".", "a\nb"}) EXPECT_TRUE(is_canonical_path(good)) << good;
  for (const char* bad : {"", "/a", "a/", "a//b", "..", "a/../b", "a/.", "./a", "a/.."}) EXPECT_FALSE(is_canonical_path(bad)) << bad;
  EXPECT_FALSE(is_canonical_path(std::string("a\0b", 3)));
  EXPECT_TRUE(is_canonical_path(std::string(limits::name_bytes, 'n')));
  EXPECT_FALSE(is_canonical_path(std::string(limits::name_bytes + 1, 'n')));
}

TEST(Merge, ConcurrentEditsKeepTheLoserAsAConflict) {
  const Record a = version('a', 1, 10, Kind::file, '1'), b = version('b', 1, 20, Kind::file, '2');
  EXPECT_EQ(merge(a, b), (Merged{true, true}));
  EXPECT_EQ(merge(b, a), (Merged{false, true}));
}

TEST(Merge, SameBytesAreNoConflictWhateverTheMtime) {
  Record a = version('a', 1, 10), b = version('b', 1, 20);
  b.content.mtime_ns = 5;
  EXPECT_FALSE(merge(a, b).loser_unseen);
  b.content.mode = 0600;
  EXPECT_TRUE(merge(a, b).loser_unseen);
}

TEST(Merge, DeleteAgainstEditObeysTheSameOrder) {
  const Record edit = version('a', 1, 10), tombstone = version('b', 1, 20, Kind::deleted);
  EXPECT_EQ(merge(edit, tombstone), (Merged{true, true}));  // the edit's bytes are kept
  const Record later_edit = version('a', 2, 30);
  EXPECT_EQ(merge(tombstone, later_edit), (Merged{true, false}));  // a tombstone has nothing to keep
}

TEST(Merge, DirectoriesAreNeverWorthAConflict) {
  const Record dir = version('a', 1, 10, Kind::directory), file = version('b', 1, 20);
  EXPECT_EQ(merge(dir, file), (Merged{true, false}));
}

TEST(Codec, VarintHasOneEncodingPerValue) {
  for (const std::uint64_t v : {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, UINT64_MAX}) {
    Writer w;
    w.varint(v);
    Reader r(w.data());
    EXPECT_EQ(r.varint(), v);
    EXPECT_TRUE(r.done());
  }
  for (const BytesView bad : {BytesView("\x80\x00", 2), BytesView("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), BytesView("\x80", 1)}) {
    Reader r(bad);
    r.varint();
    EXPECT_FALSE(r.ok());
  }
}

TEST(Codec, RefusesWhatTheDataModelForbids) {
  const auto refused = [](const Record& r) {
    Writer w;
    write(w, r);
    Reader in(w.data());
    read_record(in);
    return !in.ok();
  };
  Record r = version('a', 1, 1);
  EXPECT_FALSE(refused(r));
  r.path = "../etc/passwd";
  EXPECT_TRUE(refused(r));
  r = version('a', 0, 1);
  EXPECT_TRUE(refused(r));
  r = version('a', 1, 1);
  r.content = {.kind = Kind::value};
  EXPECT_TRUE(refused(r));  // a cluster's value in a user's folder
  r = version('a', 1, 1);
  r.folder = kClusterFolder;
  EXPECT_TRUE(refused(r));  // a file among the cluster's values
}

TEST(Codec, HostileLengthsAreMalformedNotAllocated) {
  Writer w;
  w.varint(UINT64_MAX);
  Reader r(w.data());
  EXPECT_TRUE(read_vector(r, limits::vector_entries).empty());
  EXPECT_FALSE(r.ok());
}

TEST(ContentHash, PiecesGiveTheHashOfTheWholeAndTheKeyMatters) {
  Key32 k1, k2;
  k2.bytes[0] = 1;
  const HashKey a(k1), b(k2);
  const Bytes content(100'000, 'c');
  ContentHasher h(a);
  for (std::size_t i = 0; i < content.size(); i += 777) h.update(BytesView(content).substr(i, 777));
  EXPECT_EQ(h.digest(), a.hash(content));
  EXPECT_NE(a.hash(content), b.hash(content));
}

}  // namespace
}  // namespace syncline

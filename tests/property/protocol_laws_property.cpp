// Laws of the version vector, the clock, the merge and the codecs, for any values (rapidcheck).
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "protocol/codec.h"
#include "protocol/member.h"
#include "protocol/merge.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

rc::Gen<ActorId> actor() {
  return rc::gen::map(rc::gen::inRange(1, 5), [](int n) {
    ActorId a;
    a.bytes.fill(static_cast<std::uint8_t>(n));
    return a;
  });
}

rc::Gen<Dot> dot() {
  return rc::gen::map(rc::gen::pair(actor(), rc::gen::inRange<std::uint64_t>(1, 50)), [](const auto& p) { return Dot{p.first, p.second}; });
}

rc::Gen<VersionVector> vector() {
  return rc::gen::map(rc::gen::container<std::vector<Dot>>(dot()), [](const std::vector<Dot>& dots) {
    VersionVector v;
    for (const Dot& d : dots) v.raise(d);
    return v;
  });
}

rc::Gen<Bytes> text(std::size_t longest) {
  return rc::gen::map(rc::gen::container<std::string>(rc::gen::arbitrary<char>()),
                      [longest](std::string s) { return s.substr(0, longest); });
}

rc::Gen<Content> content() {
  return rc::gen::exec([] {
    Content c;
    c.kind = static_cast<Kind>(*rc::gen::inRange(0, 4));
    if (c.kind == Kind::file) {
      c.hash.bytes.fill(static_cast<std::uint8_t>(*rc::gen::inRange(0, 4)));
      c.size = *rc::gen::inRange<std::uint64_t>(0, 1 << 20);
    }
    if (c.kind == Kind::file || c.kind == Kind::directory) c.mode = *rc::gen::inRange<std::uint32_t>(0, 07777);
    if (c.kind == Kind::symlink) c.target = *text(100);
    if (c.kind != Kind::deleted) c.mtime_ns = *rc::gen::arbitrary<std::int64_t>();
    return c;
  });
}

rc::Gen<Record> record() {
  return rc::gen::exec([] {
    Record r;
    r.folder = 1;
    r.path = *rc::gen::element<std::string>("a", "a/b", "b \xff", "x/y/z");
    r.content = *content();
    r.dot = *dot();
    r.context = *vector();
    r.hlc.value = *rc::gen::inRange<std::uint64_t>(1, 40);
    if (*rc::gen::arbitrary<bool>()) r.base.bytes.fill(7);
    return r;
  });
}

RC_GTEST_PROP(VersionVectorLaws, MergeIsALeastUpperBound, ()) {
  const auto a = *vector(), b = *vector(), c = *vector();
  auto ab = a, ba = b;
  ab.merge(b), ba.merge(a);
  RC_ASSERT(ab == ba);
  RC_ASSERT(ab.covers(a) && ab.covers(b));
  auto left = ab, bc = b;
  left.merge(c), bc.merge(c);
  auto right = a;
  right.merge(bc);
  RC_ASSERT(left == right);
  auto again = ab;
  again.merge(ab);
  RC_ASSERT(again == ab);
  if (c.covers(a) && c.covers(b)) RC_ASSERT(c.covers(ab));
}

RC_GTEST_PROP(HlcLaws, TickIsAboveAllThatWasSeenAndNeverBehindTheWall, ()) {
  HlcClock clock;
  Hlc last;
  for (int i = 0; i < 30; ++i) {
    const Hlc seen{*rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 50)};
    if (*rc::gen::arbitrary<bool>()) clock.observe(seen), last = std::max(last, seen);
    const auto wall = *rc::gen::inRange<std::uint64_t>(0, 1 << 30);
    const Hlc t = clock.tick(wall);
    RC_ASSERT(t > last);
    RC_ASSERT(t.ms() >= wall);
    last = t;
  }
}

// Versions of one path with distinct dots, whatever their contexts say.
rc::Gen<std::vector<Record>> versions() {
  return rc::gen::map(rc::gen::container<std::vector<Record>>(record()), [](std::vector<Record> all) {
    std::vector<Record> out;
    for (Record& r : all) {
      r.path = "p";
      const bool known = std::any_of(out.begin(), out.end(), [&](const Record& o) { return o.dot == r.dot; });
      if (!known && out.size() < 6) out.push_back(std::move(r));
    }
    return out;
  });
}

std::optional<Record> live_after(const std::vector<Record>& delivered) {
  std::optional<Record> live;
  for (const Record& r : delivered) {
    if (!live || merge(*live, r).incoming_wins) live = r;
  }
  return live;
}

RC_GTEST_PROP(MergeLaws, AnyOrderAndAnyRepetitionGivesTheGreatestVersion, ()) {
  auto delivered = *versions();
  RC_PRE(!delivered.empty());
  const auto expected = std::max_element(delivered.begin(), delivered.end(), [](const Record& a, const Record& b) { return newer(b, a); })->dot;
  auto twice = delivered;
  for (const Record& r : delivered) twice.insert(twice.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(twice.size())), r);
  RC_ASSERT(live_after(delivered)->dot == expected);
  RC_ASSERT(live_after(twice)->dot == expected);
}

RC_GTEST_PROP(MergeLaws, BothSidesJudgeAConflictAlike, ()) {
  const auto v = *versions();
  RC_PRE(v.size() >= 2);
  RC_ASSERT(merge(v[0], v[1]).loser_unseen == merge(v[1], v[0]).loser_unseen);
  RC_ASSERT(merge(v[0], v[1]).incoming_wins != merge(v[1], v[0]).incoming_wins);
  RC_ASSERT(merge(v[0], v[0]) == Merged{});
}

RC_GTEST_PROP(MergeLaws, WhatTheWinnersWriterHadSeenIsNeverAConflict, ()) {
  const auto v = *versions();
  RC_PRE(v.size() >= 2);
  Record later = v[1];
  later.context.raise(v[0].dot);
  later.hlc = {v[0].hlc.value + 1};
  RC_ASSERT(!merge(v[0], later).loser_unseen);
  RC_ASSERT(merge(v[0], later).incoming_wins);
}

RC_GTEST_PROP(CodecLaws, ReadsWhatItWrites, ()) {
  const Record r = *record();
  Conflict c{.loser = r, .winner = *dot(), .detected = {9}, .resolved = *rc::gen::arbitrary<bool>(), .dot = *dot()};
  Writer w;
  write(w, r), write(w, c);
  Reader in(w.data());
  RC_ASSERT(read_record(in) == r);
  RC_ASSERT(read_conflict(in) == c);
  RC_ASSERT(in.done());
}

Message example() {
  const Record r = *record();
  Entries entries{r.dot.actor, r.dot.seq - 1, r.dot.seq, {{r, Entries::Attachment{Encoding::raw, *text(500)}}}};
  Want want{{{*rc::gen::arbitrary<std::uint64_t>(), 1, "a/b", {}, 9, {}, Encoding::raw, 3, 5}}};
  return *rc::gen::element<Message>(Hello{1, "n", 5, r.dot.actor, true, *vector()}, Announce{r.dot.actor, true, *vector()}, Digest{},
                                    AskVector{}, Need{{{r.dot.actor, 4}}}, entries, want, Piece{1, 2, "xy"}, Unavailable{8},
                                    Probe{1, 1, "p", r.dot, r.hlc, true}, ProbeAnswer{5, false}, ProbeAnswer{6, true}, Refusal{r.dot.actor, 100},
                                    Lookup{6, 1, "a/b"}, LookupAnswer{6, LookupAnswer::What::live, r.dot},
                                    LookupAnswer{6, LookupAnswer::What::none, {}}, LookupAnswer{6, LookupAnswer::What::unsure, {}},
                                    Settle{7, {1, folder_id_of("media")}}, Settled{7});
}

RC_GTEST_PROP(MessageLaws, DecodesWhatItEncodes, ()) {
  const Message m = example();
  const auto back = decode(encode(m));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == m);
}

RC_GTEST_PROP(MessageLaws, RefusesEveryTruncationAndSurvivesAnyByte, ()) {
  const Bytes good = encode(example());
  const auto cut = *rc::gen::inRange<std::size_t>(0, good.size());
  RC_ASSERT(!decode(BytesView(good).substr(0, cut)).has_value());
  RC_ASSERT(!decode(good + "x").has_value());
  Bytes bad = good;
  bad[*rc::gen::inRange<std::size_t>(0, bad.size())] ^= static_cast<char>(*rc::gen::inRange(1, 256));
  if (const auto m = decode(bad)) RC_ASSERT(decode(encode(*m)).has_value());
}

}  // namespace
}  // namespace syncline

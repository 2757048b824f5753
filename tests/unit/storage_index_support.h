#pragma once
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "protocol/limits.h"
#include "storage/index.h"

// What the tests of the index share.
namespace syncline::index_test {

using Rng = std::mt19937_64;
using PathId = std::pair<FolderId, std::string>;

template <class Id>
Id id_of(std::uint64_t n) {
  Id id;
  for (std::size_t i = 0; i < Id::size; ++i) id.bytes[i] = static_cast<std::uint8_t>(n * 37 + i);
  return id;
}

inline std::unique_ptr<Index> must_open(Kv& kv) {
  auto index = Index::open(kv);
  EXPECT_TRUE(index) << index.error().message;
  return index ? std::move(*index) : nullptr;
}

// Names on both sides of '/' (0x2f) in byte order, so that sorting whole paths bytewise would be wrong.
inline std::string random_path(Rng& rng) {
  static const std::vector<std::string> names{"a", "a!", "a.b", "b", "\x01", "z\xff", "deep", "0"};
  std::string path;
  if (rng() % 12 == 0) {  // beyond what a key holds, with neighbours that share its beginning
    for (int i = 0; i < 2; ++i) path += std::string(limits::name_bytes - 10, 'L') + "/";
    if (rng() % 2 == 0) path += std::string(rng() % 4, 'm') + "/n/";
    while (path.find("//") != std::string::npos) path.erase(path.find("//"), 1);
  }
  for (std::size_t i = 0, n = 1 + rng() % 4; i < n; ++i)
    path += (i > 0 ? "/" : "") + names[rng() % names.size()];
  return path;
}

inline Content random_content(Rng& rng) {
  Content c;
  switch (rng() % 4) {
    case 0:
      break;
    case 1:
      c = {.kind = Kind::directory, .hash = {}, .size = 0, .mode = 0755, .mtime_ns = 5, .target = {}};
      break;
    case 2:
      c = {.kind = Kind::symlink, .hash = {}, .size = 0, .mode = 0, .mtime_ns = -3, .target = "to"};
      break;
    default:
      c = {.kind = Kind::file,
           .hash = id_of<Hash128>(1 + rng() % 5),
           .size = rng() % 3 * 1000,
           .mode = 0644,
           .mtime_ns = static_cast<std::int64_t>(rng()),
           .target = {}};
  }
  return c;
}

inline VersionVector random_context(Rng& rng) {
  VersionVector v;
  for (std::size_t i = rng() % 3; i > 0; --i) v.raise(id_of<ActorId>(rng() % 4), 1 + rng() % 1000);
  return v;
}

struct Dots {
  std::map<ActorId, std::uint64_t> last;
  Dot next(Rng& rng) {
    const auto actor = id_of<ActorId>(rng() % 3);
    return {actor, last[actor] += 1 + rng() % 3};
  }
};

inline Record random_record(Rng& rng, Dots& dots, FolderId folder, const std::string& path) {
  Record r;
  r.folder = folder, r.path = path, r.content = random_content(rng);
  if (folder == kClusterFolder && r.content.kind != Kind::deleted) {
    r.content = {};
    r.content.kind = Kind::value, r.content.target = "payload";
  }
  r.dot = dots.next(rng), r.context = random_context(rng), r.hlc.value = rng();
  if (rng() % 3 == 0) r.base = id_of<Hash128>(9);
  return r;
}

inline OnDisk random_disk(Rng& rng, Dots& dots, const std::optional<Record>& live) {
  OnDisk d;
  const bool shows_live = live && rng() % 2 == 0;
  d.state.content = shows_live ? live->content : random_content(rng);
  d.state.print = {rng() % 100, d.state.content.size, d.state.content.mtime_ns,
                   static_cast<std::int64_t>(rng())};
  if (rng() % 4 == 0) d.state.print.size += 7;
  if (rng() % 4 == 0) d.state.print.ctime_ns = 0;
  if (shows_live) {
    d.dot = live->dot, d.context = live->context, d.hlc = live->hlc;
  } else if (rng() % 4 != 0) {
    d.dot = dots.next(rng), d.context = random_context(rng), d.hlc.value = rng();
  }
  return d;
}

inline PathEntry random_entry(Rng& rng, Dots& dots, FolderId folder, const std::string& path) {
  PathEntry e;
  if (rng() % 8 != 0) e.live = random_record(rng, dots, folder, path);
  if (folder != kClusterFolder && rng() % 3 != 0) e.disk = random_disk(rng, dots, e.live);
  if (folder != kClusterFolder && (e.live || e.disk) && rng() % 4 == 0) e.held = static_cast<Held>(1 + rng() % 3);
  return e;
}

}  // namespace syncline::index_test

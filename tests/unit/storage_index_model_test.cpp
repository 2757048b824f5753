#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "storage/index_codec.h"
#include "tests/unit/storage_index_support.h"

namespace syncline {
namespace {

using namespace index_test;

// What the index should hold, in the plainest form.
struct Model {
  std::map<PathId, PathEntry> entries;
  std::map<Dot, Conflict> conflicts;  // by the loser's dot
  VersionVector vector;
  std::map<std::string, Bytes> meta;

  std::vector<std::string> paths(FolderId folder, auto&& wanted) const {
    std::vector<std::string> out;
    for (const auto& [id, e] : entries) {
      if (id.first == folder && wanted(id.second, e)) out.push_back(id.second);
    }
    return out;
  }
  IndexCounts counts(FolderId folder) const {
    IndexCounts c;
    for (const auto& [id, e] : entries) {
      if (id.first != folder) continue;
      c.pending += e.pending() ? 1 : 0;
      c.unapplied += e.held == Held::unapplied, c.unpublished += e.held == Held::unpublished;
      if (!e.live) continue;
      const Kind kind = e.live->content.kind;
      c.tombstones += kind == Kind::deleted, c.directories += kind == Kind::directory,
          c.symlinks += kind == Kind::symlink;
      if (kind == Kind::file) ++c.files, c.bytes += e.live->content.size;
    }
    for (const auto& [dot, conflict] : conflicts)
      c.open_conflicts += conflict.loser.folder == folder && !conflict.resolved;
    return c;
  }
  // Dot -> (folder, path) or (folder, path, loser).
  std::map<Dot, LogItem> log() const {
    std::map<Dot, LogItem> out;
    for (const auto& [id, e] : entries) {
      if (e.live) out.emplace(e.live->dot, *e.live);
    }
    for (const auto& [dot, conflict] : conflicts) out.emplace(conflict.dot, conflict);
    return out;
  }
};

std::vector<std::string> sorted(std::vector<std::string> v) {
  std::sort(v.begin(), v.end());
  return v;
}

void expect_log(const Index& index, const Model& model, Rng& rng) {
  std::map<Dot, LogItem> found;
  for (std::uint64_t n = 0; n < 4; ++n) {
    const auto actor = id_of<ActorId>(n);
    for (std::uint64_t after = 0;;) {  // in pieces, as a stream takes it
      const auto part = index.log(actor, after, 1 + rng() % 20, 1 + rng() % 4000);
      if (part.empty()) break;
      for (const LogEntry& e : part) {
        ASSERT_GT(e.seq, after);
        after = e.seq;
        ASSERT_TRUE(found.emplace(Dot{actor, e.seq}, e.item).second);
      }
    }
  }
  ASSERT_EQ(found, model.log());
}

void expect_folder(const Index& index, const Model& model, FolderId folder, Rng& rng) {
  ASSERT_EQ(index.counts(folder), model.counts(folder)) << "folder " << folder;
  const auto pending = index.pending(folder, "", SIZE_MAX);
  ASSERT_EQ(sorted(pending), model.paths(folder, [](auto&, auto& e) { return e.pending(); }));
  if (!pending.empty()) {
    const std::size_t at = rng() % pending.size();
    const std::vector<std::string> rest(pending.begin() + static_cast<std::ptrdiff_t>(at) + 1, pending.end());
    ASSERT_EQ(index.pending(folder, pending[at], SIZE_MAX), rest);
  }
  ASSERT_EQ(sorted(index.held(folder, "", SIZE_MAX)), model.paths(folder, [](auto&, auto& e) {
    return e.held == Held::unapplied || e.held == Held::unpublished;
  }));
  for (std::uint64_t n = 1; n < 6; ++n) {
    const auto hash = id_of<Hash128>(n);
    const auto has = [&](auto&, const PathEntry& e) {
      return e.disk && e.disk->state.content.kind == Kind::file && e.disk->state.content.size > 0 &&
             e.disk->state.content.hash == hash;
    };
    ASSERT_EQ(sorted(index.paths_with(folder, hash, SIZE_MAX)), model.paths(folder, has));
  }
}

bool below(const std::string& path, const std::string& directory) {
  return directory.empty() || path.starts_with(directory + "/");
}

void expect_below(const Index& index, const Model& model, FolderId folder, Rng& rng) {
  std::string directory = rng() % 3 == 0 ? "" : random_path(rng);
  if (rng() % 3 == 0) directory = parent_path(directory);
  std::vector<std::string> found;
  for (std::string after;;) {
    const std::size_t limit = 1 + rng() % 40;
    const auto part = index.below(folder, directory, after, limit);
    ASSERT_LE(part.size(), limit);
    for (const auto& [path, entry] : part) {
      ASSERT_EQ(entry, model.entries.at({folder, path}));
      found.push_back(path);
    }
    if (part.size() < limit) break;
    after = found.back();
  }
  auto expected = model.paths(folder, [&](const std::string& p, auto&) { return below(p, directory); });
  std::sort(expected.begin(), expected.end(), preorder_less);
  ASSERT_EQ(sorted(found), sorted(expected)) << "below '" << directory << "'";
  const auto is_long = [](const std::string& p) { return p.size() >= kPathHeadBytes; };
  std::erase_if(expected, is_long), std::erase_if(found, is_long);
  ASSERT_EQ(found, expected) << "preorder";
  const auto alive = [&](const std::string& p, const PathEntry& e) {
    return p != directory && below(p, directory) && e.live && e.live->content.kind != Kind::deleted;
  };
  ASSERT_EQ(index.has_live_child(folder, directory), !model.paths(folder, alive).empty())
      << "below '" << directory << "'";
}

void expect_conflicts(const Index& index, const Model& model) {
  for (const FolderId folder : {0u, 1u, 300u}) {
    std::size_t open = 0, all = 0;
    for (const auto& [dot, c] : model.conflicts) {
      if (c.loser.folder != folder) continue;
      ++all, open += !c.resolved;
      ASSERT_EQ(index.conflict(folder, c.loser.path, dot), c);
      const auto of_path = index.conflicts_of(folder, c.loser.path);
      ASSERT_NE(std::find(of_path.begin(), of_path.end(), c), of_path.end());
      for (const Conflict& other : of_path) ASSERT_EQ(other.loser.path, c.loser.path);
    }
    ASSERT_EQ(index.conflicts(folder, false, SIZE_MAX).size(), open);
    ASSERT_EQ(index.conflicts(folder, true, SIZE_MAX).size(), all);
    ASSERT_EQ(index.conflicts(folder, true, 1).size(), std::min<std::size_t>(all, 1));
  }
  for (std::uint64_t n = 1; n < 6; ++n) {
    const auto needed = std::any_of(model.conflicts.begin(), model.conflicts.end(), [&](const auto& c) {
      return !c.second.resolved && c.second.loser.content.kind == Kind::file &&
             c.second.loser.content.hash == id_of<Hash128>(n);
    });
    ASSERT_EQ(index.conflict_needs(id_of<Hash128>(n)), needed);
  }
}

void expect_same(const Index& index, const Model& model, Rng& rng) {
  ASSERT_NO_FATAL_FAILURE(expect_log(index, model, rng));
  for (const FolderId folder : {0u, 1u, 300u}) {
    ASSERT_NO_FATAL_FAILURE(expect_folder(index, model, folder, rng));
    ASSERT_NO_FATAL_FAILURE(expect_below(index, model, folder, rng));
  }
  ASSERT_NO_FATAL_FAILURE(expect_conflicts(index, model));
  ASSERT_EQ(index.vector(), model.vector);
  for (const auto& [name, value] : model.meta) ASSERT_EQ(index.meta(name), value);
}

void random_step(Index& index, Model& model, Rng& rng, Dots& dots) {
  const FolderId folder = std::array<FolderId, 3>{0, 1, 300}[std::min<std::size_t>(rng() % 8, 2)];
  std::string path = random_path(rng);
  if (!model.entries.empty() && rng() % 2 == 0) {  // one that exists
    const auto it = model.entries.lower_bound({folder, path});
    if (it != model.entries.end() && it->first.first == folder) path = it->first.second;
  }
  if (rng() % 10 == 0) {
    Conflict c;
    c.loser = random_record(rng, dots, folder, path);
    c.winner = dots.next(rng), c.detected.value = rng(), c.resolved = rng() % 4 == 0, c.dot = dots.next(rng);
    if (!model.conflicts.empty() && rng() % 2 == 0) c.loser = model.conflicts.begin()->second.loser;
    index.put_conflict(c);
    model.conflicts[c.loser.dot] = c;
  } else if (rng() % 10 == 0) {
    index.erase(folder, path);
    model.entries.erase({folder, path});
  } else if (rng() % 10 == 0) {
    const auto actor = id_of<ActorId>(rng() % 4);
    const std::uint64_t seq = rng() % 1000;
    index.advance(actor, seq);
    model.vector.raise(actor, seq);
    model.meta[fmt::format("name{}", seq % 5)] = fmt::format("{}", seq);
    index.put_meta(fmt::format("name{}", seq % 5), fmt::format("{}", seq));
  } else {
    const PathEntry e = random_entry(rng, dots, folder, path);
    index.put(folder, path, e);
    if (e.live || e.disk) {
      model.entries[{folder, path}] = e;
    } else {
      model.entries.erase({folder, path});
    }
  }
  const auto found = model.entries.find({folder, path});
  ASSERT_EQ(index.get(folder, path),
            found == model.entries.end() ? std::nullopt : std::optional(found->second));
}

TEST(Index, EqualsThePlainModelUnderRandomChangesCommitsRollbacksAndReopens) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Rng rng(seed);
    auto kv = make_memory_kv();
    auto index = must_open(*kv);
    Model model, committed;
    Dots dots;
    for (int step = 0; step < 500; ++step) {
      ASSERT_NO_FATAL_FAILURE(random_step(*index, model, rng, dots)) << "step " << step;
      if (rng() % 20 == 0) {
        ASSERT_NO_FATAL_FAILURE(expect_same(*index, model, rng)) << "step " << step;
      }
      if (rng() % 25 == 0) {
        const auto number = index->commit();
        ASSERT_TRUE(number);
        EXPECT_EQ(*number, kv->applied());
        committed = model;
      } else if (rng() % 40 == 0) {
        index->rollback();
        model = committed;
        ASSERT_NO_FATAL_FAILURE(expect_same(*index, model, rng)) << "rolled back at step " << step;
      } else if (rng() % 100 == 0) {
        index = must_open(*kv);  // what was not committed is gone
        model = committed;
        ASSERT_NO_FATAL_FAILURE(expect_same(*index, model, rng)) << "reopened at step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace syncline

// The apply and commit path of storage under every crash that a file system may make of it (crash_states.h).
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/crash/machine.h"

namespace syncline::crash {
namespace {

constexpr std::size_t kStatesAtLeast = 20'000;
constexpr unsigned kFaultsShown = 3;

// Three sectors and a bit, told apart by its letter.
std::string bytes_of(char letter, std::size_t size = 1700) { return std::string(size, letter); }

struct Scenario {
  const char* name;
  void (*run)(Machine&);
};

void old_file(Machine& m, const std::string& path = "p") {
  m.apply_file(path, bytes_of('o'));
  m.group();
}

void stage(Machine& m, const std::string& bytes) {
  const std::size_t half = bytes.size() / 2;
  EXPECT_TRUE(m.folder().stage_write(m.hash(bytes), half, BytesView(bytes).substr(half)));  // out of its turn
  EXPECT_TRUE(m.folder().stage_write(m.hash(bytes), 0, BytesView(bytes).substr(0, half)));
  EXPECT_TRUE(m.folder().stage_finish(m.hash(bytes), bytes.size()));
}

const Machine::How kStaged{.inline_bytes = false};
const Machine::How kStagedAndKept{.inline_bytes = false, .keep_staged = true};
const Machine::How kKeepOld{.keep_displaced = true};

Content a_directory() {
  Content content;
  content.kind = Kind::directory;
  content.mode = 0755;
  content.mtime_ns = 1'500'000'000'000'000'000;
  return content;
}

Content a_link() {
  Content content;
  content.kind = Kind::symlink;
  content.target = "somewhere";
  content.mtime_ns = 1'500'000'000'000'000'000;
  return content;
}

void chain_of_versions(Machine& m) {
  old_file(m);
  m.apply_file("p", bytes_of('a'));
  m.apply_file("p", bytes_of('b', 600));
  m.settle();
  m.group();
  m.apply_file("p", bytes_of('c'));
}

void a_conflict(Machine& m) {
  old_file(m);
  m.apply_file("p", bytes_of('n'), kKeepOld);
  m.conflict_over("p", bytes_of('o'));
  m.settle();
  m.group();
  m.apply_file("q", bytes_of('q'));
}

void a_young_conflict(Machine& m) {
  m.apply_file("p", bytes_of('o'));
  m.apply_file("p", bytes_of('n'), kKeepOld);
  m.conflict_over("p", bytes_of('o'));
  m.group();
}

void an_application(Machine& m) {
  m.app_write("p", bytes_of('a'));
  m.look("p");
  m.apply_file("p", bytes_of('n'));
  m.app_write("p", bytes_of('b'));
  m.look("p");
  m.group();
  m.app_write("p", bytes_of('c'));
}

void a_tree(Machine& m) {
  m.apply_file("a/b/p", bytes_of('a'));
  m.apply_file("a/q", bytes_of('q'));
  m.group();
  m.apply("a/b/p", {});
  m.apply_file("a/c/p", bytes_of('c'));
}

void copies(Machine& m) {
  old_file(m);
  EXPECT_TRUE(m.folder().stage_copy(m.hash(bytes_of('o')), 1700, "p"));
  m.apply_file("copy", bytes_of('o'), kStagedAndKept);
  m.apply_file("copy2", bytes_of('o'), kStaged);
  m.group();
}

void staged_over_old(Machine& m) {
  old_file(m);
  stage(m, bytes_of('s'));
  m.apply_file("p", bytes_of('s'), kStaged);
  m.settle();
  m.group();
}

const Scenario kScenarios[] = {
    {"new file", [](Machine& m) { m.apply_file("p", bytes_of('n')), m.group(); }},
    {"empty file", [](Machine& m) { m.apply_file("p", ""), m.group(); }},
    {"replace", [](Machine& m) { old_file(m), m.apply_file("p", bytes_of('n')), m.settle(), m.group(); }},
    {"replace by link", [](Machine& m) { m.disk().without_exchange(), old_file(m), m.apply_file("p", bytes_of('n')), m.group(); }},
    {"replace what was never durable", [](Machine& m) { m.apply_file("p", bytes_of('a')), m.apply_file("p", bytes_of('n')), m.group(); }},
    {"delete", [](Machine& m) { old_file(m), m.apply("p", {}), m.settle(), m.group(); }},
    {"delete and write", [](Machine& m) { old_file(m), m.apply("p", {}), m.apply_file("p", bytes_of('n')), m.group(); }},
    {"rename", [](Machine& m) { old_file(m), m.apply_file("q", bytes_of('o')), m.apply("p", {}), m.group(); }},
    {"file to directory", [](Machine& m) { old_file(m), m.apply("p", a_directory()), m.apply_file("p/q", bytes_of('q')), m.group(); }},
    {"directory to file", [](Machine& m) { m.apply("p", a_directory()), m.group(), m.apply_file("p", bytes_of('n')), m.group(); }},
    {"file to link", [](Machine& m) { old_file(m), m.apply("p", a_link()), m.apply_file("p", bytes_of('n')), m.group(); }},
    {"file to directory by steps",
     [](Machine& m) { m.disk().without_exchange(), old_file(m), m.apply("p", a_directory()), m.group(); }},
    {"chain of versions", chain_of_versions},
    {"conflict", a_conflict},
    {"young conflict", a_young_conflict},
    {"application", an_application},
    {"tree", a_tree},
    {"copies", copies},
    {"staged", staged_over_old},
};

struct Count {
  std::size_t states = 0, faulty = 0, torn_unknown = 0;
  std::string first;
};

// Every crash of the recording, with the fewest, the most and some other number of batches of the index, and now and then a kill in
// the midst of the recovery; then every kill -9 without loss of power.
Count crash_everywhere(Machine& m, std::uint64_t seed) {
  m.long_after();
  Count count;
  const auto judge = [&](const Machine::Crash& crash) {
    const Verdict verdict = m.recover(crash);
    ++count.states;
    count.torn_unknown += verdict.torn_unknown;
    if (verdict.faults.empty()) return;
    if (++count.faulty <= kFaultsShown) {
      count.first += fmt::format("{} batches of the index, power {}, killed again at {}: {}\n{}", crash.batches, crash.power,
                                 crash.killed_again_at ? static_cast<int>(*crash.killed_again_at) : -1, verdict.faults.front(),
                                 crash.state.describe(m.recorder().operations()));
    }
  };
  for_each_crash(m.recorder().operations(), {.seed = seed, .random_states = 40}, [&](const CrashState& state) {
    const std::uint64_t least = m.durable_at(state.instant), most = m.applied_at(state.instant);
    for (const std::uint64_t batches : std::set<std::uint64_t>{least, most, least + (most - least) * (count.states % 7) / 6})
      judge({state, true, batches, {}});
    if (count.states % 10 == 0) judge({state, true, most, count.states / 10 % 40});
  });
  for (std::size_t at = 0; at <= m.recorder().operations().size(); ++at) {
    const CrashState state{at, std::vector<Fate>(at)};
    judge({state, false, m.applied_at(at), {}});
    for (std::uint64_t again = 0; again < 40; again += 3) judge({state, false, m.applied_at(at), again});
  }
  return count;
}

TEST(FolderCrash, EveryCrashLeavesOldOrNewAndAnIndexThatClaimsNoMore) {
  std::size_t states = 0, torn = 0;
  for (const Scenario& scenario : kScenarios) {
    Machine m;
    scenario.run(m);
    const Count count = crash_everywhere(m, 1);
    EXPECT_EQ(count.faulty, 0u) << scenario.name << ": " << count.faulty << " of " << count.states << "\n" << count.first;
    states += count.states;
    torn += count.torn_unknown;
  }
  fmt::print("{} crash states, {} of them with a torn file that the index has not heard of\n", states, torn);
  EXPECT_GE(states, kStatesAtLeast);
}

TEST(FolderCrash, TheMarkerIsWholeOrNotThere) {
  std::size_t states = 0;
  std::int64_t now = 1'700'000'000'000'000'000;
  const Folder::Identity identity{{}, 1};
  MemoryFileSystem disk([&] { return now; });
  DiskRecorder recorder(disk);
  ASSERT_TRUE(Folder::create_marker(recorder, identity));
  const std::size_t done = recorder.note("done");
  states = for_each_crash(recorder.operations(), {}, [&](const CrashState& state) {
    const auto after = disk.copy();
    after->become(recorder.after(state));
    HashKey key{Key32{}};
    const auto opened = Folder::open(*after, key, identity);
    EXPECT_TRUE(opened || state.instant <= done) << state.describe(recorder.operations());
    EXPECT_TRUE(Folder::create_marker(*after, identity)) << state.describe(recorder.operations());
    EXPECT_TRUE(Folder::open(*after, key, identity)) << state.describe(recorder.operations());
  });
  EXPECT_GT(states, 30u);
}

// ---- tests of the tester

TEST(FolderCrash, WhatIsKeptOfEverythingIsTheDiskItself) {
  for (const Scenario& scenario : kScenarios) {
    Machine m;
    scenario.run(m);
    const std::size_t end = m.recorder().operations().size();
    const auto copy = m.disk().copy();
    copy->become(m.recorder().after({end, std::vector<Fate>(end)}));
    ASSERT_EQ(copy->app_paths(), m.disk().app_paths()) << scenario.name;
    for (const std::string& path : copy->app_paths()) {
      EXPECT_EQ(copy->app_read(path), m.disk().app_read(path)) << scenario.name << ": " << path;
      const auto is = copy->stat(path), was = m.disk().stat(path);
      EXPECT_TRUE(is->type == FileType::directory || is->print == was->print) << scenario.name << ": " << path;
      EXPECT_EQ(is->mode, was->mode) << scenario.name << ": " << path;
    }
  }
}

TEST(FolderCrash, ASyncThatIsMissingIsFound) {
  Machine m;
  old_file(m);
  m.recorder().forget_syncs(true);
  m.apply_file("p", bytes_of('n'));
  m.group();
  m.apply_file("q", bytes_of('q'));
  EXPECT_GT(crash_everywhere(m, 1).faulty, 0u);
}

TEST(FolderCrash, AnIndexThatIsDurableBeforeTheFilesIsFound) {
  Machine m;
  old_file(m);
  m.apply_file("p", bytes_of('n'));
  m.group_in_the_wrong_order();
  EXPECT_GT(crash_everywhere(m, 1).faulty, 0u);
}

}  // namespace
}  // namespace syncline::crash

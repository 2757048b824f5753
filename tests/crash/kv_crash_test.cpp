// The write-ahead log and LMDB under every crash that a file system may make of what they really write (crash_states.h).
#include <chrono>
#include <functional>
#include <set>
#include <thread>
#include <tuple>

#include "tests/crash/system_recorder.h"
#include "tests/unit/storage_kv_support.h"

namespace syncline::crash {
namespace {

using namespace kv_test;
using namespace std::chrono_literals;

constexpr std::size_t kStatesAtLeast = 1'000;
constexpr std::uint64_t kMapBytes = 16 << 20;
constexpr unsigned kFaultsShown = 3;

using Image = std::map<std::string, Bytes>;

// A Kv at work, with what it has promised at each moment of the recording.
class Store {
 public:
  explicit Store(const std::string& directory, Model before = {}, std::uint64_t batches = 0, std::string boot = "boot-1")
      : directory_(directory), boot_(std::move(boot)), recorder_(directory) {
    states_[batches] = std::move(before);
    promised_[0] = {batches, batches, batches};
  }

  SystemRecorder& recorder() { return recorder_; }
  std::size_t judged() const { return judged_.size(); }  // different disks
  const Model& state(std::uint64_t batch) const { return states_.at(batch); }

  void open() {
    KvOptions options = options_for(directory_);
    options.boot_id = boot_;
    options.map_bytes = kMapBytes;
    options.group_ms_max = 3'600'000;  // groups begin when the test says so
    options.sync_files = [this] {
      if (during_group_) std::exchange(during_group_, nullptr)();
      return Status{};
    };
    kv_ = must_open(options);
  }
  void close() { kv_.reset(), promise([&](Promise& p) { p.durable = p.applied; }, "closed"); }

  void apply(const KvBatch& batch) {
    const std::uint64_t number = kv_->applied() + 1;
    states_[number] = states_.at(number - 1);
    apply_to(states_[number], batch);
    promise([&](Promise& p) { p.begun = number; }, "batch begins");
    ASSERT_TRUE(kv_->apply(batch));
    promise([&](Promise& p) { p.applied = number; }, "batch applied");
  }
  void group(std::function<void()> meanwhile = nullptr) {
    during_group_ = std::move(meanwhile);
    const std::uint64_t number = kv_->applied();
    ASSERT_TRUE(kv_->flush_wait());
    promise([&](Promise& p) { p.durable = std::max(p.durable, number); }, "group durable");
  }

  // Empty: what is found after the crash is what was promised. `killed`: nothing was lost but the process.
  std::string judge(const CrashState& state, const std::string& scratch, bool killed = false) {
    const Promise promise = promised(state.instant);
    Image image = recorder_.after(state);
    image.erase("lock.mdb"), image.erase("lock");
    if (!judged_.insert(fingerprint(image, promise, killed)).second) return "";
    fs::remove_all(scratch);
    fs::create_directory(scratch);
    for (const auto& [name, bytes] : image) write_whole(scratch + "/" + name, bytes);
    KvOptions after = options_for(scratch);
    after.boot_id = killed ? boot_ : "boot-after";
    after.map_bytes = kMapBytes;
    after.group_ms_max = 3'600'000;
    auto opened = open_lmdb_kv(after);
    if (!opened && promise.durable == 0 && !killed && opened.error().code == Error::Code::invalid) return "";  // begins anew
    if (!opened) return "does not open: " + opened.error().message;
    Kv& kv = **opened;
    const std::uint64_t found = kv.applied();
    if (found < (killed ? promise.applied : promise.durable)) return fmt::format("{} batches of {} durable", found, promise.durable);
    if (found > promise.begun) return fmt::format("{} batches where {} were begun", found, promise.begun);
    if (all_of(kv) != states_.at(found)) return fmt::format("is not the state after batch {}", found);
    if (!killed && !kv.recovery().clean && !kv.recovery().power_loss && found > 0) return "does not know of the loss of power";
    if (const auto keys = keys_since(kv.durable(), found); !std::includes(replayed(kv).begin(), replayed(kv).end(), keys.begin(), keys.end()))
      return "does not tell all keys that were replayed";
    return judged_.size() % 4 == 0 ? goes_on(std::move(*opened), after, states_.at(found)) : "";
  }

 private:
  struct Promise {
    std::uint64_t begun = 0, applied = 0, durable = 0;
  };
  using Fingerprint = std::tuple<std::size_t, std::uint64_t, std::uint64_t, std::uint64_t, bool>;

  static Fingerprint fingerprint(const Image& image, const Promise& p, bool killed) {
    Bytes whole;
    for (const auto& [name, bytes] : image) whole += fmt::format("{} {} ", name, bytes.size()) + bytes;
    return {std::hash<Bytes>{}(whole), p.begun, p.applied, p.durable, killed};
  }

  template <class Change>
  void promise(Change change, const char* what) {
    recorder_.note(what);
    Promise next = promised_.rbegin()->second;
    change(next);
    promised_[recorder_.size()] = next;
  }
  Promise promised(std::size_t instant) const { return std::prev(promised_.upper_bound(instant))->second; }

  static const std::vector<Bytes>& replayed(const Kv& kv) { return kv.recovery().replayed_keys; }

  std::set<Bytes> keys_since(std::uint64_t from, std::uint64_t to) const {
    std::set<Bytes> keys;
    for (std::uint64_t batch = std::max(from, states_.begin()->first); batch < to; ++batch) {
      const Model &a = states_.at(batch), &b = states_.at(batch + 1);
      for (const auto& [key, value] : a) {
        if (!b.contains(key) || b.at(key) != value) keys.insert(key);
      }
      for (const auto& [key, value] : b) {
        if (!a.contains(key)) keys.insert(key);
      }
    }
    return keys;
  }

  // A batch more, durable: it is there after the next start, and nothing of what was lost comes back.
  static std::string goes_on(std::unique_ptr<Kv> kv, const KvOptions& options, Model model) {
    if (!kv->apply({{"new", "life"}}) || !kv->flush_wait()) return "takes no batch any more";
    model["new"] = "life";
    kv.reset();
    const auto again = open_lmdb_kv(options);
    if (!again) return "does not open again: " + again.error().message;
    return all_of(**again) == model ? "" : "is another after the next start";
  }

  std::string directory_, boot_;
  SystemRecorder recorder_;
  std::unique_ptr<Kv> kv_;
  std::function<void()> during_group_;
  std::set<Fingerprint> judged_;
  std::map<std::uint64_t, Model> states_;     // by number of batches
  std::map<std::size_t, Promise> promised_;  // from this moment of the recording on
};

KvBatch batch(int n, std::size_t bytes = 700) {
  KvBatch out{{fmt::format("key{}", n), Bytes(bytes, static_cast<char>('a' + n % 26))}, {"last", fmt::format("{}", n)}};
  if (n > 2) out.emplace_back(fmt::format("key{}", n - 2), std::nullopt);
  return out;
}

void groups(Store& run) {
  run.open();
  for (int n = 1; n <= 3; ++n) run.apply(batch(n));
  run.group();
  for (int n = 4; n <= 5; ++n) run.apply(batch(n));
  run.group([&] {
    run.apply(batch(6));  // while the group is on its way: into the next file of the log
    run.apply(batch(7));
  });
  run.apply(batch(8, 9'000));  // on pages of its own
}

void closed_and_opened(Store& run) {
  run.open();
  run.apply(batch(1));
  run.close();
  run.open();
  for (int n = 2; n <= 4; ++n) run.apply(batch(n, 5'000));
  run.group();
  run.apply(batch(5));
}

void only_the_log(Store& run) {
  run.open();
  for (int n = 1; n <= 12; ++n) run.apply(batch(n, 300));
}

struct Count {
  std::size_t states = 0, faulty = 0;
  std::string first;
};

Count crash_everywhere(Store& run, const std::vector<Operation>& recording, const Bounds& bounds) {
  TempDirectory temp;
  Count count;
  const auto judge = [&](const CrashState& state, bool killed) {
    const std::string fault = run.judge(state, temp / "after", killed);
    if (fault.empty() || ++count.faulty > kFaultsShown) return;
    count.first += fmt::format("{}{}\n{}", killed ? "killed: " : "", fault, state.describe(recording));
  };
  for_each_crash(recording, bounds, [&](const CrashState& state) { judge(state, false); });
  for (std::size_t at = 0; at <= recording.size(); ++at) judge({at, std::vector<Fate>(at)}, true);
  count.states = run.judged();
  return count;
}

std::string made(const std::string& directory) {
  fs::create_directories(directory);
  return directory;
}

TEST(KvCrash, EveryCrashGivesWholeBatchesAndAllThatWereDurable) {
  std::size_t states = 0;
  for (const auto run_scenario : {groups, closed_and_opened, only_the_log}) {
    TempDirectory temp;
    Store run(made(temp / "index"));
    run_scenario(run);
    const auto recording = run.recorder().operations();
    const Count count = crash_everywhere(run, recording, {.seed = 1, .random_states = 6});
    EXPECT_EQ(count.faulty, 0u) << count.faulty << " of " << count.states << "\n" << count.first;
    states += count.states;
  }
  fmt::print("{} different crash states\n", states);
  EXPECT_GE(states, kStatesAtLeast);
}

std::vector<Image> some_crashes() {
  TempDirectory temp;
  Store run(made(temp / "index"));
  groups(run);
  std::vector<Image> images;
  std::size_t n = 0;
  for_each_crash(run.recorder().operations(), {.seed = 2, .random_states = 12}, [&](const CrashState& state) {
    if (++n % 251 == 0) images.push_back(run.recorder().after(state));
  });
  return images;
}

// What the first crash left is the ground that the second one falls on: numbers are given again, and names of log files with them.
TEST(KvCrash, ASecondCrashIsNoWorse) {
  std::size_t states = 0;
  for (const Image& image : some_crashes()) {
    TempDirectory temp;
    for (const char* directory : {"index", "look"}) {
      for (const auto& [name, bytes] : image) write_whole(made(temp / directory) + "/" + name, bytes);
    }
    KvOptions look = options_for(temp / "look");
    const auto found = open_lmdb_kv(look);
    if (!found) continue;  // nothing was durable yet
    Store run(temp / "index", all_of(**found), (*found)->applied(), "boot-2");
    run.open();
    run.apply(batch(20));
    run.apply(batch(21));
    run.group();
    run.apply(batch(22));
    const auto recording = run.recorder().operations();
    const Count count = crash_everywhere(run, recording, {.seed = 1, .random_states = 2});
    EXPECT_EQ(count.faulty, 0u) << count.faulty << " of " << count.states << "\n" << count.first;
    states += count.states;
  }
  fmt::print("{} different crash states\n", states);
  EXPECT_GE(states, kStatesAtLeast);
}

// ---- tests of the tester

TEST(KvCrash, WhatIsKeptOfEverythingIsTheDirectoryItself) {
  TempDirectory temp;
  Store run(made(temp / "index"));
  groups(run);
  const auto differing = [&] {
    std::string names;
    const std::size_t end = run.recorder().size();
    for (const auto& [name, bytes] : run.recorder().after({end, std::vector<Fate>(end)})) {
      if (name == "lock.mdb") continue;  // that one is mapped
      if (bytes != read_whole(temp / ("index/" + name).c_str())) names += name + " ";
    }
    return names;
  };
  // The group's thread may still be removing files of the log that no one needs any more.
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!differing().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(differing(), "");
}

TEST(KvCrash, ASyncThatIsMissingIsFound) {
  TempDirectory temp;
  Store run(made(temp / "index"));
  run.recorder().forget_file_syncs(true);
  groups(run);
  const auto recording = run.recorder().operations();
  EXPECT_GT(crash_everywhere(run, recording, {.seed = 1, .random_states = 4}).faulty, 0u);
}

}  // namespace
}  // namespace syncline::crash

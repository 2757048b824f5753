#include "storage/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "protocol/record.h"

namespace syncline {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using EventKind = WatchEvent::Kind;
using TimePoint = Intake::TimePoint;

constexpr TimePoint kStart{1000s};
constexpr std::size_t kAll = 1'000'000;

WatchEvent file(EventKind kind, std::string path) { return {kind, std::move(path), {}, false, false, {}}; }
WatchEvent directory(EventKind kind, std::string path) {
  return {kind, std::move(path), {}, true, false, {}};
}
WatchEvent moved(std::string from, std::string to, bool is_directory = false) {
  return {EventKind::moved, std::move(to), std::move(from), is_directory, is_directory, {}};
}

std::vector<std::string> paths(const std::vector<Look>& looks) {
  std::vector<std::string> out;
  for (const Look& look : looks) out.push_back(look.path);
  return out;
}

TEST(Intake, WhenAnEventLeadsToALook) {
  struct Case {
    WatchEvent event;
    std::chrono::milliseconds after;
    bool force;
  };
  const Case cases[] = {
      {file(EventKind::closed_write, "f"), 0ms, true},       {file(EventKind::arrived, "f"), 0ms, false},
      {file(EventKind::vanished, "f"), 0ms, false},          {file(EventKind::created, "f"), 50ms, false},
      {file(EventKind::attributes, "f"), 20ms, false},       {directory(EventKind::created, "f"), 0ms, false},
      {directory(EventKind::vanished, "f"), 0ms, false},     {directory(EventKind::arrived, "f"), 0ms, false},
      {directory(EventKind::attributes, "f"), 500ms, false}, {directory(EventKind::rescan, "f"), 0ms, false},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(static_cast<int>(c.event.kind));
    Intake intake;
    intake.on_event(c.event, kStart);
    ASSERT_EQ(intake.next_deadline(), kStart + c.after);
    EXPECT_THAT(intake.take(kStart + c.after - 1ms, kAll), IsEmpty());
    const auto looks = intake.take(kStart + c.after, kAll);
    ASSERT_EQ(looks.size(), 1u);
    EXPECT_EQ(looks[0].path, "f");
    EXPECT_EQ(looks[0].force, c.force);
    EXPECT_EQ(looks[0].directory, c.event.directory);
    EXPECT_EQ(looks[0].subtree, c.event.kind == EventKind::rescan);
    const bool entries_changed = c.event.kind == EventKind::created || c.event.kind == EventKind::arrived ||
                                 c.event.kind == EventKind::vanished;
    const std::vector<std::string> later = {std::string(kRootPath)};
    EXPECT_EQ(paths(intake.take(kStart + 10s, kAll)), entries_changed ? later : std::vector<std::string>());
  }
}

TEST(Intake, AnUploadIsOneLookAtItsClose) {
  Intake intake;
  intake.on_event(file(EventKind::created, "f"), kStart);
  intake.on_event(file(EventKind::attributes, "f"), kStart + 1ms);
  intake.on_event(file(EventKind::closed_write, "f"), kStart + 2ms);
  const auto looks = intake.take(kStart + 2ms, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("f"));
  EXPECT_TRUE(looks[0].force);
  EXPECT_THAT(intake.take(kStart + 100ms, kAll), IsEmpty()) << "not again for its creation";
}

TEST(Intake, WithoutLeasesACreatedFileWaitsLonger) {
  Intake intake;
  intake.set_lease_known(false);
  intake.on_event(file(EventKind::created, "f"), kStart);
  EXPECT_THAT(intake.take(kStart + 2s - 1ms, kAll), ElementsAre(Field(&Look::path, kRootPath)));
  EXPECT_THAT(intake.take(kStart + 2s, kAll), ElementsAre(Field(&Look::path, "f")));
}

TEST(Intake, APathThatVanishedAndCameBackIsOneLook) {
  Intake intake;
  intake.on_event(file(EventKind::vanished, "f"), kStart);
  intake.on_event(file(EventKind::created, "f"), kStart);
  intake.on_event(file(EventKind::closed_write, "f"), kStart);
  EXPECT_THAT(paths(intake.take(kStart, kAll)), ElementsAre("f"));
}

TEST(Intake, LooksComeInTheOrderOfTheirEventsAndInPortions) {
  Intake intake;
  for (const char* path : {"c", "a", "b"}) intake.on_event(file(EventKind::closed_write, path), kStart);
  EXPECT_THAT(paths(intake.take(kStart, 2)), ElementsAre("c", "a"));
  EXPECT_EQ(intake.next_deadline(), kStart);
  EXPECT_THAT(paths(intake.take(kStart, 2)), ElementsAre("b"));
}

TEST(Intake, ADirectoryIsLookedAtOnceItIsQuiet) {
  Intake intake;
  TimePoint now = kStart;
  std::size_t directory_looks = 0;
  for (int i = 0; i < 1000; ++i, now += 1ms) {
    intake.on_event(file(EventKind::created, "d/f" + std::to_string(i)), now);
    intake.on_event(file(EventKind::closed_write, "d/f" + std::to_string(i)), now);
    for (const Look& look : intake.take(now, kAll)) directory_looks += look.path == "d";
  }
  EXPECT_EQ(directory_looks, 0u);
  EXPECT_EQ(intake.next_deadline(), now - 1ms + 500ms);
  const auto looks = intake.take(now + 500ms, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("d"));
  EXPECT_TRUE(looks[0].directory);
}

TEST(Intake, ADirectoryThatIsNeverQuietIsLookedAtAfterFiveSeconds) {
  Intake intake;
  TimePoint now = kStart;
  std::vector<TimePoint> looked;
  for (; now < kStart + 11s; now += 100ms) {
    intake.on_event(file(EventKind::arrived, "d/f"), now);
    for (const Look& look : intake.take(now, kAll)) {
      if (look.path == "d") looked.push_back(now);
    }
  }
  EXPECT_THAT(looked, ElementsAre(kStart + 5s, kStart + 10s + 100ms));
}

TEST(Intake, TheRootIsADirectoryLikeAnyOther) {
  Intake intake;
  intake.on_event(file(EventKind::arrived, "f"), kStart);
  EXPECT_THAT(paths(intake.take(kStart + 499ms, kAll)), ElementsAre("f"));
  EXPECT_THAT(paths(intake.take(kStart + 500ms, kAll)), ElementsAre(kRootPath));
  intake.on_event(directory(EventKind::attributes, ""), kStart + 1s);
  EXPECT_THAT(paths(intake.take(kStart + 1500ms, kAll)), ElementsAre(kRootPath));
}

TEST(Intake, ANewDirectoryDoesNotWaitForItsEntries) {
  Intake intake;
  intake.on_event(directory(EventKind::created, "d"), kStart);
  intake.on_event(file(EventKind::created, "d/f"), kStart);
  EXPECT_THAT(paths(intake.take(kStart, kAll)), ElementsAre("d"));
}

TEST(Intake, OfARenameTheNewPathComesFirst) {
  Intake intake;
  intake.on_event(file(EventKind::closed_write, "d/temporary"), kStart);
  intake.on_event(moved("d/temporary", "e/final"), kStart + 1ms);
  const auto looks = intake.take(kStart + 1ms, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("e/final", "d/temporary"));
  EXPECT_EQ(looks[0].moved_from, "d/temporary");
  EXPECT_EQ(looks[1].moved_from, "");
  EXPECT_THAT(paths(intake.take(kStart + 1s, kAll)), ElementsAre("e", "d"))
      << "both directories have changed";
}

TEST(Intake, AChainOfRenamesLeadsBackToTheNameThatOthersKnow) {
  Intake intake;
  intake.on_event(moved("a", "b"), kStart);
  intake.on_event(moved("b", "c"), kStart);
  const auto looks = intake.take(kStart, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("c", "a", "b"));
  EXPECT_EQ(looks[0].moved_from, "a");
  EXPECT_EQ(looks[1].moved_from + looks[2].moved_from, "");
}

TEST(Intake, ARenameThereAndBackLooksAtBoth) {
  Intake intake;
  intake.on_event(moved("a", "b"), kStart);
  intake.on_event(moved("b", "a"), kStart);
  EXPECT_THAT(paths(intake.take(kStart, kAll)), ElementsAre("a", "b"));
}

TEST(Intake, ARenamedDirectoryIsLookedAtWithAllBelowIt) {
  Intake intake;
  intake.on_event(moved("old", "new", true), kStart);
  const auto looks = intake.take(kStart, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("new", "old"));
  EXPECT_TRUE(looks[0].subtree && looks[1].subtree && looks[0].directory);
  EXPECT_EQ(looks[0].moved_from, "old");
}

TEST(Intake, BusyFilesComeBackLaterAndLater) {
  Intake intake;
  intake.on_event(file(EventKind::closed_write, "f"), kStart);
  TimePoint now = kStart;
  std::vector<std::chrono::milliseconds> waits;
  for (int i = 0; i < 7; ++i) {
    const auto looks = intake.take(now, kAll);
    ASSERT_EQ(looks.size(), 1u);
    EXPECT_TRUE(looks[0].force) << "its close must not be forgotten";
    intake.again(looks[0], now);
    waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(*intake.next_deadline() - now));
    now = *intake.next_deadline();
  }
  EXPECT_THAT(waits, ElementsAre(200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms));
}

TEST(Intake, ABusyFileComesBackAtItsClose) {
  Intake intake;
  intake.on_event(file(EventKind::created, "f"), kStart);
  Look look = intake.take(kStart + 50ms, kAll).at(0);
  intake.again(look, kStart + 50ms);
  intake.on_event(file(EventKind::closed_write, "f"), kStart + 60ms);
  look = intake.take(kStart + 60ms, kAll).at(0);
  EXPECT_TRUE(look.force);
  EXPECT_EQ(look.attempts, 0u);

  // The close came while it was being looked at: it is not put off.
  intake.on_event(file(EventKind::closed_write, "f"), kStart + 70ms);
  intake.again(look, kStart + 70ms);
  EXPECT_EQ(intake.next_deadline(), kStart + 70ms);
}

TEST(Intake, TooManyPathsBecomeOneScanOfWhatTheyHaveInCommon) {
  Intake intake({}, 100);
  for (int i = 0; i < 200; ++i) {
    intake.on_event(file(EventKind::closed_write, "a/b/" + std::to_string(i % 7) + "/" + std::to_string(i)),
                    kStart);
  }
  EXPECT_LE(intake.waiting(), 100u);
  intake.on_event(file(EventKind::closed_write, "a/bc"), kStart);
  const auto looks = intake.take(kStart + 10s, kAll);
  ASSERT_EQ(paths(looks).at(0), "a/b");
  EXPECT_TRUE(looks[0].subtree);
  EXPECT_NE(looks[0].reason, "");
  EXPECT_EQ(paths(looks).at(1), "a/bc") << "a neighbour is not covered";
  intake.on_event(file(EventKind::closed_write, "a/b/f"), kStart + 10s);
  EXPECT_THAT(paths(intake.take(kStart + 10s, kAll)), ElementsAre("a/b/f"))
      << "the scan has begun: not covered any more";
}

TEST(Intake, TheRootHasNothingInCommonWithWhatIsBelowIt) {
  Intake intake({}, 10);
  intake.on_event(file(EventKind::arrived, "f"), kStart);
  intake.take(kStart, kAll);
  for (int i = 0; i < 10; ++i)
    intake.on_event(file(EventKind::closed_write, "d/" + std::to_string(i)), kStart);
  const auto looks = intake.take(kStart, kAll);
  ASSERT_THAT(paths(looks), ElementsAre("d", kRootPath));
  EXPECT_TRUE(looks[0].subtree);
  EXPECT_FALSE(looks[1].subtree);
}

TEST(Intake, ALostRootEmptiesIt) {
  Intake intake;
  intake.on_event(file(EventKind::vanished, "f"), kStart);
  intake.on_event(directory(EventKind::root_lost, ""), kStart);
  EXPECT_EQ(intake.next_deadline(), std::nullopt);
  EXPECT_EQ(intake.waiting(), 0u);
}

// Whatever is going on, each event is followed by a look at its path (or at a subtree that holds it) not
// before the event and not more than the longest delay after it; and the number of waiting paths stays below
// the bound.
TEST(Intake, EveryEventIsFollowedByALookInTime) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    Intake intake({}, 12);
    std::map<std::string, TimePoint> open;  // the latest event of a path that was not looked at since
    TimePoint now = kStart;
    const auto name = [&] {
      std::string out(1, static_cast<char>('a' + random() % 3));
      for (auto depth = random() % 3; depth > 0; --depth)
        out += std::string("/") + static_cast<char>('a' + random() % 3);
      return out;
    };
    for (int step = 0; step < 500; ++step, now += std::chrono::milliseconds(random() % 100)) {
      const auto kind = static_cast<EventKind>(random() % 5);
      if (random() % 4 == 0) {
        const std::string from = name(), to = name();
        if (from == to) continue;
        intake.on_event(moved(from, to, random() % 2 == 0), now);
        open[from] = open[to] = now;
      } else {
        const std::string path = name();
        intake.on_event({kind, path, {}, random() % 2 == 0, false, {}}, now);
        open[path] = now;
      }
      EXPECT_LE(intake.waiting(), 12u);
      for (const Look& look : intake.take(now, random() % 8)) {
        std::erase_if(open, [&](const auto& item) {
          return item.first == look.path ||
                 (look.subtree && (look.path.empty() || item.first.starts_with(look.path + "/")));
        });
        if (random() % 3 == 0) intake.again(look, now);
      }
    }
    for (const Look& look : intake.take(now + 5s, kAll)) {
      std::erase_if(open, [&](const auto& item) {
        return item.first == look.path ||
               (look.subtree && (look.path.empty() || item.first.starts_with(look.path + "/")));
      });
    }
    EXPECT_THAT(open, IsEmpty()) << "seed " << seed;
    EXPECT_EQ(intake.next_deadline(), std::nullopt);
  }
}

}  // namespace
}  // namespace syncline

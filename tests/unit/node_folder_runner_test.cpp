// What outlives the eyes of a folder: tasks under way, and the folder itself for the index's last group.
#include "node/folder_runner.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <future>
#include <new>

#include "protocol/content_hash.h"

namespace syncline {
namespace {

class FolderRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = std::filesystem::temp_directory_path() / "syncline-runner-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    path_ = path;
    const auto fs = open_file_system(path_);
    ASSERT_TRUE(fs);
    ASSERT_TRUE(Folder::create_marker(**fs, {}));
    prepare(**fs);
    std::memset(place_, 0, sizeof place_);
    FolderRunner::Options options;
    options.path = path_;
    options.key = &key_;
    options.looks_as_of = [] { return std::uint64_t{0}; };
    options.recovering = [] { return false; };
    options.slot = slot_;
    runner_ = new (place_) FolderRunner(std::move(options), loop_, executor_, *index_, *kv_, [this](Event e) {
      if (told_) told_(std::move(e));
    });
    runner_->start();
  }
  virtual void prepare(FileSystem&) {}  // what an earlier run left
  void TearDown() override { std::filesystem::remove_all(path_); }
  // Nothing of it is there any more.
  void destroy() {
    runner_->~FolderRunner();
    std::memset(place_, 0xff, sizeof place_);
  }

  std::string path_;
  const HashKey key_{Key32{}};
  std::unique_ptr<Kv> kv_ = make_memory_kv();
  std::unique_ptr<Index> index_ = *Index::open(*kv_);
  std::shared_ptr<FolderSlot> slot_ = std::make_shared<FolderSlot>();
  Loop loop_;
  Executor executor_{2};
  FolderRunner* runner_ = nullptr;
  std::function<void(Event)> told_;
  alignas(FolderRunner) unsigned char place_[sizeof(FolderRunner)];
};

TEST_F(FolderRunnerTest, a_look_may_outlive_it) {
  std::promise<void> go, done;
  executor_.run("a", false, [&] { go.get_future().wait(); });
  runner_->look("a", false);
  executor_.run("a", false, [&] { done.set_value(); });
  destroy();
  go.set_value();
  done.get_future().wait();
}

TEST_F(FolderRunnerTest, no_alarm_outlives_it) {
  destroy();
  loop_.alarm([this] { loop_.stop(); }).set(Clock::now() + std::chrono::milliseconds(1200));  // longer than its shortest period
  loop_.run();
}

TEST_F(FolderRunnerTest, a_paused_folder_is_closed_when_its_jobs_have_ended) {
  auto job = runner_->open();
  ASSERT_TRUE(job);
  runner_->pause();
  EXPECT_FALSE(runner_->open()) << "none begins";
  loop_.alarm([&] {
    EXPECT_FALSE(runner_->closed());
    job.reset();
  }).set(Clock::now() + std::chrono::milliseconds(200));
  loop_.before_wait([this] {
    if (runner_->closed()) loop_.stop();
  });
  loop_.run();
  EXPECT_TRUE(runner_->paused());
  runner_->resume(false);
  EXPECT_TRUE(runner_->open());
  EXPECT_TRUE(runner_->paused()) << "until it has been scanned";
  destroy();
}

// More than one slice of a scan: what is told before the last one is told of a folder that still counts as stopped.
TEST_F(FolderRunnerTest, all_that_came_while_it_was_paused_is_told_after_the_pause) {
  constexpr std::size_t kFiles = 5000;
  std::set<std::string> heard;
  bool stopped = false, over = false;
  told_ = [&](Event e) {
    if (const auto* s = std::get_if<FolderStopped>(&e)) stopped = !s->reason.empty();
    if (const auto* o = std::get_if<Observed>(&e); o && !stopped) heard.insert(o->observation.path);
    if (std::get_if<ScanFinished>(&e)) over = true;
  };
  loop_.before_wait([&] {
    if (runner_->closed()) loop_.stop();
  });
  runner_->pause();
  loop_.run();
  const auto fs = *open_file_system(path_);
  for (std::size_t i = 0; i < kFiles; ++i) ASSERT_TRUE(fs->open_write("f" + std::to_string(i)));
  loop_.before_wait([&] {
    if (over) loop_.stop();
  });
  runner_->resume(false);
  loop_.run();
  heard.erase(std::string(kRootPath));
  EXPECT_EQ(heard.size(), kFiles);
  destroy();
}

TEST_F(FolderRunnerTest, the_folder_can_be_made_durable_after_it) {
  destroy();
  const auto folder = slot_->get();
  ASSERT_TRUE(folder);
  EXPECT_TRUE(folder->folder->sync());
}

// Bytes that an earlier run kept, and a file that should have the same.
class KeptBytesTest : public FolderRunnerTest {
 protected:
  void prepare(FileSystem& fs) override {
    const auto folder = *Folder::open(fs, key_, {});
    hash_ = key_.hash(bytes_);
    ASSERT_TRUE(folder->stage_write(hash_, 0, bytes_) && folder->stage_finish(hash_, bytes_.size()) && folder->stage_to_version(hash_));
    auto file = *fs.open_write("file");
    ASSERT_TRUE(file->write_at(0, bytes_) && file->set_attributes(0644, 1'000'000'000));
    PathEntry entry;
    entry.disk = OnDisk{{{.kind = Kind::file, .hash = hash_, .size = bytes_.size(), .mode = 0644, .mtime_ns = 1'000'000'000}, file->stat()->print},
                        Dot{{}, 1}, {}, {}};
    index_->put(1, "file", entry);
    ASSERT_TRUE(index_->commit());
    ASSERT_TRUE(!torn() || file->write_at(0, "another"));
  }
  virtual bool torn() const { return false; }
  bool are_kept() { return slot_->get()->folder->has_version(hash_); }

  const Bytes bytes_ = "content";
  Hash128 hash_;
};

TEST_F(KeptBytesTest, go_when_the_tree_has_them) {
  EXPECT_FALSE(are_kept());
  destroy();
}

class TornKeptBytesTest : public KeptBytesTest {
  bool torn() const override { return true; }
};

TEST_F(TornKeptBytesTest, stay_when_the_file_is_not_what_the_index_says) {
  EXPECT_TRUE(are_kept());
  destroy();
}

}  // namespace
}  // namespace syncline

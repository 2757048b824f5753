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
    std::memset(place_, 0, sizeof place_);
    FolderRunner::Options options;
    options.path = path_;
    options.key = &key_;
    options.looks_as_of = [] { return std::uint64_t{0}; };
    options.recovering = [] { return false; };
    options.slot = slot_;
    runner_ = new (place_) FolderRunner(std::move(options), loop_, executor_, *index_, *kv_, [](Event) {});
    runner_->start();
  }
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

TEST_F(FolderRunnerTest, the_folder_can_be_made_durable_after_it) {
  destroy();
  const auto folder = slot_->get();
  ASSERT_TRUE(folder);
  EXPECT_TRUE(folder->folder->sync());
}

}  // namespace
}  // namespace syncline

#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <stdlib.h>

#include <fmt/format.h>

#include "protocol/limits.h"
#include "storage/kv.h"

// What the tests of the Kv share.
namespace syncline::kv_test {

namespace fs = std::filesystem;
using Model = std::map<Bytes, Bytes>;

class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = (fs::temp_directory_path() / "syncline-kv-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDirectory() { fs::remove_all(path_); }
  std::string operator/(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

inline KvOptions options_for(const std::string& directory) {
  KvOptions options;
  options.directory = directory;
  options.map_bytes = std::uint64_t{1} << 30;
  options.group_ms_max = 5;
  options.boot_id = "boot-1";
  return options;
}

inline std::unique_ptr<Kv> must_open(KvOptions options) {
  auto kv = open_lmdb_kv(std::move(options));
  EXPECT_TRUE(kv) << kv.error().message;
  return kv ? std::move(*kv) : nullptr;
}

inline Model all_of(Kv& kv) {
  const KvItems items = kv.range("", "", SIZE_MAX);
  EXPECT_TRUE(std::is_sorted(items.begin(), items.end()));
  return {items.begin(), items.end()};
}

inline void apply_to(Model& model, const KvBatch& batch) {
  for (const auto& [key, value] : batch) {
    if (value) {
      model[key] = *value;
    } else {
      model.erase(key);
    }
  }
}

inline Status no_sync() { return fail(Error::Code::full, "the test's disk is full"); }

// What leaves everything in the log: no group commit ever succeeds.
inline KvOptions log_only(const std::string& directory) {
  KvOptions options = options_for(directory);
  options.sync_files = no_sync;
  return options;
}

inline std::vector<std::string> log_files(const std::string& directory) {
  std::vector<std::string> out;
  for (const auto& item : fs::directory_iterator(directory)) {
    if (item.path().filename().string().starts_with("wal-")) out.push_back(item.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

inline Bytes read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_whole(const std::string& path, BytesView data) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(data.data(), static_cast<std::streamsize>(data.size()));
}

// Leaves five batches in one log file and gives their states.
inline std::vector<Model> five_in_the_log(const std::string& directory) {
  std::vector<Model> states{{}};
  auto kv = must_open(log_only(directory));
  for (int i = 1; i <= 5; ++i) {
    const KvBatch batch{
        {fmt::format("key{}", i), Bytes(5, 'v')}, {"last", fmt::format("{}", i)}, {"key1", std::nullopt}};
    EXPECT_TRUE(kv->apply(batch));
    states.push_back(states.back());
    apply_to(states.back(), batch);
  }
  return states;
}

}  // namespace syncline::kv_test

#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/file_system_memory.h"
#include "storage/folder.h"

namespace syncline::testing {

// A machine with a synced folder, an application on it, and a disk that is real or in memory.
class World {
 public:
  virtual ~World() = default;
  virtual FileSystem& fs() = 0;
  virtual std::string where() const { return {}; }                              // on the real disk
  virtual void write(const std::string& path, const std::string& bytes) = 0;    // in place
  virtual void replace(const std::string& path, const std::string& bytes) = 0;  // renamed over
  virtual void make_directory(const std::string& path) = 0;
  virtual void symlink(const std::string& path, const std::string& target) = 0;
  virtual void link(const std::string& from, const std::string& to) = 0;
  virtual void remove(const std::string& path) = 0;
  virtual void chmod(const std::string& path, std::uint32_t mode) = 0;
  virtual std::optional<std::string> read(const std::string& path) = 0;
  virtual std::vector<std::string> paths() = 0;  // all but those below .syncline, sorted
  virtual std::unique_ptr<MemoryFileSystem::Writer> open_writer(const std::string& path) = 0;
  // Returns once stamps of what was done so far cannot be confused with later ones.
  virtual void let_stamps_age() = 0;
};

enum class Disk { real, memory, memory_without_exchange, memory_without_leases };
std::unique_ptr<World> make_world(Disk disk);
std::string disk_name(const ::testing::TestParamInfo<Disk>& info);

// The world with its Folder, and what tests ask of it again and again.
struct Bench {
  explicit Bench(Disk disk) : Bench(make_world(disk)) {}
  explicit Bench(std::unique_ptr<World> w);
  void reopen();  // as a restarted node

  Content file(const std::string& bytes, std::uint32_t mode = 0644,
               std::int64_t mtime_ns = 1'600'000'000'123'456'789) const;
  DiskState known(const std::string& path);  // as observed after its stamps have aged
  ApplyResult put(const std::string& path, const std::string& bytes, const DiskState& expect = {},
                  bool keep = false);
  ApplyResult put(const std::string& path, const Content& content, const DiskState& expect = {});
  std::string version(const Hash128& hash);
  std::vector<std::string> staging();  // but for notes, which go by themselves

  std::unique_ptr<World> world;
  HashKey key;
  Folder::Identity identity;
  std::unique_ptr<Folder> folder;
};

inline Content directory(std::uint32_t mode = 0755) {
  Content content;
  content.kind = Kind::directory;
  content.mode = mode;
  content.mtime_ns = 1'500'000'000'000'000'000;
  return content;
}
inline Content symlink(const std::string& target) {
  Content content;
  content.kind = Kind::symlink;
  content.target = target;
  content.mtime_ns = 1'500'000'000'000'000'000;
  return content;
}

void PrintTo(ApplyResult::Outcome outcome, std::ostream* out);

}  // namespace syncline::testing

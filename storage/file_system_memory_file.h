#pragma once
#include "storage/file_system_memory_state.h"

namespace syncline {

// An open file of a MemoryFileSystem.
class MemoryFile : public File {
 public:
  // The mutex of `state` is held.
  MemoryFile(std::shared_ptr<MemoryFileSystem::State> state, MemoryTree::Id id, std::string path,
             bool writing);
  ~MemoryFile() override;

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override;
  Status write_at(std::uint64_t offset, BytesView data) override;
  Status truncate(std::uint64_t size) override;
  Result<FileStat> stat() override;
  std::optional<bool> open_for_writing() override;
  std::optional<bool> guard() override;
  bool guard_broken() override;
  void unguard() override;
  Status set_attributes(std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns) override;
  Status set_owner(std::uint32_t uid, std::uint32_t gid) override;
  Status sync() override;
  Status set_mark(BytesView mark) override;
  std::optional<Bytes> mark() override;

 private:
  Status enter(std::string_view operation);

  std::shared_ptr<MemoryFileSystem::State> state_;
  MemoryTree::Id id_;
  std::string path_;
  bool guarding_ = false;
};

}  // namespace syncline

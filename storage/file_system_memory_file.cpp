#include <algorithm>
#include <cstring>

#include "storage/file_system_memory_file.h"

namespace syncline {

MemoryFile::MemoryFile(std::shared_ptr<MemoryFileSystem::State> state, MemoryTree::Id id, std::string path,
                       bool writing)
    : state_(std::move(state)), id_(id), path_(std::move(path)) {
  state_->open_file(this, id_, writing);
}

MemoryFile::~MemoryFile() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->files.contains(this)) return;  // closed by the end of its process
  if (guarding_) state_->release_guard(id_);
  state_->close_file(this);
}

Status MemoryFile::enter(std::string_view operation) {
  auto entered = state_->enter(operation, path_);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  if (!state_->files.contains(this)) return fail(Error::Code::io, "a file of an earlier process");
  return {};
}

Result<std::size_t> MemoryFile::read_at(std::uint64_t offset, std::span<char> into) {
  auto entered = enter("read_at");
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  const std::string& bytes = *state_->live.find(id_)->bytes;
  if (offset >= bytes.size()) return std::size_t{0};
  const std::size_t size = std::min<std::size_t>(into.size(), bytes.size() - offset);
  std::memcpy(into.data(), bytes.data() + offset, size);
  return size;
}

Status MemoryFile::write_at(std::uint64_t offset, BytesView data) {
  auto entered = enter("write_at");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto grown = state_->grow(id_, offset + data.size(), path_);
  if (!grown) return grown;
  state_->commit(id_, [id = id_, offset, bytes = std::string(data), now = state_->stamp()](MemoryTree& tree) {
    tree.write(id, offset, bytes, now);
  });
  return {};
}

Status MemoryFile::truncate(std::uint64_t size) {
  auto entered = enter("truncate");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto grown = state_->grow(id_, size, path_);
  if (!grown) return grown;
  state_->commit(0,
                 [id = id_, size, now = state_->stamp()](MemoryTree& tree) { tree.truncate(id, size, now); });
  return {};
}

Result<FileStat> MemoryFile::stat() {
  auto entered = enter("fstat");
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  return state_->live.find(id_)->stat;
}

std::optional<bool> MemoryFile::open_for_writing() {
  if (!enter("open_for_writing")) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  if (!state_->can_lease) return std::nullopt;
  return state_->writers.contains(id_);
}

std::optional<bool> MemoryFile::guard() {
  if (!enter("guard")) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  if (!state_->can_lease) return std::nullopt;
  if (state_->writers.contains(id_)) return true;
  if (!guarding_) ++state_->guards[id_].holders;
  guarding_ = true;
  return false;
}

bool MemoryFile::guard_broken() {
  if (!enter("guard_broken")) return false;
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->guards.find(id_);
  return found != state_->guards.end() && found->second.broken;
}

void MemoryFile::unguard() {
  if (!enter("unguard")) return;
  const std::lock_guard lock(state_->mutex);
  if (guarding_) state_->release_guard(id_);
  guarding_ = false;
}

Status MemoryFile::set_attributes(std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns) {
  auto entered = enter("set_attributes");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  state_->commit(0, [id = id_, mode, mtime_ns, now = state_->stamp()](MemoryTree& tree) {
    tree.set_attributes(id, mode, mtime_ns, now);
  });
  return {};
}

Status MemoryFile::set_owner(std::uint32_t uid, std::uint32_t gid) {
  auto entered = enter("set_owner");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  state_->commit(0, [id = id_, uid, gid, now = state_->stamp()](MemoryTree& tree) {
    tree.set_owner(id, uid, gid, now);
  });
  return {};
}

Status MemoryFile::sync() {
  auto entered = enter("sync");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  state_->settle(id_);
  return {};
}

Status MemoryFile::set_mark(BytesView mark) {
  auto entered = enter("set_mark");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  if (!state_->can_mark) return fail(Error::Code::unsupported, "this file system keeps no marks");
  state_->commit(0, [id = id_, bytes = Bytes(mark), now = state_->stamp()](MemoryTree& tree) { tree.set_mark(id, bytes, now); });
  return {};
}

std::optional<Bytes> MemoryFile::mark() {
  if (!enter("mark")) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  return state_->live.find(id_)->mark;
}

}  // namespace syncline

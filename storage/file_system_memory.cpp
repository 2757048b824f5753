#include "storage/file_system_memory.h"

#include "protocol/limits.h"
#include "storage/file_system_memory_file.h"

namespace syncline {

MemoryFileSystem::MemoryFileSystem(ClockNs clock_ns) : state_(std::make_shared<State>(std::move(clock_ns))) {}
MemoryFileSystem::MemoryFileSystem(std::shared_ptr<State> state) : state_(std::move(state)) {}
MemoryFileSystem::~MemoryFileSystem() = default;

Result<FileStat> MemoryFileSystem::stat(std::string_view path) {
  auto entered = state_->enter("stat", path);
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  return state_->occupied(path).map(
      [this](const State::Spot& at) { return state_->live.find(*at.id)->stat; });
}

Result<std::vector<DirectoryItem>> MemoryFileSystem::list(std::string_view directory) {
  auto entered = state_->enter("list", directory);
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(directory);
  if (!at) return tl::unexpected(at.error());
  const auto* inode = state_->live.find(*at->id);
  if (inode->stat.type != FileType::directory) {
    return fail(Error::Code::not_found, fmt::format("cannot list '{}': Not a directory", directory));
  }
  std::vector<DirectoryItem> items;
  for (const auto& [name, id] : inode->children) items.push_back({name, state_->live.find(id)->stat.type});
  return items;
}

Result<std::string> MemoryFileSystem::read_link(std::string_view path) {
  auto entered = state_->enter("read_link", path);
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  const auto* inode = state_->live.find(*at->id);
  if (inode->stat.type == FileType::symlink) return inode->target;
  return fail(Error::Code::unsupported, fmt::format("cannot read the link '{}': Invalid argument", path));
}

Result<std::unique_ptr<File>> MemoryFileSystem::open(std::string_view path) {
  auto entered = state_->enter("open", path);
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  if (state_->live.find(*at->id)->stat.type == FileType::symlink) {
    return fail(Error::Code::not_found,
                fmt::format("cannot open '{}': Too many levels of symbolic links", path));
  }
  return std::make_unique<MemoryFile>(state_, *at->id, std::string(path), false);
}

Result<std::unique_ptr<File>> MemoryFileSystem::open_write(std::string_view path) {
  auto entered = state_->enter("open_write", path);
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  auto at = state_->spot(path);
  if (!at) return tl::unexpected(at.error());
  if (!at->id) at->id = state_->make(*at, FileType::file, 0600, "");
  const FileType type = state_->live.find(*at->id)->stat.type;
  if (type != FileType::file) {
    return fail(type == FileType::symlink ? Error::Code::not_found : Error::Code::exists,
                fmt::format("cannot write '{}': not a file", path));
  }
  return std::make_unique<MemoryFile>(state_, *at->id, std::string(path), true);
}

Status MemoryFileSystem::make_directory(std::string_view path, std::uint32_t mode) {
  auto entered = state_->enter("make_directory", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->vacant(path);
  if (!at) return tl::unexpected(at.error());
  state_->make(*at, FileType::directory, mode & ~022u, "");  // the usual umask
  return {};
}

Status MemoryFileSystem::make_symlink(std::string_view path, std::string_view target) {
  auto entered = state_->enter("make_symlink", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->vacant(path);
  if (!at) return tl::unexpected(at.error());
  state_->make(*at, FileType::symlink, 0777, std::string(target));
  return {};
}

Status MemoryFileSystem::rename_new(std::string_view from, std::string_view to) {
  auto entered = state_->enter("rename_new", from, to);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto source = state_->occupied(from);
  if (!source) return tl::unexpected(source.error());
  auto target = state_->vacant(to);
  if (!target) return tl::unexpected(target.error());
  state_->move(*source, *target);
  return {};
}

Status MemoryFileSystem::replace(std::string_view from, std::string_view to) {
  auto entered = state_->enter("replace", from, to);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto source = state_->occupied(from);
  if (!source) return tl::unexpected(source.error());
  auto target = state_->spot(to);
  if (!target) return tl::unexpected(target.error());
  if (target->id == source->id) return {};  // two names of one file: POSIX says that nothing happens
  if (target->id) {
    const bool from_directory = state_->live.find(*source->id)->stat.type == FileType::directory;
    const auto* old = state_->live.find(*target->id);
    const bool to_directory = old->stat.type == FileType::directory;
    if (from_directory && !to_directory)
      return fail(Error::Code::not_found, fmt::format("'{}': Not a directory", to));
    if (to_directory && (!from_directory || !old->children.empty())) {
      return fail(Error::Code::exists, fmt::format("'{}': Is a directory, or not empty", to));
    }
  }
  state_->move(*source, *target);
  return {};
}

Status MemoryFileSystem::exchange(std::string_view a, std::string_view b) {
  auto entered = state_->enter("exchange", a, b);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  if (!state_->can_exchange)
    return fail(Error::Code::unsupported, "this file system cannot exchange two names");
  auto first = state_->occupied(a);
  if (!first) return tl::unexpected(first.error());
  auto second = state_->occupied(b);
  if (!second) return tl::unexpected(second.error());
  state_->commit(0, [first = *first, second = *second, now = state_->stamp()](MemoryTree& tree) {
    tree.exchange(first.directory, first.name, second.directory, second.name, now);
  });
  return {};
}

Status MemoryFileSystem::link(std::string_view from, std::string_view to) {
  auto entered = state_->enter("link", from, to);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto source = state_->occupied(from);
  if (!source) return tl::unexpected(source.error());
  auto target = state_->vacant(to);
  if (!target) return tl::unexpected(target.error());
  if (state_->live.find(*source->id)->stat.type == FileType::directory) {
    return fail(Error::Code::unsupported, fmt::format("cannot link '{}': a directory has one name", from));
  }
  state_->commit(0, [at = *target, id = *source->id, now = state_->stamp()](MemoryTree& tree) {
    tree.name(at.directory, at.name, id, now);
  });
  return {};
}

Status MemoryFileSystem::remove_file(std::string_view path) {
  auto entered = state_->enter("remove_file", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  if (state_->live.find(*at->id)->stat.type == FileType::directory) {
    return fail(Error::Code::exists, fmt::format("cannot remove '{}': Is a directory", path));
  }
  state_->commit(
      0, [at = *at, now = state_->stamp()](MemoryTree& tree) { tree.unname(at.directory, at.name, now); });
  return {};
}

Status MemoryFileSystem::remove_directory(std::string_view path) {
  auto entered = state_->enter("remove_directory", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  const auto* inode = state_->live.find(*at->id);
  if (inode->stat.type != FileType::directory) {
    return fail(Error::Code::not_found,
                fmt::format("cannot remove the directory '{}': Not a directory", path));
  }
  if (!inode->children.empty()) {
    return fail(Error::Code::exists,
                fmt::format("cannot remove the directory '{}': Directory not empty", path));
  }
  state_->commit(
      0, [at = *at, now = state_->stamp()](MemoryTree& tree) { tree.unname(at.directory, at.name, now); });
  return {};
}

Status MemoryFileSystem::set_attributes(std::string_view path, std::optional<std::uint32_t> mode,
                                        std::optional<std::int64_t> mtime_ns) {
  auto entered = state_->enter("set_attributes", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  state_->commit(0, [id = *at->id, mode, mtime_ns, now = state_->stamp()](MemoryTree& tree) {
    tree.set_attributes(id, mode, mtime_ns, now);
  });
  return {};
}

Status MemoryFileSystem::set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
  auto entered = state_->enter("set_owner", path);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto at = state_->occupied(path);
  if (!at) return tl::unexpected(at.error());
  state_->commit(0, [id = *at->id, uid, gid, now = state_->stamp()](MemoryTree& tree) {
    tree.set_owner(id, uid, gid, now);
  });
  return {};
}

Status MemoryFileSystem::clone(std::string_view from, std::string_view to) {
  auto entered = state_->enter("clone", from, to);
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  auto source = state_->occupied(from);
  if (!source) return tl::unexpected(source.error());
  auto target = state_->vacant(to);
  if (!target) return tl::unexpected(target.error());
  if (state_->live.find(*source->id)->stat.type != FileType::file) {
    return fail(Error::Code::unsupported, fmt::format("cannot copy '{}': not a file", from));
  }
  const std::string bytes = *state_->live.find(*source->id)->bytes;
  const State::Id id = state_->make(*target, FileType::file, 0600, "");
  if (auto grown = state_->grow(id, bytes.size(), to); !grown) {
    state_->commit(0, [at = *target, now = state_->stamp()](MemoryTree& tree) {
      tree.unname(at.directory, at.name, now);
    });
    return grown;
  }
  state_->commit(id, [id, bytes, now = state_->stamp()](MemoryTree& tree) { tree.write(id, 0, bytes, now); });
  return {};
}

Status MemoryFileSystem::sync_all() {
  auto entered = state_->enter("sync_all", "");
  if (!entered) return entered;
  const std::lock_guard lock(state_->mutex);
  state_->settle(0);
  return {};
}

Result<std::uint64_t> MemoryFileSystem::free_bytes() {
  auto entered = state_->enter("free_bytes", "");
  if (!entered) return tl::unexpected(entered.error());
  const std::lock_guard lock(state_->mutex);
  constexpr std::uint64_t endless = std::uint64_t{1} << 40;
  if (!state_->capacity) return endless;
  return *state_->capacity > state_->live.bytes() ? *state_->capacity - state_->live.bytes() : 0;
}

std::int64_t MemoryFileSystem::now_ns() { return state_->clock(); }

}  // namespace syncline

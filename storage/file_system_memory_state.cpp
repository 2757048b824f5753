#include "storage/file_system_memory_state.h"

#include "protocol/record.h"

namespace syncline {

namespace {
constexpr std::int64_t kTickNs = 4'000'000;  // stamps are as coarse as those of CONFIG_HZ=250
constexpr std::size_t kJournalChangesMax =
    1 << 16;  // then the oldest half is written back, as a kernel does in time
}  // namespace

MemoryFileSystem::State::State(ClockNs clock_ns) : clock(std::move(clock_ns)) {
  live.on_drop([this](std::uint64_t number) { free_numbers.push_back(number); });
}

Status MemoryFileSystem::State::enter(std::string_view operation, std::string_view path) {
  Access access{0, operation, std::string(path)};
  std::function<void(const Access&)> call;
  {
    const std::lock_guard lock(mutex);
    access.index = operations++;
    call = hook;
    if (logging) log.push_back(fmt::format("{} {}", operation, path));
  }
  if (call) call(access);
  const std::lock_guard lock(mutex);
  if (halt_at && access.index >= *halt_at) return fail(Error::Code::io, "halted");
  if (fail_at == access.index) return fail(Error::Code::io, fmt::format("cannot {} '{}': Input/output error", operation, path));
  if (!path.empty() && io_errors.contains(path)) {
    return fail(Error::Code::io, fmt::format("cannot {} '{}': Input/output error", operation, path));
  }
  return {};
}

Status MemoryFileSystem::State::enter(std::string_view operation, std::string_view from,
                                      std::string_view to) {
  auto entered = enter(operation, from);
  if (!entered) return entered;
  const std::lock_guard lock(mutex);
  if (io_errors.contains(to)) {
    return fail(Error::Code::io, fmt::format("cannot {} '{}': Input/output error", operation, to));
  }
  return {};
}

std::optional<MemoryTree::Id> MemoryFileSystem::State::find(std::string_view path) const {
  std::optional<Id> at = MemoryTree::kRoot;
  while (at && !path.empty()) {
    const std::size_t slash = path.find('/');
    at = live.child(*at, std::string(path.substr(0, slash)));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return at;
}

Result<MemoryFileSystem::State::Spot> MemoryFileSystem::State::spot(std::string_view path) const {
  if (path.empty()) return Spot{0, "", MemoryTree::kRoot};
  const std::string_view parent = parent_path(path);
  const auto directory = find(parent);
  const auto* inode = directory ? live.find(*directory) : nullptr;
  if (inode == nullptr || inode->stat.type != FileType::directory) {
    return fail(Error::Code::not_found,
                fmt::format("cannot open the directory of '{}': No such file or directory", path));
  }
  Spot out{*directory, std::string(parent.empty() ? path : path.substr(parent.size() + 1)), std::nullopt};
  out.id = live.child(out.directory, out.name);
  return out;
}

Result<MemoryFileSystem::State::Spot> MemoryFileSystem::State::occupied(std::string_view path) const {
  auto at = spot(path);
  if (at && !at->id)
    return fail(Error::Code::not_found, fmt::format("'{}': No such file or directory", path));
  return at;
}

Result<MemoryFileSystem::State::Spot> MemoryFileSystem::State::vacant(std::string_view path) const {
  auto at = spot(path);
  if (at && at->id) return fail(Error::Code::exists, fmt::format("'{}': File exists", path));
  return at;
}

MemoryTree::Id MemoryFileSystem::State::make(const Spot& at, FileType type, std::uint32_t mode,
                                             std::string target, std::uint32_t uid) {
  const Id id = next_id++;
  const std::int64_t now = stamp();
  FileStat stat;
  stat.type = type;
  stat.mode = mode;
  stat.uid = stat.gid = uid;
  stat.print = {next_number, 0, now, now};
  if (free_numbers.empty()) {
    ++next_number;
  } else {
    stat.print.inode = free_numbers.back();
    free_numbers.pop_back();
  }
  commit(0, [at, id, stat, now, target = std::move(target)](MemoryTree& tree) {
    tree.create(id, stat, target);
    tree.name(at.directory, at.name, id, now);
  });
  return id;
}

void MemoryFileSystem::State::move(const Spot& from, const Spot& to) {
  commit(0, [from, to, now = stamp()](MemoryTree& tree) {
    tree.pin(*from.id);  // between its two names
    tree.unname(from.directory, from.name, now);
    tree.name(to.directory, to.name, *from.id, now);
    tree.unpin(*from.id);
  });
}

void MemoryFileSystem::State::commit(Id data_of, std::function<void(MemoryTree&)> run) {
  run(live);
  journal.push_back({data_of, std::move(run)});
  if (journal.size() < kJournalChangesMax) return;
  const auto half = journal.begin() + kJournalChangesMax / 2;
  for (auto change = journal.begin(); change != half; ++change) change->run(durable);
  journal.erase(journal.begin(), half);
}

Status MemoryFileSystem::State::grow(Id id, std::uint64_t new_size, std::string_view path) {
  const std::uint64_t size = live.find(id)->bytes->size();
  if (!capacity || new_size <= size || live.bytes() + (new_size - size) <= *capacity) return {};
  return fail(Error::Code::full,
              fmt::format("cannot write '{}': No space left on device: free some space", path));
}

std::int64_t MemoryFileSystem::State::stamp() const {
  const std::int64_t now = clock();
  return now - now % kTickNs;
}

void MemoryFileSystem::State::settle(Id data_of) {
  std::vector<MemoryChange> rest;
  for (MemoryChange& change : journal) {
    if (data_of == 0 || change.data_of == 0 || change.data_of == data_of) {
      change.run(durable);
    } else {
      rest.push_back(std::move(change));
    }
  }
  journal = std::move(rest);
}

void MemoryFileSystem::State::write_begin(Id id) {
  ++writers[id];
  live.pin(id);
}

void MemoryFileSystem::State::write_end(Id id) {
  const auto found = writers.find(id);
  if (found == writers.end()) return;
  if (--found->second == 0) writers.erase(found);
  live.unpin(id);
}

void MemoryFileSystem::State::release_guard(Id id) {
  const auto found = guards.find(id);
  if (found == guards.end() || --found->second.holders > 0) return;
  const std::vector<std::function<void()>> waiting = std::move(found->second.waiting);
  guards.erase(found);
  for (const auto& action : waiting) action();
}

void MemoryFileSystem::State::when_unguarded(Id id, std::function<void()> action) {
  const auto found = guards.find(id);
  if (found == guards.end()) return action();
  found->second.broken = true;
  found->second.waiting.push_back(std::move(action));
}

void MemoryFileSystem::State::open_file(const void* file, Id id, bool writing) {
  files[file] = {id, writing};
  live.pin(id);
  if (writing) write_begin(id);
}

void MemoryFileSystem::State::close_file(const void* file) {
  const auto found = files.find(file);
  if (found == files.end()) return;
  const auto [id, writing] = found->second;
  files.erase(found);
  if (writing) write_end(id);
  live.unpin(id);
}

void MemoryFileSystem::State::close_all() {
  while (!files.empty()) close_file(files.begin()->first);
  while (!guards.empty()) {
    guards.begin()->second.holders = 1;
    release_guard(guards.begin()->first);
  }
}

}  // namespace syncline

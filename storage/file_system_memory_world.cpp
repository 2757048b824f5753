// What happens to a MemoryFileSystem from outside: faults, crashes, applications.
#include <algorithm>

#include "storage/file_system_memory_state.h"

namespace syncline {

MemoryFileSystem& MemoryFileSystem::space_left(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = state_->live.bytes() + bytes;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::io_error_on(std::string path) {
  const std::lock_guard lock(state_->mutex);
  state_->io_errors.insert(std::move(path));
  return *this;
}

MemoryFileSystem& MemoryFileSystem::without_exchange() {
  const std::lock_guard lock(state_->mutex);
  state_->can_exchange = false;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::without_leases() {
  const std::lock_guard lock(state_->mutex);
  state_->can_lease = false;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::without_marks() {
  const std::lock_guard lock(state_->mutex);
  state_->can_mark = false;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::owned_by(std::uint32_t uid) {
  const std::lock_guard lock(state_->mutex);
  state_->owner = uid;
  for (MemoryTree* tree : {&state_->live, &state_->durable}) tree->set_owner(MemoryTree::kRoot, uid, uid, state_->stamp());
  return *this;
}

bool MemoryFileSystem::can_set_owner() const {
  const std::lock_guard lock(state_->mutex);
  return state_->owner != 0;
}

MemoryFileSystem& MemoryFileSystem::heal() {
  const std::lock_guard lock(state_->mutex);
  state_->capacity.reset();
  state_->io_errors.clear();
  state_->fail_at.reset();
  state_->can_exchange = state_->can_lease = true;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::fail_at(std::uint64_t index) {
  const std::lock_guard lock(state_->mutex);
  state_->fail_at = index;
  return *this;
}

MemoryFileSystem& MemoryFileSystem::halt_at(std::uint64_t index) {
  const std::lock_guard lock(state_->mutex);
  state_->halt_at = index;
  return *this;
}

void MemoryFileSystem::before_each(std::function<void(const Access&)> hook) {
  const std::lock_guard lock(state_->mutex);
  state_->hook = std::move(hook);
}

std::uint64_t MemoryFileSystem::operations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->operations;
}

void MemoryFileSystem::log_accesses(bool on) {
  const std::lock_guard lock(state_->mutex);
  state_->logging = on;
}

std::vector<std::string> MemoryFileSystem::take_log() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->log, {});
}

void MemoryFileSystem::restart() {
  const std::lock_guard lock(state_->mutex);
  state_->close_all();
  state_->halt_at.reset();
}

void MemoryFileSystem::crash(const Random& random) {
  const std::lock_guard lock(state_->mutex);
  state_->close_all();
  ++state_->boots;
  state_->halt_at.reset();
  std::uint64_t names_kept = random() % (state_->journal.size() + 1);
  for (const MemoryChange& change : state_->journal) {
    const bool kept = change.data_of != 0 ? random() % 2 == 0 : names_kept > 0;
    if (names_kept > 0) --names_kept;
    if (kept) change.run(state_->durable);
  }
  state_->journal.clear();
  state_->writers.clear();
  state_->live = state_->durable;
  state_->free_numbers.clear();
  state_->live.on_drop(
      [state = state_.get()](std::uint64_t number) { state->free_numbers.push_back(number); });
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::copy(ClockNs clock_ns) {
  const std::lock_guard lock(state_->mutex);
  auto image = std::make_shared<State>(clock_ns ? std::move(clock_ns) : state_->clock);
  image->live = state_->live;
  image->live.on_drop([state = image.get()](std::uint64_t number) { state->free_numbers.push_back(number); });
  image->live.unpin_all();
  image->durable = image->live;
  image->next_id = state_->next_id;
  image->next_number = state_->next_number;
  image->can_mark = state_->can_mark;
  return std::unique_ptr<MemoryFileSystem>(new MemoryFileSystem(std::move(image)));
}

MemoryTree MemoryFileSystem::image() {
  const std::lock_guard lock(state_->mutex);
  MemoryTree image = state_->live;
  image.on_drop({});
  return image;
}

void MemoryFileSystem::become(const MemoryTree& image) {
  const std::lock_guard lock(state_->mutex);
  state_->close_all();
  ++state_->boots;
  state_->writers.clear();
  state_->journal.clear();
  state_->free_numbers.clear();
  state_->durable = image;
  state_->durable.on_drop({});
  state_->durable.unpin_all();
  state_->live = state_->durable;
  state_->live.on_drop(
      [state = state_.get()](std::uint64_t number) { state->free_numbers.push_back(number); });
}

// Between open and close it counts as a writer. What it writes while a guard holds it back waits in line.
class MemoryWriter : public MemoryFileSystem::Writer {
 public:
  MemoryWriter(std::shared_ptr<MemoryFileSystem::State> state, MemoryTree::Id id, bool truncate)
      : state_(std::move(state)), id_(id), boot_(state_->boots) {
    state_->live.pin(id_);
    state_->when_unguarded(id_, [state = state_, id, truncate] {
      state->write_begin(id);
      if (truncate)
        state->commit(0, [id, now = state->stamp()](MemoryTree& tree) { tree.truncate(id, 0, now); });
    });
  }
  ~MemoryWriter() override { close(); }

  void append(std::string bytes) override {
    const std::lock_guard lock(state_->mutex);
    if (boot_ != state_->boots) return;  // it died in the crash
    state_->when_unguarded(id_, [state = state_, id = id_, bytes = std::move(bytes)] {
      const std::uint64_t end = state->live.find(id)->bytes->size();
      state->commit(id, [id, bytes, at = end, now = state->stamp()](MemoryTree& tree) {
        tree.write(id, at, bytes, now);
      });
    });
  }

  void close() override {
    const std::lock_guard lock(state_->mutex);
    if (std::exchange(closed_, true) || boot_ != state_->boots) return;
    state_->when_unguarded(id_, [state = state_, id = id_] {
      state->write_end(id);
      state->live.unpin(id);
    });
  }

 private:
  std::shared_ptr<MemoryFileSystem::State> state_;
  MemoryTree::Id id_;
  std::uint64_t boot_;
  bool closed_ = false;
};

std::unique_ptr<MemoryFileSystem::Writer> MemoryFileSystem::app_open(std::string_view path, bool truncate) {
  const std::lock_guard lock(state_->mutex);
  auto at = state_->spot(path);
  if (!at) return nullptr;
  if (!at->id) at->id = state_->make(*at, FileType::file, 0644, "", state_->owner);
  if (state_->live.find(*at->id)->stat.type != FileType::file) return nullptr;
  return std::make_unique<MemoryWriter>(state_, *at->id, truncate);
}

void MemoryFileSystem::app_write(std::string_view path, std::string bytes) {
  if (const auto writer = app_open(path)) writer->append(std::move(bytes));
}

void MemoryFileSystem::app_replace(std::string_view path, std::string bytes) {
  const std::string temporary = std::string(path) + ".app-tmp";
  app_write(temporary, std::move(bytes));
  app_rename(temporary, path);
}

void MemoryFileSystem::app_remove(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->occupied(path);
  if (!at || !state_->live.find(*at->id)->children.empty()) return;
  state_->commit(
      0, [at = *at, now = state_->stamp()](MemoryTree& tree) { tree.unname(at.directory, at.name, now); });
}

void MemoryFileSystem::app_rename(std::string_view from, std::string_view to) {
  const std::lock_guard lock(state_->mutex);
  const auto source = state_->occupied(from);
  const auto target = state_->spot(to);
  if (source && target && source->id != target->id) state_->move(*source, *target);
}

void MemoryFileSystem::app_make_directory(std::string_view path, std::uint32_t mode) {
  const std::lock_guard lock(state_->mutex);
  if (const auto at = state_->vacant(path)) state_->make(*at, FileType::directory, mode, "", state_->owner);
}

void MemoryFileSystem::app_symlink(std::string_view path, std::string target) {
  const std::lock_guard lock(state_->mutex);
  if (const auto at = state_->vacant(path)) state_->make(*at, FileType::symlink, 0777, std::move(target), state_->owner);
}

void MemoryFileSystem::app_link(std::string_view from, std::string_view to) {
  const std::lock_guard lock(state_->mutex);
  const auto source = state_->occupied(from);
  const auto target = state_->vacant(to);
  if (!source || !target) return;
  state_->commit(0, [at = *target, id = *source->id, now = state_->stamp()](MemoryTree& tree) {
    tree.name(at.directory, at.name, id, now);
  });
}

void MemoryFileSystem::app_chmod(std::string_view path, std::uint32_t mode) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  if (!id) return;
  state_->commit(0, [id = *id, mode, now = state_->stamp()](MemoryTree& tree) {
    tree.set_attributes(id, mode, std::nullopt, now);
  });
}

void MemoryFileSystem::app_set_mtime(std::string_view path, std::int64_t mtime_ns) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  if (!id) return;
  state_->commit(0, [id = *id, mtime_ns, now = state_->stamp()](MemoryTree& tree) {
    tree.set_attributes(id, std::nullopt, mtime_ns, now);
  });
}

void MemoryFileSystem::rot(std::string_view path, std::uint64_t offset) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  if (id) state_->commit(*id, [id = *id, offset](MemoryTree& tree) { tree.flip(id, offset); });
}

std::optional<std::string> MemoryFileSystem::app_read(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  if (!id || state_->live.find(*id)->stat.type != FileType::file) return std::nullopt;
  return *state_->live.find(*id)->bytes;
}

std::shared_ptr<const std::string> MemoryFileSystem::app_bytes(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  const MemoryTree::Inode* inode = id ? state_->live.find(*id) : nullptr;
  return inode != nullptr && inode->stat.type == FileType::file ? inode->bytes : nullptr;
}

std::optional<FileStat> MemoryFileSystem::app_stat(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  return id ? std::optional(state_->live.find(*id)->stat) : std::nullopt;
}

std::string MemoryFileSystem::app_read_link(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  const auto id = state_->find(path);
  return id ? state_->live.find(*id)->target : std::string();
}

std::vector<DirectoryItem> MemoryFileSystem::app_list(std::string_view directory) {
  const std::lock_guard lock(state_->mutex);
  std::vector<DirectoryItem> items;
  const auto id = state_->find(directory);
  if (!id) return items;
  for (const auto& [name, child] : state_->live.find(*id)->children)
    items.push_back({name, state_->live.find(child)->stat.type});
  return items;
}

std::vector<std::string> MemoryFileSystem::app_paths() {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::string> found;
  std::vector<std::pair<std::string, MemoryTree::Id>> open{{"", MemoryTree::kRoot}};
  while (!open.empty()) {
    const auto [path, id] = open.back();
    open.pop_back();
    if (!path.empty()) found.push_back(path);
    for (const auto& [name, child] : state_->live.find(id)->children) {
      open.emplace_back(path.empty() ? name : path + '/' + name, child);
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace syncline

#include "tests/crash/disk_recorder.h"

#include <fmt/format.h>

#include "protocol/record.h"

namespace syncline::crash {

// An open file: what is written to it goes on record.
class RecordedFile : public File {
 public:
  RecordedFile(DiskRecorder& recorder, std::unique_ptr<File> file, MemoryTree::Id id, std::string path)
      : recorder_(recorder), file_(std::move(file)), id_(id), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override { return file_->read_at(offset, into); }
  Status write_at(std::uint64_t offset, BytesView data) override {
    auto done = file_->write_at(offset, data);
    if (done)
      recorder_.data(fmt::format("write {} at {} of {}", data.size(), offset, path_), id_, offset, std::string(data));
    return done;
  }
  Status truncate(std::uint64_t size) override {
    auto done = file_->truncate(size);
    if (done) {
      recorder_.names(fmt::format("truncate {} to {}", path_, size), {inode_chain(id_)},
                      [id = id_, size, now = recorder_.now_ns()](MemoryTree& t) { t.truncate(id, size, now); });
    }
    return done;
  }
  Result<FileStat> stat() override { return file_->stat(); }
  std::optional<bool> open_for_writing() override { return file_->open_for_writing(); }
  std::optional<bool> guard() override { return file_->guard(); }
  bool guard_broken() override { return file_->guard_broken(); }
  void unguard() override { file_->unguard(); }
  Status set_attributes(std::optional<std::uint32_t> mode, std::optional<std::int64_t> mtime_ns) override {
    auto done = file_->set_attributes(mode, mtime_ns);
    if (done) {
      recorder_.names("attributes of " + path_, {inode_chain(id_)}, [id = id_, mode, mtime_ns, now = recorder_.now_ns()](
                                                                        MemoryTree& t) { t.set_attributes(id, mode, mtime_ns, now); });
    }
    return done;
  }
  Status set_owner(std::uint32_t uid, std::uint32_t gid) override {
    auto done = file_->set_owner(uid, gid);
    if (done) {
      recorder_.names("owner of " + path_, {inode_chain(id_)},
                      [id = id_, uid, gid, now = recorder_.now_ns()](MemoryTree& t) { t.set_owner(id, uid, gid, now); });
    }
    return done;
  }
  Status sync() override {
    auto done = file_->sync();
    if (done) {
      Operation barrier;
      barrier.what = "sync " + path_;
      barrier.file = id_;
      barrier.chains = {inode_chain(id_)};
      recorder_.sync(std::move(barrier));
    }
    return done;
  }

 private:
  DiskRecorder& recorder_;
  std::unique_ptr<File> file_;
  MemoryTree::Id id_;
  std::string path_;
};

DiskRecorder::DiskRecorder(MemoryFileSystem& disk) : disk_(disk), before_(disk.image()), live_(before_) {}

DiskRecorder::Spot DiskRecorder::find(std::string_view path) const {
  Spot spot;
  spot.id = MemoryTree::kRoot;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    spot.directory = spot.id;
    spot.name = path.substr(0, slash);
    spot.id = live_.child(spot.directory, spot.name).value_or(0);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return spot;
}

std::size_t DiskRecorder::note(std::string what) {
  Operation operation;
  operation.what = std::move(what);
  operations_.push_back(std::move(operation));
  changes_.emplace_back();
  return operations_.size() - 1;
}

void DiskRecorder::names(std::string what, std::vector<ChainId> chains, Change change) {
  change(live_);
  note(std::move(what));
  operations_.back().kind = Operation::Kind::names;
  operations_.back().chains = std::move(chains);
  changes_.back() = std::move(change);
}

void DiskRecorder::data(std::string what, Id file, std::uint64_t offset, std::string bytes) {
  live_.write(file, offset, bytes, now_ns());
  const std::size_t n = note(std::move(what));
  Operation& operation = operations_.back();
  operation.kind = Operation::Kind::data;
  operation.file = file;
  operation.offset = offset;
  operation.size = bytes.size();
  changes_.back() = [file, offset, size = bytes.size(), now = now_ns()](MemoryTree& tree) {  // of its size and times alone
    const auto* inode = tree.find(file);
    if (inode != nullptr) tree.truncate(file, std::max<std::uint64_t>(inode->bytes->size(), offset + size), now);
  };
  written_[n] = std::move(bytes);
}

void DiskRecorder::sync(Operation barrier) {
  if (forget_syncs_) return;
  barrier.kind = Operation::Kind::sync;
  note("");
  operations_.back() = std::move(barrier);
}

MemoryTree DiskRecorder::after(const CrashState& state) const {
  MemoryTree tree = before_;
  for (std::size_t i = 0; i < state.instant; ++i) {
    const Operation& operation = operations_[i];
    const Fate& fate = state.fates[i];
    if (!changes_[i] || fate.kind == Fate::Kind::lost) continue;
    if (operation.kind == Operation::Kind::names || fate.kind != Fate::Kind::head) changes_[i](tree);
    if (operation.kind == Operation::Kind::names) continue;
    const auto* inode = tree.find(operation.file);
    const std::int64_t now = inode == nullptr ? 0 : inode->stat.print.mtime_ns;
    for (const auto& [at, size] : kept_parts(operation, fate))
      tree.write(operation.file, operation.offset + at, written_.at(i).substr(at, size), now);
  }
  return tree;
}

void DiskRecorder::created(std::string what, std::string_view path, std::string target) {
  const auto stat = disk_.stat(path);
  const Spot at = find(path);
  const Id id = next_id_++;
  names(std::move(what), {directory_chain(at.directory), inode_chain(id), directory_chain(id)},
        [at, id, stat = *stat, now = now_ns(), target = std::move(target)](MemoryTree& tree) {
          if (tree.find(at.directory) == nullptr) return;
          tree.create(id, stat, target);
          tree.name(at.directory, at.name, id, now);
        });
}

void DiskRecorder::moved(std::string what, std::string_view from, std::string_view to) {
  const Spot source = find(from), target = find(to);
  // A directory that is moved has another "..": what comes after in it comes after the move.
  names(std::move(what), {directory_chain(source.directory), directory_chain(target.directory), directory_chain(source.id)},
        [source, target, now = now_ns()](MemoryTree& tree) {
          if (tree.child(source.directory, source.name) != source.id) return;
          tree.pin(source.id);  // between its two names
          tree.unname(source.directory, source.name, now);
          tree.name(target.directory, target.name, source.id, now);
          tree.unpin(source.id);
        });
}

void DiskRecorder::removed(std::string what, std::string_view path) {
  const Spot at = find(path);
  names(std::move(what), {directory_chain(at.directory)},
        [at, now = now_ns()](MemoryTree& tree) { tree.unname(at.directory, at.name, now); });
}

Result<std::unique_ptr<File>> DiskRecorder::open(std::string_view path) {
  auto file = disk_.open(path);
  if (!file) return file;
  return std::make_unique<RecordedFile>(*this, *std::move(file), find(path).id, std::string(path));
}

Result<std::unique_ptr<File>> DiskRecorder::open_write(std::string_view path) {
  auto file = disk_.open_write(path);
  if (!file) return file;
  if (find(path).id == 0) created(fmt::format("create {}", path), path, "");
  return std::make_unique<RecordedFile>(*this, *std::move(file), find(path).id, std::string(path));
}

Status DiskRecorder::make_directory(std::string_view path, std::uint32_t mode) {
  auto done = disk_.make_directory(path, mode);
  if (done) created(fmt::format("make the directory {}", path), path, "");
  return done;
}

Status DiskRecorder::make_symlink(std::string_view path, std::string_view target) {
  auto done = disk_.make_symlink(path, target);
  if (done) created(fmt::format("make the link {}", path), path, std::string(target));
  return done;
}

Status DiskRecorder::rename_new(std::string_view from, std::string_view to) {
  auto done = disk_.rename_new(from, to);
  if (done) moved(fmt::format("rename {} to new {}", from, to), from, to);
  return done;
}

Status DiskRecorder::exchange(std::string_view a, std::string_view b) {
  auto done = disk_.exchange(a, b);
  if (!done) return done;
  const Spot first = find(a), second = find(b);
  names(fmt::format("exchange {} and {}", a, b),
        {directory_chain(first.directory), directory_chain(second.directory), directory_chain(first.id), directory_chain(second.id)},
        [first, second, now = now_ns()](MemoryTree& tree) {
          tree.exchange(first.directory, first.name, second.directory, second.name, now);
        });
  return done;
}

Status DiskRecorder::replace(std::string_view from, std::string_view to) {
  auto done = disk_.replace(from, to);
  if (done && find(from).id != find(to).id) moved(fmt::format("rename {} over {}", from, to), from, to);
  return done;
}

Status DiskRecorder::link(std::string_view from, std::string_view to) {
  auto done = disk_.link(from, to);
  if (!done) return done;
  const Spot source = find(from), target = find(to);
  names(fmt::format("link {} as {}", from, to), {directory_chain(source.directory), directory_chain(target.directory)},
        [source, target, now = now_ns()](MemoryTree& tree) { tree.name(target.directory, target.name, source.id, now); });
  return done;
}

Status DiskRecorder::remove_file(std::string_view path) {
  auto done = disk_.remove_file(path);
  if (done) removed(fmt::format("remove {}", path), path);
  return done;
}

Status DiskRecorder::remove_directory(std::string_view path) {
  auto done = disk_.remove_directory(path);
  if (done) removed(fmt::format("remove the directory {}", path), path);
  return done;
}

Status DiskRecorder::set_attributes(std::string_view path, std::optional<std::uint32_t> mode,
                                    std::optional<std::int64_t> mtime_ns) {
  auto done = disk_.set_attributes(path, mode, mtime_ns);
  if (!done) return done;
  const Id id = find(path).id;
  names(fmt::format("attributes of {}", path), {inode_chain(id)},
        [id, mode, mtime_ns, now = now_ns()](MemoryTree& tree) { tree.set_attributes(id, mode, mtime_ns, now); });
  return done;
}

Status DiskRecorder::set_owner(std::string_view path, std::uint32_t uid, std::uint32_t gid) {
  auto done = disk_.set_owner(path, uid, gid);
  if (!done) return done;
  const Id id = find(path).id;
  names(fmt::format("owner of {}", path), {inode_chain(id)},
        [id, uid, gid, now = now_ns()](MemoryTree& tree) { tree.set_owner(id, uid, gid, now); });
  return done;
}

Status DiskRecorder::clone(std::string_view from, std::string_view to) {
  auto done = disk_.clone(from, to);
  if (!done) return done;
  created(fmt::format("create {}", to), to, "");
  if (const auto bytes = disk_.app_read(to); bytes && !bytes->empty())
    data(fmt::format("copy {} to {}", from, to), find(to).id, 0, *bytes);
  return done;
}

Status DiskRecorder::sync_all() {
  auto done = disk_.sync_all();
  Operation barrier;
  barrier.what = "sync all";
  barrier.all = true;
  if (done) sync(std::move(barrier));
  return done;
}

}  // namespace syncline::crash

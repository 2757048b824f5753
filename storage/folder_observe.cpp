// Looking at the tree without changing it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "protocol/delta.h"
#include "protocol/limits.h"
#include "protocol/planted_fault.h"
#include "storage/folder_impl.h"

namespace syncline {
namespace {

using State = Observation::State;

class Observer {
 public:
  Observer(FileSystem& fs, const HashKey& key, std::string_view path, bool marks) : fs_(fs), key_(key) {
    out_.path = path;
    out_.marks = marks;
  }

  Observation look(const DiskState& known, bool force);

 private:
  void look_at_file();
  void look_at_symlink(const FileStat& stat);
  void take(Kind kind, const FileStat& stat);
  void read_mark(File& file);
  Observation& refuse(const Error& error);
  Observation& busy(std::string why);
  bool is_racy(const FileStat& stat, std::int64_t now_ns) const;

  FileSystem& fs_;
  const HashKey& key_;
  std::int64_t now_ns_ = 0;  // before anything was read, or when nobody could have written since
  Observation out_;
};

Observation& Observer::refuse(const Error& error) {
  out_.state = State::failed;
  if (error.code == Error::Code::not_found) out_.state = State::absent;
  if (error.code == Error::Code::busy) out_.state = State::busy;
  if (error.code == Error::Code::unsupported) out_.state = State::unsupported;
  if (out_.state != State::absent) out_.problem = error.message;
  return out_;
}

Observation& Observer::busy(std::string why) {
  out_.state = State::busy;
  out_.problem = std::move(why);
  return out_;
}

// A second write within the same tick of the kernel's clock leaves the same stamps.
bool Observer::is_racy(const FileStat& stat, std::int64_t now_ns) const {
  const std::int64_t tick = fs_.stamp_tick_ns();
  return std::abs(now_ns - stat.print.ctime_ns) < tick || std::abs(now_ns - stat.print.mtime_ns) < tick;
}

void Observer::take(Kind kind, const FileStat& stat) {
  out_.state = State::present;
  out_.disk.content.kind = kind;
  out_.disk.content.mtime_ns = stat.print.mtime_ns;
  out_.disk.print = stat.print;
  if (kind != Kind::symlink) out_.disk.content.mode = stat.mode;
  if (kind == Kind::file) out_.disk.content.size = stat.print.size;
  if (kind != Kind::directory && is_racy(stat, now_ns_)) out_.disk.print.ctime_ns = 0;
}

bool shows(const FileStat& stat, const DiskState& known) {
  const bool same_mode = stat.type == FileType::symlink || stat.mode == known.content.mode;
  return known.present() && stat.print == known.print && same_mode;
}

void Observer::read_mark(File& file) {
  if (const auto mark = out_.marks ? file.mark() : std::nullopt) out_.mark = decode_mark(key_, out_.path, *mark, out_.disk.content);
}

Observation Observer::look(const DiskState& known, bool force) {
  now_ns_ = fs_.now_ns();
  const auto stat = fs_.stat(out_.path);
  if (!stat) return refuse(stat.error());
  if (!force && shows(*stat, known)) {
    out_.state = State::unchanged;
    out_.disk = known;
    return out_;
  }
  switch (stat->type) {
    case FileType::directory:
      take(Kind::directory, *stat);
      if (out_.marks) {
        if (const auto directory = fs_.open(out_.path)) read_mark(**directory);
      }
      break;
    case FileType::symlink:
      look_at_symlink(*stat);
      break;
    case FileType::file:
      look_at_file();
      break;
    case FileType::other:
      out_.state = State::unsupported;
      out_.problem = fmt::format("'{}' is a device, a socket or a FIFO: it is not synced", out_.path);
  }
  return out_;
}

void Observer::look_at_symlink(const FileStat& stat) {
  auto target = fs_.read_link(out_.path);
  const auto after = fs_.stat(out_.path);
  if (!target) {
    refuse(target.error());
  } else if (!after || after->print != stat.print) {
    busy("changed while it was read");
  } else if (target->empty() || target->size() > limits::symlink_target_bytes) {
    out_.state = State::unsupported;
    out_.problem = fmt::format("'{}': the link's target is longer than {} bytes", out_.path,
                               limits::symlink_target_bytes);
  } else {
    take(Kind::symlink, stat);
    out_.disk.content.target = *std::move(target);
  }
}

// A small file is read under the guard: nobody can write meanwhile, so nothing needs to be asked afterwards.
// A large one is guarded only until its stamps are old enough to show every later write.
void Observer::look_at_file() {
  auto opened = fs_.open(out_.path);
  if (!opened) return void(refuse(opened.error()));
  File& file = **opened;
  const std::optional<bool> writer = planted(Fault::half_written_published) ? false : file.guard();
  if (writer == true) return void(busy("open for writing"));
  const auto stat = file.stat();
  if (!stat) return void(refuse(stat.error()));
  if (stat->type != FileType::file) return void(busy("changed while it was looked at"));
  bool guarded = writer == false;
  const auto between = [&]() -> Status {
    if (guarded && file.guard_broken())
      return fail(Error::Code::busy, "an application opened it for writing");
    if (!guarded || is_racy(*stat, fs_.now_ns())) return {};
    file.unguard();
    guarded = false;
    now_ns_ = fs_.now_ns();
    return {};
  };
  auto hashed = hash_file(file, stat->print.size, key_, between);
  if (!hashed) return void(refuse(hashed.error()));
  if (!guarded) {
    const auto after = file.stat();
    if (!after) return void(refuse(after.error()));
    if (after->print != stat->print || file.open_for_writing().value_or(false)) {
      return void(busy("changed while it was read"));
    }
  }
  take(Kind::file, *stat);
  out_.disk.content.hash = hashed->hash;
  out_.content = std::move(hashed->content);
  out_.signature = std::move(hashed->signature);
  read_mark(file);
}

}  // namespace

bool Folder::is_unchanged(std::string_view path, const DiskState& known) {
  const auto stat = impl_->fs.stat(path);
  return stat && shows(*stat, known);
}

Observation Folder::observe(std::string_view path, const DiskState& known, bool force, bool marks) {
  if (!Impl::is_ours_to_touch(path)) {
    Observation out;
    out.path = path;
    out.state = State::unsupported;
    out.problem =
        fmt::format("a path or a name longer than {} or {} bytes", limits::path_bytes, limits::name_bytes);
    return out;
  }
  return Observer(impl_->fs, impl_->key, path, marks && impl_->marks).look(known, force);
}

// A fingerprint whose ctime is 0 was taken too soon after a write to be sure; the receiver's hash decides in
// the end.
static bool is_still(const Fingerprint& now, Fingerprint expect) {
  if (expect.ctime_ns == 0) expect.ctime_ns = now.ctime_ns;
  return now == expect;
}

Result<Bytes> Folder::read(std::string_view path, const Fingerprint& expect, std::uint64_t offset,
                           std::size_t size) {
  if (!Impl::is_ours_to_touch(path)) return fail(Error::Code::unsupported, "not a path of the folder");
  if (size > limits::message_bytes) return fail(Error::Code::invalid, "more than a message holds");
  auto file = impl_->fs.open(path);
  if (!file) return tl::unexpected(file.error());
  Bytes bytes(size, '\0');
  const auto got = (*file)->read_at(offset, bytes);
  if (!got) return tl::unexpected(got.error());
  const auto stat = (*file)->stat();  // after the read: an earlier change shows as well
  if (!stat) return tl::unexpected(stat.error());
  if (!is_still(stat->print, expect)) return fail(Error::Code::busy, fmt::format("'{}' has changed", path));
  bytes.resize(*got);
  return bytes;
}

namespace {

constexpr std::uint64_t kThreadedDeltaBytes = 256 << 20;  // below it a thread costs more than it saves
constexpr std::size_t kDeltaThreadsMax = 4;

void run_in_threads(std::span<const std::function<void()>> tasks) {
  std::vector<std::thread> threads;
  for (const auto& task : tasks.subspan(1)) {
    try {
      threads.emplace_back(task);
    } catch (const std::system_error&) {  // no more threads to be had
      task();
    }
  }
  tasks.front()();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

Result<Bytes> Folder::make_delta(std::string_view path, const Fingerprint& expect, const Signature& base,
                                 const Signature* own, const Hash128& base_hash, const Hash128& hash, std::size_t max_bytes) {
  if (!Impl::is_ours_to_touch(path)) return fail(Error::Code::unsupported, "not a path of the folder");
  if (base.file_hash != base_hash)
    return fail(Error::Code::invalid, "the signature is that of another content");
  auto file = impl_->fs.open(path);
  if (!file) return tl::unexpected(file.error());
  const auto stat = (*file)->stat();
  if (!stat) return tl::unexpected(stat.error());
  if (!is_still(stat->print, expect)) return fail(Error::Code::busy, fmt::format("'{}' has changed", path));
  Bytes delta;
  const auto source = DeltaSource::from(stat->print.size, [&](std::uint64_t offset, std::span<char> into) {
    return (*file)->read_at(offset, into);
  });
  const auto sink = [&](BytesView piece) {
    delta += piece;
    return Status{};
  };
  DeltaOptions options;
  options.max_delta_bytes = max_bytes;
  options.target_signature = own;
  if (stat->print.size >= kThreadedDeltaBytes) {
    options.lanes = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kDeltaThreadsMax);
    options.run = run_in_threads;
  }
  const auto made = syncline::make_delta(base, impl_->key, source, hash, sink, options);
  if (!made) return tl::unexpected(made.error());
  const auto after = (*file)->stat();
  if (!after || after->print != stat->print)
    return fail(Error::Code::busy, fmt::format("'{}' has changed", path));
  return delta;
}

}  // namespace syncline

#include "storage/folder_apply.h"

#include <fmt/format.h>

#include "protocol/limits.h"
#include "protocol/planted_fault.h"
#include "protocol/record.h"

namespace syncline {

namespace names = folder_names;

static bool is_type(FileType type, Kind kind) {
  return (type == FileType::file && kind == Kind::file) ||
         (type == FileType::directory && kind == Kind::directory) ||
         (type == FileType::symlink && kind == Kind::symlink);
}

bool is_as_expected(const FileStat& stat, const DiskState& expect, bool moved) {
  if (!is_type(stat.type, expect.content.kind)) return false;
  if (expect.content.kind != Kind::symlink && stat.mode != expect.content.mode) return false;
  // A directory's times change with every entry, and one made anew is as good as the old.
  if (expect.content.kind == Kind::directory) return true;
  Fingerprint print = stat.print;
  if (moved || expect.print.ctime_ns == 0) print.ctime_ns = expect.print.ctime_ns;
  return print == expect.print;
}

void Applier::set(Outcome outcome, std::string problem) {
  out_.outcome = outcome;
  out_.problem = std::move(problem);
}

void Applier::fail_with(const Error& error) {
  Outcome outcome = Outcome::failed;
  if (error.code == Error::Code::full) outcome = Outcome::full;
  if (error.code == Error::Code::unsupported) outcome = Outcome::unsupported;
  if (error.code == Error::Code::busy) outcome = Outcome::busy;
  set(outcome, error.message);
}

ApplyResult Applier::run() {
  if (!Folder::Impl::is_ours_to_touch(r_.path) || r_.content.kind == Kind::value) {
    set(Outcome::unsupported,
        fmt::format("a path or a name longer than {} or {} bytes", limits::path_bytes, limits::name_bytes));
  } else if (r_.expect.present()) {
    apply_present();
  } else {
    apply_absent();
  }
  return std::move(out_);
}

void Applier::apply_absent() {
  if (r_.content.kind == Kind::deleted) {
    const auto stat = f_.fs.stat(r_.path);
    if (stat) return set(Outcome::changed);
    if (stat.error().code != Error::Code::not_found) return fail_with(stat.error());
    return set(Outcome::applied);
  }
  Built built;
  if (build(built, f_.owner_in(parent_path(r_.path)))) create(built);
}

void Applier::create(Built& built) {
  auto renamed = f_.fs.rename_new(built.at, r_.path);
  if (!renamed && renamed.error().code == Error::Code::not_found) {
    if (!make_parents()) return discard(built);
    renamed = f_.fs.rename_new(built.at, r_.path);
  }
  if (renamed) return settle_new(built);
  if (renamed.error().code == Error::Code::exists) {
    set(Outcome::changed);
  } else if (renamed.error().code == Error::Code::not_found) {
    set(Outcome::blocked, renamed.error().message);
  } else {
    fail_with(renamed.error());
  }
  discard(built);
}

// Makes the missing directories above the path. False, with the outcome, when something else is in the way.
bool Applier::make_parents() {
  for (std::size_t slash = r_.path.find('/'); slash != std::string::npos;
       slash = r_.path.find('/', slash + 1)) {
    const std::string directory = r_.path.substr(0, slash);
    auto stat = f_.fs.stat(directory);
    if (!stat && stat.error().code == Error::Code::not_found) {
      constexpr std::uint32_t mode = 0755;
      auto made = f_.fs.make_directory(directory, mode);
      if (!made && made.error().code != Error::Code::exists) return fail_with(made.error()), false;
      if (made) {
        out_.made_parents.push_back(directory);
        if (const auto owner = f_.owner_in(parent_path(directory)))
          f_.fs.set_owner(directory, owner->uid, owner->gid);
        f_.fs.set_attributes(directory, mode, std::nullopt);  // whatever the umask
        mark_directory(directory, directory, {}, {.kind = Kind::directory, .mode = mode});
      }
      stat = f_.fs.stat(directory);
    }
    if (!stat) return fail_with(stat.error()), false;
    if (stat->type != FileType::directory)
      return set(Outcome::blocked, fmt::format("'{}' is no directory", directory)), false;
  }
  return true;
}

void Applier::settle_new(Built& built) {
  out_.outcome = Outcome::applied;
  out_.problem.clear();
  out_.disk.content = r_.content;
  if (r_.content.kind == Kind::directory) {
    // 0700 was needed to move it (its ".." changes); a mode without it must wait until now.
    if ((r_.content.mode & 0700) != 0700) f_.fs.set_attributes(r_.path, r_.content.mode, std::nullopt);
  }
  // Somebody may have been quicker than this look: then the next scan reads what is there. (A write in the very tick of the rename changes
  // mtime.)
  const auto stat = f_.fs.stat(r_.path);
  const bool is_directory = r_.content.kind == Kind::directory;
  const bool is_ours = stat && (is_directory || stat->print.inode == built.print.inode);
  // An inode's number may be given anew at once, to what an application has put in its place.
  const bool touched = !is_ours || stat->print.size != built.print.size || stat->print.mtime_ns != built.print.mtime_ns;
  out_.disk.print = touched ? built.print : stat->print;
  if (touched) out_.disk.print.ctime_ns = 0;
}

bool Applier::only_attributes_differ() const {
  const Content& a = r_.content;
  const Content& b = r_.expect.content;
  return a.kind == b.kind && a.hash == b.hash && a.size == b.size && a.target == b.target;
}

void Applier::apply_present() {
  if (only_attributes_differ()) return change_attributes();
  if (r_.content.kind == Kind::deleted && r_.expect.content.kind == Kind::directory)
    return remove_directory();
  if (!f_.limbo.has_room()) return set(Outcome::busy, "too many replaced files are still open for writing");
  Current current;
  if (!look(current)) return;
  if (r_.content.kind == Kind::deleted) return take_out(current);
  if (current.stat.type == FileType::directory) {
    const auto items = f_.fs.list(r_.path);
    if (!items) return fail_with(items.error());
    if (!items->empty()) return set(Outcome::not_empty);
  }
  Built built;
  std::optional<Folder::Impl::Owner> owner;
  if (f_.fs.can_set_owner()) owner = {current.stat.uid, current.stat.gid};
  if (build(built, owner)) swap_in(built, current);
}

bool Applier::look(Current& current) {
  Result<FileStat> stat;
  if (r_.expect.content.kind == Kind::file) {
    // Without read permission there is no lease to be had, but the path can still be replaced.
    if (auto file = f_.fs.open(r_.path)) current.file = *std::move(file);
  }
  stat = current.file ? current.file->stat() : f_.fs.stat(r_.path);
  if (!stat && stat.error().code == Error::Code::not_found) return set(Outcome::changed), false;
  if (!stat) return fail_with(stat.error()), false;
  current.stat = *stat;
  if (!is_as_expected(current.stat, r_.expect, false)) return set(Outcome::changed), false;
  return true;
}

// From here on until the guard ends no application gets the file open for writing.
bool Applier::guard(Current& current) {
  if (!current.file) return true;
  const auto writer = current.file->guard();
  if (writer == true) return set(Outcome::busy, "open for writing"), false;
  current.guarded = writer == false;
  const auto stat = current.file->stat();
  if (!stat) return fail_with(stat.error()), false;
  if (!is_as_expected(*stat, r_.expect, false)) return set(Outcome::changed), false;
  return true;
}

void Applier::remove_directory() {
  const auto stat = f_.fs.stat(r_.path);
  if (!stat && stat.error().code != Error::Code::not_found) return fail_with(stat.error());
  if (!stat || !is_as_expected(*stat, r_.expect, false)) return set(Outcome::changed);
  if (planted(Fault::directory_emptied)) {
    for (const DirectoryItem& item : f_.fs.list(r_.path).value_or(std::vector<DirectoryItem>{}))
      f_.fs.remove_file(r_.path + '/' + item.name);
  }
  const auto removed = f_.fs.remove_directory(r_.path);
  if (removed) return set(Outcome::applied);
  if (removed.error().code == Error::Code::exists) return set(Outcome::not_empty);
  if (removed.error().code == Error::Code::not_found) return set(Outcome::changed);
  fail_with(removed.error());
}

// Or an application was quicker than the look: then the next one reads what is there. (Some file systems round times down.)
static bool is_as_set(const FileStat& after, const Content& content) {
  constexpr std::int64_t coarse_ns = 2'000'000'000;
  const std::int64_t less_ns = content.mtime_ns - after.print.mtime_ns;
  return less_ns >= 0 && less_ns < coarse_ns && (content.kind == Kind::symlink || after.mode == content.mode);
}

void Applier::change_attributes() {
  if (r_.content.kind == Kind::file) return change_file_attributes();
  const auto stat = f_.fs.stat(r_.path);
  if (!stat && stat.error().code != Error::Code::not_found) return fail_with(stat.error());
  if (!stat || !is_as_expected(*stat, r_.expect, false)) return set(Outcome::changed);
  const bool is_directory = r_.content.kind == Kind::directory;
  const std::optional<std::uint32_t> mode =
      is_directory && stat->mode != r_.content.mode ? std::optional(r_.content.mode) : std::nullopt;
  auto changed = f_.fs.set_attributes(r_.path, mode, r_.content.mtime_ns);
  if (!changed && changed.error().code == Error::Code::not_found) return set(Outcome::changed);
  if (!changed) return fail_with(changed.error());
  const auto after = f_.fs.stat(r_.path);
  out_.disk = {r_.content, after ? after->print : Fingerprint{}};
  if (after && after->print.inode != stat->print.inode) {  // an application's by now: to be looked at
    out_.disk.print = stat->print;
    out_.disk.print.ctime_ns = 0;
  }
  if (out_.disk.print.mtime_ns != r_.content.mtime_ns) out_.disk.print.ctime_ns = 0;  // an entry came or went meanwhile
  set(Outcome::applied);
}

void Applier::change_file_attributes() {
  Current current;
  if (!look(current)) return;
  const Content& now = r_.expect.content;
  if (r_.content.mode == now.mode && r_.content.mtime_ns == now.mtime_ns) {
    out_.disk = r_.expect;
    return set(Outcome::applied);
  }
  if (!current.file)
    return set(Outcome::failed, fmt::format("cannot open '{}' to change its attributes", r_.path));
  if (!guard(current)) return;
  auto changed = current.file->set_attributes(r_.content.mode, r_.content.mtime_ns);
  if (!changed) return fail_with(changed.error());
  const auto after = current.file->stat();
  set(Outcome::applied);
  out_.disk = {r_.content, after ? after->print : current.stat.print};
  // Without the guard a write just before would be hidden by the new mtime; and content that was never
  // certain is not now.
  if (!current.guarded || r_.expect.print.ctime_ns == 0 || !after || !is_as_set(*after, r_.content)) out_.disk.print.ctime_ns = 0;
}

ApplyResult Folder::apply(const ApplyRequest& request) { return Applier(*impl_, request).run(); }

}  // namespace syncline

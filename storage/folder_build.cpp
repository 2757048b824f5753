// Making a new file, directory or symlink inside staging/, complete with its attributes.
#include <fmt/format.h>

#include "protocol/planted_fault.h"
#include "protocol/record.h"
#include "storage/folder_apply.h"

namespace syncline {

namespace names = folder_names;

std::optional<Folder::Impl::Owner> Folder::Impl::owner_in(std::string_view directory) {
  if (!fs.can_set_owner()) return std::nullopt;
  constexpr std::int64_t fresh_ns = 1'000'000'000;
  const std::int64_t now = fs.now_ns();
  {
    const std::lock_guard lock(mutex_);
    if (owner_ && owner_directory_ == directory && now - owner_at_ns_ >= 0 && now - owner_at_ns_ < fresh_ns)
      return owner_;
  }
  const auto stat = fs.stat(directory);
  if (!stat)
    return directory.empty() ? std::nullopt : owner_in(parent_path(directory));  // it is going to be made
  const std::lock_guard lock(mutex_);
  owner_directory_ = directory;
  owner_ = Owner{stat->uid, stat->gid};
  owner_at_ns_ = now;
  return owner_;
}

bool Applier::build(Built& built, const std::optional<Folder::Impl::Owner>& owner) {
  bool done = false;
  if (r_.content.kind == Kind::file) {
    done = build_file(built) && finish_file(built, owner);
  } else {
    built.at = names::building(f_.staging.next_number());
    const auto made = r_.content.kind == Kind::directory
                          ? f_.fs.make_directory(built.at, r_.content.mode | 0700)
                          : f_.fs.make_symlink(built.at, r_.content.target);
    if (!made) return fail_with(made.error()), false;
    done = finish_other(built, owner);
  }
  if (!done) discard(built);
  return done;
}

bool Applier::build_file(Built& built) {
  if (r_.bytes) {
    if (r_.bytes->size() != r_.content.size || f_.key.hash(*r_.bytes) != r_.content.hash)
      return set(Outcome::no_content), false;
    built.at = names::building(f_.staging.next_number());
    auto file = f_.fs.open_write(built.at);
    if (!file) return fail_with(file.error()), false;
    built.file = *std::move(file);
    auto written = r_.bytes->empty() ? Status{} : built.file->write_at(0, *r_.bytes);
    if (!written) return fail_with(written.error()), false;
    return true;
  }
  const std::string staged = names::staged(r_.content.hash);
  if (r_.keep_staged) {
    const std::string at = names::building(f_.staging.next_number());
    auto cloned = f_.fs.clone(staged, at);
    if (!cloned && cloned.error().code == Error::Code::not_found) return set(Outcome::no_content), false;
    if (!cloned) return fail_with(cloned.error()), false;
    built.at = at;
  } else {
    built.at = staged;
    built.was_staged = true;
  }
  auto file = f_.fs.open(built.at);
  if (!file && file.error().code == Error::Code::not_found) {
    built.at.clear();
    return set(Outcome::no_content), false;
  }
  if (!file) return fail_with(file.error()), false;
  built.file = *std::move(file);
  return true;
}

// Without it nothing is wrong but that a loss of power may leave a conflict too many.
void Applier::mark(File& file, std::string_view path, const Dot& dot, const Content& content) {
  if (f_.marks) (void)file.set_mark(encode_mark(f_.key, path, dot, r_.hlc, content));
}

void Applier::mark_directory(std::string_view at, std::string_view path, const Dot& dot, const Content& content) {
  if (!f_.marks) return;
  if (const auto directory = f_.fs.open(at)) mark(**directory, path, dot, content);
}

// The owner first: changing it takes set-user-ID bits away.
bool Applier::finish_file(Built& built, const std::optional<Folder::Impl::Owner>& owner) {
  Status done;
  if (owner && !planted(Fault::owner_forgotten)) done = built.file->set_owner(owner->uid, owner->gid);
  mark(*built.file, r_.path, r_.dot, r_.content);
  if (done) done = built.file->set_attributes(r_.content.mode, r_.content.mtime_ns);
  if (done && f_.strict) done = built.file->sync();
  if (!done) return fail_with(done.error()), false;
  const auto stat = built.file->stat();
  if (!stat) return fail_with(stat.error()), false;
  if (stat->print.size != r_.content.size) return set(Outcome::no_content), false;
  built.print = stat->print;
  // Closed while nobody can see it: closed at its path it would look like a file that an application has written, and be read again.
  built.file.reset();
  return true;
}

bool Applier::finish_other(Built& built, const std::optional<Folder::Impl::Owner>& owner) {
  Status done;
  if (owner) done = f_.fs.set_owner(built.at, owner->uid, owner->gid);
  if (r_.content.kind == Kind::directory) mark_directory(built.at, r_.path, r_.dot, r_.content);
  const bool is_directory = r_.content.kind == Kind::directory;
  const std::optional<std::uint32_t> mode =
      is_directory ? std::optional(r_.content.mode | 0700) : std::nullopt;
  if (done) done = f_.fs.set_attributes(built.at, mode, r_.content.mtime_ns);
  if (!done) return fail_with(done.error()), false;
  const auto stat = f_.fs.stat(built.at);
  if (!stat) return fail_with(stat.error()), false;
  built.print = stat->print;
  return true;
}

// It did not become visible.
void Applier::discard(Built& built) {
  built.file.reset();
  if (built.at.empty()) return;
  if (built.was_staged) {
    const std::string staged = names::staged(r_.content.hash);
    if (built.at != staged) f_.fs.replace(built.at, staged);
  } else if (r_.content.kind == Kind::directory) {
    f_.fs.remove_directory(built.at);
  } else {
    f_.fs.remove_file(built.at);
  }
  built.at.clear();
}

}  // namespace syncline

// What becomes of the version that was replaced or deleted, once it has been looked at.
#include <fmt/format.h>

#include "protocol/planted_fault.h"
#include "storage/folder_apply.h"

namespace syncline {

namespace names = folder_names;

void Applier::to_limbo(std::string at, const Hash128& known, const Fingerprint& print, bool blind) {
  if (planted(Fault::limbo_skipped)) return void(f_.fs.remove_file(at));
  const Hash128& by =
      known == r_.content.hash ? r_.expect.content.hash : r_.content.hash;  // either may be the visible one
  f_.limbo.add({std::move(at), r_.path, known, by, print, false, 0, blind});
}

void Applier::dispose(const std::string& at, const FileStat& came, bool expected, const Current& current,
                      Built* built) {
  const bool was_directory = r_.expect.content.kind == Kind::directory;
  if (came.type == FileType::symlink) return dispose_of_symlink(at, came, expected);
  if (came.type == FileType::file)
    return expected ? dispose_of_file(at, came, current) : dispose_of_foreign_file(at, current);
  // A directory that was filled meanwhile, or one or a device where there had been a file: nothing that could
  // be kept for later.
  if (came.type == FileType::directory && f_.fs.remove_directory(at)) return;
  out_.disk = {};
  if (put_back(at, built)) return set(was_directory ? Outcome::not_empty : Outcome::changed);
  set(Outcome::failed, fmt::format("what was at '{}' is at '{}' now and could not be put back", r_.path, at));
}

void Applier::dispose_of_symlink(const std::string& at, const FileStat& came, bool expected) {
  if (!expected) {
    auto target = f_.fs.read_link(at);
    const bool failed_look = target && r_.expect.content.kind == Kind::symlink && *target == r_.expect.content.target;
    if (failed_look) return void(f_.fs.remove_file(at));
    Content content{Kind::symlink, {}, 0, 0, came.print.mtime_ns, target.value_or("")};
    out_.displaced = DiskState{std::move(content), {}};
  }
  f_.fs.remove_file(at);
}

void Applier::dispose_of_file(const std::string& at, const FileStat& came, const Current& current) {
  const Hash128& hash = r_.expect.content.hash;
  const bool blind = !current.guarded;
  const std::string version = names::version(hash);
  if (r_.keep_displaced && came.links == 1 && !blind && !current.file->guard_broken()) {
    if (f_.fs.replace(at, version)) return to_limbo(version, hash, print_after_move(version, came), false);
  } else if (r_.keep_displaced && !f_.fs.stat(version)) {
    // Somebody may yet write into this very file: the version needs bytes of its own.
    if (auto kept = f_.limbo.copy_version(at, hash); !kept) out_.problem = kept.error().message;
  }
  if (came.links > 1) {  // under its other name it is live: nobody can lose what is written to it
    f_.fs.remove_file(at);
  } else {
    to_limbo(at, hash, came.print, blind);
  }
}

// Renaming changes ctime. Any other change since it came out makes the fingerprint worthless.
Fingerprint Applier::print_after_move(const std::string& at, const FileStat& came) {
  const auto stat = f_.fs.stat(at);
  if (!stat) return {};
  Fingerprint print = stat->print;
  print.ctime_ns = came.print.ctime_ns;
  return print == came.print ? stat->print : Fingerprint{};
}

// An application wrote, or renamed a file over, between the last look and the exchange.
void Applier::dispose_of_foreign_file(const std::string& at, const Current& current) {
  auto file = f_.fs.open(at);
  const bool writer = file && (*file)->open_for_writing().value_or(false);
  const auto stat = file ? (*file)->stat() : tl::unexpected(file.error());
  if (!stat || writer) return to_limbo(at, r_.expect.content.hash, {}, !current.guarded);
  const auto hashed = hash_file(**file, stat->print.size, f_.key);
  const auto after = (*file)->stat();
  const bool stable = hashed && after && after->print == stat->print;
  const Hash128 hash = stable ? hashed->hash : Hash128{};
  // It was the look that failed before, not the expectation.
  if (stable && is_as_expected(*stat, r_.expect, true) && hash == r_.expect.content.hash) return dispose_of_file(at, *stat, current);
  Content content{Kind::file, hash, stat->print.size, stat->mode, stat->print.mtime_ns, {}};
  if (!stable || !f_.limbo.keep_late(at, {r_.path, r_.expect.content.hash, r_.content.hash, {content, {}}}, stat->links)) {
    return to_limbo(at, r_.expect.content.hash, {}, !current.guarded);
  }
  const std::string version = names::version(hash);
  const Fingerprint print = print_after_move(version, *stat);
  out_.displaced = DiskState{std::move(content), print};
  to_limbo(version, hash, print, !current.guarded);
}

}  // namespace syncline

// Putting the new version in the place of the old, or taking the old away.
#include <fmt/format.h>

#include <cstdlib>

#include "protocol/planted_fault.h"
#include "storage/folder_apply.h"

namespace syncline {

namespace names = folder_names;

static Hash128 hash_for_name(const Content& content, const HashKey& key) {
  return content.kind == Kind::symlink ? key.hash(content.target) : content.hash;
}

std::string Applier::swap_name(std::uint64_t new_inode) {
  return names::swap({f_.staging.next_number(), r_.keep_displaced, new_inode,
                      hash_for_name(r_.content, f_.key), hash_for_name(r_.expect.content, f_.key), r_.path});
}

// Looks at what came out. False when it is not the expected old version, or when that cannot be told (FileType::other: not even what it is).
bool Applier::came_as_expected(const std::string& at, const Current& current, FileStat& came) {
  const auto stat = f_.fs.stat(at);
  came = stat ? *stat : FileStat{};
  if (planted(Fault::not_looked_again)) return true;
  if (!stat || !is_as_expected(came, r_.expect, true)) return false;
  if (came.type == FileType::symlink) {
    const auto target = f_.fs.read_link(at);
    if (!target) came.type = FileType::other;
    return target && *target == r_.expect.content.target;
  }
  if (came.type != FileType::file) return true;
  // Size and mtime tell nothing where a second write within one tick of the clock could have left them as
  // they were.
  const bool young = std::abs(f_.fs.now_ns() - came.print.mtime_ns) < f_.fs.stamp_tick_ns();
  if (r_.expect.print.ctime_ns != 0 && (current.guarded || !young)) return true;
  const auto file = f_.fs.open(at);
  if (!file) return false;
  const auto hashed = hash_file(**file, came.print.size, f_.key);
  return hashed && hashed->hash == r_.expect.content.hash;
}

// An application that wants to write is held in open(), and it is the old version that it has in its hand.
bool Applier::waits_for(const Current& current, const FileStat& came) {
  return current.guarded && current.file->guard_broken() && came.print.inode == current.stat.print.inode;
}

void Applier::swap_in(Built& built, Current& current) {
  if (!guard(current)) return discard(built);
  const std::string at = swap_name(built.print.inode);
  if (auto named = f_.fs.replace(built.at, at); !named) {
    fail_with(named.error());
    return discard(built);
  }
  built.at = at;
  const auto exchanged = f_.fs.exchange(at, r_.path);
  if (!exchanged && exchanged.error().code == Error::Code::unsupported) {
    const bool directory = current.stat.type == FileType::directory || r_.content.kind == Kind::directory;
    return directory ? swap_by_steps(built, current) : swap_by_link(built, current);
  }
  if (!exchanged) {
    if (exchanged.error().code == Error::Code::not_found) {
      set(Outcome::changed);
    } else {
      fail_with(exchanged.error());
    }
    return discard(built);
  }
  FileStat came;
  const bool expected = came_as_expected(at, current, came);
  if (waits_for(current, came) && exchange_back(at, built))
    return set(Outcome::busy, "an application opened it for writing");
  settle_new(built);
  dispose(at, came, expected, current, &built);
}

// For file systems without exchange.
void Applier::swap_by_link(Built& built, Current& current) {
  const std::string aside = swap_name(built.print.inode);
  if (auto linked = f_.fs.link(r_.path, aside); !linked) {
    const auto visible = f_.fs.stat(r_.path);  // a directory now, or nothing?
    fail_with(linked.error());
    if (!visible || !is_as_expected(*visible, r_.expect, false)) set(Outcome::changed);
    return discard(built);
  }
  const auto second = f_.fs.stat(aside);
  if (!second || !is_as_expected(*second, r_.expect, true)) return give_up(aside, built, Outcome::changed);
  if (waits_for(current, *second)) return give_up(aside, built, Outcome::busy);
  const auto visible = f_.fs.stat(r_.path);
  if (!visible || visible->print.inode != second->print.inode) return give_up(aside, built, Outcome::changed);
  if (auto replaced = f_.fs.replace(built.at, r_.path); !replaced) {
    give_up(aside, built, Outcome::failed);
    return fail_with(replaced.error());
  }
  FileStat came;
  const bool expected = came_as_expected(aside, current, came);
  if (came.type == FileType::other) came = *second;  // it cannot be put back; what it is was seen before
  settle_new(built);
  dispose(aside, came, expected, current, &built);
}

void Applier::give_up(const std::string& aside, Built& built, Outcome outcome) {
  f_.fs.remove_file(aside);  // the second name of what is visible
  set(outcome);
  discard(built);
}

// For file systems without exchange, where one of the two is a directory: for a moment there is nothing at
// the path.
void Applier::swap_by_steps(Built& built, Current& current) {
  const std::string aside = swap_name(built.print.inode);
  if (auto moved = f_.fs.rename_new(r_.path, aside); !moved) {
    if (moved.error().code == Error::Code::not_found) {
      set(Outcome::changed);
    } else {
      fail_with(moved.error());
    }
    return discard(built);
  }
  FileStat came;
  const bool expected = came_as_expected(aside, current, came);
  const bool waits = waits_for(current, came);
  if ((!expected || waits) && put_back(aside, nullptr)) {
    set(waits ? Outcome::busy : Outcome::changed);
    return discard(built);
  }
  if (came.type == FileType::directory) {
    const auto items = f_.fs.list(aside);
    if ((!items || !items->empty()) && put_back(aside, nullptr)) {
      set(Outcome::not_empty);
      return discard(built);
    }
  }
  const auto placed = f_.fs.rename_new(built.at, r_.path);
  if (placed) {
    settle_new(built);
    return dispose(aside, came, expected, current, nullptr);
  }
  if (put_back(aside, nullptr)) {
    fail_with(placed.error());
  } else {  // an application put something there meanwhile: its version is the live one
    dispose(aside, came, expected, current, nullptr);
    set(Outcome::changed);
  }
  discard(built);
}

void Applier::take_out(Current& current) {
  if (!guard(current)) return;
  const std::string at = swap_name(0);
  if (auto moved = f_.fs.rename_new(r_.path, at); !moved) {
    if (moved.error().code == Error::Code::not_found) return set(Outcome::changed);
    return fail_with(moved.error());
  }
  FileStat came;
  const bool expected = came_as_expected(at, current, came);
  if (waits_for(current, came) && put_back(at, nullptr))
    return set(Outcome::busy, "an application opened it for writing");
  set(Outcome::applied);
  dispose(at, came, expected, current, nullptr);
}

// Undoes the exchange. What comes out now is ours again, if nobody found it in the short time that it was
// visible.
bool Applier::exchange_back(const std::string& at, Built& built) {
  if (!f_.fs.exchange(at, r_.path)) return false;
  const auto stat = f_.fs.stat(at);
  if (!stat) return true;
  if (stat->type == FileType::directory) {
    f_.fs.remove_directory(at);
  } else if (stat->type == FileType::symlink) {
    f_.fs.remove_file(at);
  } else {
    const bool untouched = stat->print.inode == built.print.inode && stat->print.size == built.print.size &&
                           stat->print.mtime_ns == built.print.mtime_ns;
    if (untouched && built.was_staged) {
      f_.fs.replace(at, names::part(r_.content.hash));  // to be verified again before it is used
    } else {
      to_limbo(at, r_.content.hash, untouched ? stat->print : Fingerprint{}, false);
    }
  }
  built.at.clear();
  return true;
}

bool Applier::put_back(const std::string& at, Built* built) {
  if (built != nullptr) return exchange_back(at, *built);
  return f_.fs.rename_new(at, r_.path).has_value();
}

}  // namespace syncline

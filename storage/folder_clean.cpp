// What a crash left in staging/.
#include <set>

#include "storage/folder_hash.h"
#include "storage/folder_impl.h"
#include "storage/folder_names.h"

namespace syncline {

namespace names = folder_names;

namespace {

class Cleaner {
 public:
  Cleaner(Folder::Impl& folder, const std::function<bool(const Hash128&)>& keep, bool after_power_loss)
      : f_(folder), keep_(keep), after_power_loss_(after_power_loss) {}

  void clean(const std::vector<std::string>& items);  // full names

 private:
  using What = names::Found::What;
  struct Leftover {
    std::string at;
    names::Found found;
    FileStat stat;
  };

  void clean_one(const Leftover& leftover);
  void clean_new(const Leftover& leftover);
  void clean_old(const Leftover& leftover);
  void clean_old_symlink(const Leftover& leftover);
  void clean_suspect(const Leftover& leftover);
  bool put_back(const Leftover& leftover);
  static bool is_new(const Leftover& l) {
    return l.found.what == What::swap && l.stat.print.inode == l.found.swap.new_inode;
  }

  Folder::Impl& f_;
  const std::function<bool(const Hash128&)>& keep_;
  const bool after_power_loss_;
  std::set<std::uint64_t> never_visible_;  // inodes of new versions that are still in staging
};

void Cleaner::clean(const std::vector<std::string>& items) {
  std::vector<Leftover> leftovers;
  for (const std::string& at : items) {
    const auto found = names::parse(at);
    if (!found) continue;
    const bool numbered = found->what == What::building || found->what == What::swap;
    if (numbered && !f_.staging.is_leftover(found->swap.n)) continue;
    const auto stat = f_.fs.stat(at);
    if (!stat) continue;
    leftovers.push_back({at, *found, *stat});
    if (is_new(leftovers.back())) never_visible_.insert(stat->print.inode);
  }
  for (const Leftover& leftover : leftovers) clean_one(leftover);
}

void Cleaner::clean_one(const Leftover& leftover) {
  switch (leftover.found.what) {
    case What::building:
      return clean_new(leftover);
    case What::swap:
      return is_new(leftover) ? clean_new(leftover) : clean_old(leftover);
    case What::late:
      return f_.limbo.recall(leftover.at);
    default:
      if (!keep_(leftover.found.hash)) f_.fs.remove_file(leftover.at);
  }
}

void Cleaner::clean_new(const Leftover& leftover) {
  const Hash128& hash = leftover.found.swap.new_hash;
  if (leftover.stat.type == FileType::directory) {
    f_.fs.remove_directory(leftover.at);
  } else if (is_new(leftover) && leftover.stat.type == FileType::file && keep_(hash)) {
    f_.fs.replace(leftover.at, names::part(hash));
  } else {
    f_.fs.remove_file(leftover.at);
  }
}

// It was visible. Only an application can have changed it since it was looked at.
void Cleaner::clean_old(const Leftover& leftover) {
  const names::Swap& swap = leftover.found.swap;
  if (put_back(leftover)) return;
  if (leftover.stat.type == FileType::symlink) return clean_old_symlink(leftover);
  if (leftover.stat.type == FileType::directory) return void(f_.fs.remove_directory(leftover.at));
  if (leftover.stat.links > 1)
    return void(f_.fs.remove_file(leftover.at));  // it is live under its other name
  if (after_power_loss_) return clean_suspect(leftover);
  f_.limbo.add({leftover.at, swap.path, swap.old_hash, swap.new_hash, {}, swap.keep_old, 0, false});
}

// Nobody has it open. If it is not what it was, then it was not durable, or an application had just written to it.
void Cleaner::clean_suspect(const Leftover& leftover) {
  const names::Swap& swap = leftover.found.swap;
  const auto file = f_.fs.open(leftover.at);
  if (!file) return;
  const auto hashed = hash_file(**file, leftover.stat.print.size, f_.key);
  if (!hashed) return;
  const bool whole = hashed->hash == swap.old_hash;
  if (whole && !swap.keep_old) return void(f_.fs.remove_file(leftover.at));
  (void)f_.limbo.keep_version(leftover.at, hashed->hash, leftover.stat.links);
}

void Cleaner::clean_old_symlink(const Leftover& leftover) {
  const names::Swap& swap = leftover.found.swap;
  const auto target = f_.fs.read_link(leftover.at);
  if (!target) return;
  if (f_.key.hash(*target) != swap.old_hash) {
    Content content{Kind::symlink, {}, 0, 0, leftover.stat.print.mtime_ns, *target};
    f_.limbo.report({swap.path, swap.old_hash, swap.new_hash, {std::move(content), {}}});
  }
  f_.fs.remove_file(leftover.at);
}

// The node died while nothing was at the path, or with an application's directory in its hands: that belongs
// into the tree.
bool Cleaner::put_back(const Leftover& leftover) {
  const names::Swap& swap = leftover.found.swap;
  if (!Folder::Impl::is_ours_to_touch(swap.path)) return false;
  const bool is_directory = leftover.stat.type == FileType::directory;
  if (is_directory && f_.fs.remove_directory(leftover.at)) return true;
  const bool died_half_way = swap.new_inode != 0 && never_visible_.contains(swap.new_inode);
  if ((is_directory || died_half_way) && f_.fs.rename_new(leftover.at, swap.path)) return true;
  if (!is_directory) return false;
  const auto visible = f_.fs.stat(swap.path);
  if (!visible || visible->print.inode != swap.new_inode || !f_.fs.exchange(leftover.at, swap.path))
    return false;
  if (!f_.fs.remove_file(leftover.at))
    f_.fs.remove_directory(leftover.at);  // the new version; it comes again
  return true;
}

}  // namespace

void Folder::clean_staging(const std::function<bool(const Hash128&)>& keep, bool after_power_loss) {
  if (const auto items = impl_->staging.list()) Cleaner(*impl_, keep, after_power_loss).clean(*items);
}

}  // namespace syncline

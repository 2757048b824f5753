// Disks that are going bad, and `verify`, which finds out.
#include <fmt/format.h>

#include <algorithm>

#include "node/verify_file.h"
#include "tests/sim/node.h"

namespace syncline::sim {

void Node::glitch(std::uint64_t operations) {
  glitch_in_ = operations;
  glitched_ = true;
}

// Only a file at rest, of which `is_elsewhere` finds the same whole on another node: else nobody could bring it again.
void Node::rot(const std::string& path, const Whole& is_elsewhere) {
  if (!linkable() || process_->paused || application_->holds(path) || is_rotten(path) || process_->closed.contains(path)) return;
  const auto entry = process_->index->get(1, path);
  const auto shown = read_path(*disk_, world_.history, path);
  if (!shown || shown->state.type != FileType::file || !entry || !entry->disk || !entry->live || entry->live->dot != entry->disk->dot) return;
  const Fingerprint print = disk_->app_stat(path)->print;
  if (print.size == 0 || !(print == entry->disk->state.print) || !is_told(path, shown->state) || !is_elsewhere(path, shown->state)) return;
  // Within the tick of the last change no stamp could tell it from somebody's work.
  if (disk_->now_ns() - print.ctime_ns <= 2 * disk_->stamp_tick_ns()) return;
  disk_->rot(path, random_.below(print.size));
  const std::string bytes = *disk_->app_read(path);
  world_.history.half_written(number_, path, bytes);  // may be seen here, and nowhere else
  world_.rotten.insert(world_.hash_key.hash(bytes));
  rotten_[path] = world_.history.content(bytes);
  world_.trace(fmt::format("{}   {} rots", name_, path));
}

bool Node::is_rotten(const std::string& path) {
  const auto at = rotten_.find(path);
  if (at == rotten_.end()) return false;
  const auto bytes = disk_->app_bytes(path);
  if (bytes && world_.history.content(bytes) == at->second) return true;
  rotten_.erase(at);
  return false;
}

bool Node::has_rot() {
  const auto rotten = rotten_;
  return std::any_of(rotten.begin(), rotten.end(), [this](const auto& r) { return is_rotten(r.first); });
}

// Whoever reads a rotten file, or moves it, spreads what nobody can tell from his own work: no application does.
bool Node::touches_rot(const std::string& path) {
  const auto rotten = rotten_;
  return !path.empty() && std::any_of(rotten.begin(), rotten.end(), [&](const auto& r) {
    return (is_below(r.first, path) || is_below(path, r.first)) && is_rotten(r.first);
  });
}

// As the daemon goes about it (node/daemon_verify.cpp).
void Node::verify() {
  if (!process_ || !process_->scanned || process_->paused) return;
  world_.trace(name_ + " verifies its folder");
  for (const auto& [path, entry] : process_->index->below(1, "", "", SIZE_MAX)) {
    if (!entry.disk || entry.disk->state.content.kind != Kind::file) continue;
    on_strand(path, 0, [this, path = path, known = entry.disk->state] {
      const bool rotten = is_rotten(path);
      const Observation seen = process_->folder->observe(path, known, true);
      return [this, path, known, rotten, verdict = verdict_of(known, seen), found = seen.disk.content.hash] {
        verified(path, known, rotten, verdict, found);
      };
    });
  }
  for (const Conflict& c : process_->index->conflicts(1, false, SIZE_MAX)) {
    const Content& loser = c.loser.content;
    if (loser.kind != Kind::file || loser.size == 0) continue;
    on_strand("#" + to_hex(loser.hash), 0, [this, hash = loser.hash, size = loser.size] {
      const bool whole = is_kept_whole(*process_->folder, world_.hash_key, hash, size);
      if (!whole) process_->folder->has_version(hash, true);  // takes it away
      return [this, hash, whole] {
        if (whole) return;
        ++world_.stats.damaged;
        process_->replica->refetch_kept(1, hash);
        feed(Tick{});
      };
    });
  }
}

void Node::verified(const std::string& path, const DiskState& known, bool rotten, Verdict verdict, const Hash128& found) {
  if (verdict == Verdict::changed) return look(path, true, 0);
  if (verdict == Verdict::unreadable) return;
  if (rotten != (verdict == Verdict::damaged)) {
    world_.violation("verify tells the truth", fmt::format("{} finds {} {}, which is {}", name_, path, verdict == Verdict::damaged ? "damaged" : "whole",
                                                           rotten ? "rotten" : "as it was written"));
  }
  if (verdict != Verdict::damaged) return;
  ++world_.stats.damaged;
  (void)process_->replica->repair(1, path, known, found, now());  // refused where something is under way: a later verify finds it
  feed(Tick{});
}

}  // namespace syncline::sim

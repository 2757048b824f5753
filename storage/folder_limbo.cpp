#include "storage/folder_limbo.h"

#include <cstdlib>

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "storage/folder_hash.h"
#include "storage/folder_names.h"

namespace syncline {

void Limbo::add(Entry entry) {
  entry.since_ns = fs_.now_ns();
  // So young a file may be written once more without a trace in its stamps.
  if (std::abs(entry.since_ns - entry.print.mtime_ns) < fs_.stamp_tick_ns()) entry.print = {};
  const std::lock_guard lock(mutex_);
  entries_.push_back(std::move(entry));
}

void Limbo::report(LateWrite late) {
  const std::lock_guard lock(mutex_);
  late_.push_back(std::move(late));
}

std::size_t Limbo::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size() + late_.size() + notes_.size();
}

bool Limbo::has_room() {
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() < limits::limbo_files) return true;
  }
  auto late = settle(true);
  const std::lock_guard lock(mutex_);
  late_.insert(late_.end(), std::make_move_iterator(late.begin()), std::make_move_iterator(late.end()));
  return entries_.size() < limits::limbo_files && late_.size() < limits::limbo_files;
}

std::vector<LateWrite> Limbo::settle(bool at_once) {
  std::deque<Entry> due;
  std::vector<LateWrite> late;
  const std::int64_t now = fs_.now_ns();
  drop_notes(now);
  {
    const std::lock_guard lock(mutex_);
    late.swap(late_);
    std::deque<Entry> later;
    for (Entry& entry : entries_) {
      const std::int64_t age = now - entry.since_ns;
      // A clock that was set back makes an age negative: then it is simply due.
      const bool waits = !at_once && age >= 0 && age < (entry.blind ? kBlindAgeNs : kAgeNs);
      (waits ? later : due).push_back(std::move(entry));
    }
    entries_ = std::move(later);
  }
  std::deque<Entry> still_open;
  for (Entry& entry : due) {
    if (settle_one(entry, late) == Verdict::waits) still_open.push_back(std::move(entry));
  }
  const std::lock_guard lock(mutex_);
  entries_.insert(entries_.begin(), std::make_move_iterator(still_open.begin()),
                  std::make_move_iterator(still_open.end()));
  return late;
}

Limbo::Verdict Limbo::settle_one(const Entry& entry, std::vector<LateWrite>& late) {
  auto file = fs_.open(entry.at);
  if (!file) return file.error().code == Error::Code::not_found ? Verdict::done : Verdict::waits;
  if ((*file)->open_for_writing().value_or(false)) return Verdict::waits;
  auto stat = (*file)->stat();
  if (!stat) return Verdict::waits;
  if (stat->print != entry.print) return settle_changed(entry, **file, *stat, late);
  if (entry.keep) return keep_version(entry.at, entry.known, stat->links) ? Verdict::done : Verdict::waits;
  if (!entry.at.starts_with(folder_names::kVersions)) fs_.remove_file(entry.at);
  return Verdict::done;
}

Limbo::Verdict Limbo::settle_changed(const Entry& entry, File& file, const FileStat& stat,
                                     std::vector<LateWrite>& late) {
  const auto hashed = hash_file(file, stat.print.size, key_);
  const auto after = file.stat();
  if (!hashed || !after || after->print != stat.print) return Verdict::waits;
  if (hashed->hash == entry.known) {  // only its attributes or its names changed
    Entry same = entry;
    same.print = stat.print;
    return settle_one(same, late);
  }
  Content content{Kind::file, hashed->hash, stat.print.size, stat.mode, stat.print.mtime_ns, {}};
  LateWrite found{entry.path, entry.known, entry.by, {std::move(content), {}}};
  if (!keep_late(entry.at, found, stat.links)) return Verdict::waits;
  late.push_back(std::move(found));
  return Verdict::done;
}

Status Limbo::keep_version(const std::string& from, const Hash128& hash, std::uint32_t links) {
  const std::string to = folder_names::version(hash);
  if (links <= 1) return fs_.replace(from, to);
  if (!fs_.stat(to)) {
    if (auto copied = copy_version(from, hash); !copied) return copied;
  }
  return fs_.remove_file(from);
}

Status Limbo::copy_version(const std::string& from, const Hash128& hash) {
  const std::string to = folder_names::version(hash), unfinished = to + ".new";
  (void)fs_.remove_file(unfinished);
  auto copied = fs_.clone(from, unfinished);
  if (copied) copied = fs_.replace(unfinished, to);
  if (!copied) (void)fs_.remove_file(unfinished);
  return copied;
}

Status Limbo::keep_late(const std::string& from, const LateWrite& late, std::uint32_t links) {
  Writer w;
  w.id(late.disk.content.hash), w.id(late.replaced), w.id(late.by), w.bytes(late.path);
  const std::string note = folder_names::late(key_.hash(w.data()));
  auto file = fs_.open_write(note);
  auto noted = file ? (*file)->write_at(0, w.data()) : Status(tl::unexpected(file.error()));
  if (!noted) return noted;
  {
    const std::lock_guard lock(mutex_);
    notes_.push_back({note, fs_.now_ns()});
  }
  return keep_version(from, late.disk.content.hash, links);
}

bool Limbo::is_whole(File& file, const FileStat& stat, const Hash128& hash) const {
  const auto hashed = hash_file(file, stat.print.size, key_);
  return hashed && hashed->hash == hash;
}

void Limbo::recall(const std::string& note) {
  Bytes bytes(3 * Hash128::size + 2 + limits::path_bytes, '\0');
  auto file = fs_.open(note);
  const auto size = file ? (*file)->read_at(0, bytes) : Result<std::size_t>(tl::unexpected(file.error()));
  Reader r(BytesView(bytes).substr(0, size.value_or(0)));
  LateWrite late;
  Content& content = late.disk.content;
  content.hash = r.id<Hash128>();
  late.replaced = r.id<Hash128>();
  late.by = r.id<Hash128>();
  late.path = r.bytes(limits::path_bytes);
  const auto kept = fs_.open(folder_names::version(content.hash));
  const auto stat = kept ? (*kept)->stat() : Result<FileStat>(tl::unexpected(kept.error()));
  const bool whole = r.done() && stat && is_whole(**kept, *stat, content.hash);
  if (!whole) return void(fs_.remove_file(note));  // the bytes are where they were, and say so themselves, or the power took them
  content.kind = Kind::file;
  content.size = stat->print.size;
  content.mode = stat->mode;
  content.mtime_ns = stat->print.mtime_ns;
  const std::lock_guard lock(mutex_);
  notes_.push_back({note, fs_.now_ns()});
  late_.push_back(std::move(late));
}

void Limbo::drop_notes(std::int64_t now_ns) {
  std::vector<std::string> due;
  {
    const std::lock_guard lock(mutex_);
    while (!notes_.empty() && std::abs(now_ns - notes_.front().since_ns) >= kNoteAgeNs) {
      due.push_back(std::move(notes_.front().at));
      notes_.pop_front();
    }
  }
  for (const std::string& note : due) (void)fs_.remove_file(note);
}

}  // namespace syncline

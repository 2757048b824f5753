#include "storage/scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "protocol/limits.h"
#include "storage/index_codec.h"

namespace syncline {
namespace {

constexpr std::size_t kPage = 512;  // entries of the index read at once

// Longer paths have a hash in their key, so the index does not hold them in the order of the tree: they are
// looked up one by one.
bool is_ordered(std::string_view path) { return path.size() < kPathKeyBytes; }

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

bool is_present(const PathEntry& entry) { return entry.disk && entry.disk->state.present(); }

// A racy fingerprint (ctime 0) differs from everything.
bool same_print(const Fingerprint& known, const Fingerprint& found) {
  return known.ctime_ns != 0 && known == found;
}

bool differs(const PathEntry* known, const FileStat& found) {
  if (known == nullptr || !is_present(*known)) return true;
  const DiskState& state = known->disk->state;
  switch (found.type) {
    case FileType::file:
      return state.content.kind != Kind::file || state.content.mode != found.mode ||
             !same_print(state.print, found.print);
    case FileType::directory:  // its size, ctime and so on change with its entries, which is nobody's
                               // business
      return state.content.kind != Kind::directory || state.content.mode != found.mode ||
             state.content.mtime_ns != found.print.mtime_ns;
    case FileType::symlink:
      return state.content.kind != Kind::symlink || !same_print(state.print, found.print);
    case FileType::other:
      return true;
  }
  return true;
}

}  // namespace

Scanner::Scanner(FileSystem& fs, const IndexReader& index, ScanOptions options)
    : fs_(fs), index_(index), options_(std::move(options)) {
  assert(options_.check_marker);
  walk_.emplace(fs_, options_.subtree, options_.ignore.get());
  believed_ = options_.accept_deletions || !options_.subtree.empty();
}

ScanSlice Scanner::step(std::size_t budget) {
  assert(!ended_ && budget > 0);
  ScanSlice slice;
  if (!begun_) begin(slice);
  std::size_t spent = 0;
  while (!ended_ && !giving_absences_ && spent < budget) {
    if (walk_->current() == nullptr && indexed() == nullptr) {
      giving_absences_ = true;
      break;
    }
    join_one(slice);
    ++spent;
    const bool full = absences_.size() >= limits::scan_held_absences;
    counting_ |= full && !believed_;
    giving_absences_ = full && believed_;
  }
  if (ended_ || !giving_absences_) return slice;
  if (!believed_ && !believes(slice)) return slice;
  if (counting_)
    begin_again();
  else
    give_absences(budget - spent, slice);
  return slice;
}

// At the end, before anything is said to be missing. False: that is too much, and the scan has ended.
bool Scanner::believes(ScanSlice& slice) {
  const auto& [entries, indexed, changed, present, absent, problems] = totals_;
  const bool too_much = absent >= kMassDelete && absent * 100 > present * options_.missing_percent && options_.missing_percent < 100;
  believed_ = !too_much;
  if (believed_) return true;
  if (const Status marker = options_.check_marker(); !marker)
    end(slice, ScanSlice::State::refused, marker.error().message);
  else
    end(slice, ScanSlice::State::missing,
        fmt::format("{} of {} files and directories are missing since they were last looked at: nothing is deleted", absent, present));
  return false;
}

void Scanner::begin_again() {
  counting_ = giving_absences_ = index_begun_ = index_ended_ = begun_ = false;
  absences_.clear(), page_.clear(), blocked_.clear(), index_after_.clear();
  page_at_ = 0;
  totals_ = {};
  walk_.emplace(fs_, options_.subtree, options_.ignore.get());
}

void Scanner::end(ScanSlice& slice, ScanSlice::State state, std::string reason) {
  ended_ = true;
  slice.state = state;
  slice.reason = std::move(reason);
}

void Scanner::begin(ScanSlice& slice) {
  begun_ = true;
  if (Status opened = walk_->open(); !opened)
    return end(slice, ScanSlice::State::refused, opened.error().message);
  if (!walk_->root_is_empty()) return;
  if (Status marker = options_.check_marker(); !marker) {
    return end(slice, ScanSlice::State::refused, marker.error().message);
  }
  if (options_.accept_deletions || !index_has_files()) return;
  end(slice, ScanSlice::State::emptied,
      "the folder is empty, but it had files when it was last looked at: nothing is deleted");
}

bool Scanner::index_has_files() const {
  std::string after;
  while (true) {
    const auto page = index_.below(options_.folder, "", after, kPage);
    if (page.empty()) return false;
    for (const auto& [path, entry] : page) {
      if (is_present(entry) && entry.disk->state.content.kind != Kind::directory) return true;
    }
    after = page.back().first;
  }
}

// The next entry of the index, null at its end. Valid until page_at_ changes.
const Scanner::Indexed* Scanner::indexed() {
  if (page_at_ < page_.size()) return &page_[page_at_];
  if (index_ended_) return nullptr;
  page_.clear();
  page_at_ = 0;
  if (!index_begun_ && !options_.subtree.empty()) {
    if (auto self = index_.get(options_.folder, options_.subtree))
      page_.emplace_back(options_.subtree, *std::move(self));
  }
  index_begun_ = true;
  if (page_.empty()) {
    page_ = index_.below(options_.folder, options_.subtree, index_after_, kPage);
    if (!page_.empty()) index_after_ = page_.back().first;
  }
  index_ended_ = page_.empty();
  return index_ended_ ? nullptr : &page_.front();
}

void Scanner::join_one(ScanSlice& slice) {
  const WalkEntry* entry = walk_->current();
  const Indexed* known = indexed();
  if (known != nullptr &&
      known->first == kRootPath) {  // never missing; whoever asked for the scan looks at it
    ++page_at_;
  } else if (known != nullptr && !is_ordered(known->first)) {
    out_of_order(*known);
    ++page_at_;
  } else if (entry != nullptr && !is_ordered(entry->path)) {
    const auto found = index_.get(options_.folder, entry->path);
    met(*entry, found ? &*found : nullptr, slice);
    walk_->advance();
  } else if (entry != nullptr && known != nullptr && entry->path == known->first) {
    met(*entry, &known->second, slice);
    ++totals_.indexed;
    ++page_at_;
    walk_->advance();
  } else if (entry != nullptr && (known == nullptr || preorder_less(entry->path, known->first))) {
    met(*entry, nullptr, slice);
    walk_->advance();
  } else {
    ++totals_.indexed;
    missing(*known);
    ++page_at_;
  }
}

// An entry of the index that the walk meets at another time: only its absence is decided here.
void Scanner::out_of_order(const Indexed& item) {
  ++totals_.indexed;
  if (!is_present(item.second)) return;
  const auto found = fs_.stat(item.first);
  if (!found && found.error().code == Error::Code::not_found) missing(item);
}

void Scanner::met(const WalkEntry& entry, const PathEntry* known, ScanSlice& slice) {
  ++totals_.entries;
  totals_.present += known != nullptr && is_present(*known);
  if (!entry.problem.empty()) report(entry.path, entry.problem, slice);
  if (entry.state == WalkEntry::State::unfit) return;
  if (entry.state != WalkEntry::State::found) blocked_ = entry.path;
  if (entry.state == WalkEntry::State::unknown) return;
  if (entry.stat.type == FileType::other) {
    report(entry.path, "a device, socket or FIFO: only files, directories and symlinks are synced", slice);
    if (known == nullptr || !is_present(*known)) return;
  }
  if (!differs(known, entry.stat)) return;
  ++totals_.changed;
  if (counting_) return;
  Look look;
  look.path = entry.path;
  look.directory = entry.stat.type == FileType::directory;
  if (!options_.moved_from.empty())
    look.moved_from = options_.moved_from + entry.path.substr(options_.subtree.size());
  slice.looks.push_back(std::move(look));
}

void Scanner::missing(const Indexed& item) {
  if (!is_present(item.second)) return;
  if (!blocked_.empty() && is_below(item.first, blocked_)) return;
  const bool directory = item.second.disk->state.content.kind == Kind::directory;
  if (options_.ignore && options_.ignore->ignores(item.first, directory)) return;
  ++totals_.absent, ++totals_.present;
  if (counting_) return;
  Look look;
  look.path = item.first;
  look.directory = directory;
  absences_.push_back(std::move(look));
}

void Scanner::report(const std::string& path, std::string reason, ScanSlice& slice) {
  ++totals_.problems;
  if (counting_) return;
  slice.problems.push_back({path, std::move(reason)});
}

// They were found in preorder and are given in reverse: children before their directory.
void Scanner::give_absences(std::size_t budget, ScanSlice& slice) {
  if (!absences_.empty()) {
    if (Status marker = options_.check_marker(); !marker) {
      return end(slice, ScanSlice::State::refused, marker.error().message);
    }
  }
  for (; budget > 0 && !absences_.empty(); --budget) {
    slice.looks.push_back(std::move(absences_.back()));
    absences_.pop_back();
  }
  if (!absences_.empty()) return;
  giving_absences_ = false;
  if (walk_->current() == nullptr && indexed() == nullptr) end(slice, ScanSlice::State::done);
}

}  // namespace syncline

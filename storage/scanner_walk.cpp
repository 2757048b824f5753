#include "storage/scanner_walk.h"

#include <algorithm>
#include <span>

#include "protocol/limits.h"

namespace syncline {
namespace {

// Enough that opening the directory for each batch costs nothing, few enough that the stats are fresh.
constexpr std::size_t kStatBatch = 256;

}  // namespace

TreeWalk::TreeWalk(FileSystem& fs, std::string start, const IgnoreRules* ignore)
    : fs_(fs), start_(std::move(start)), ignore_(ignore) {}

Status TreeWalk::open() {
  if (start_.empty()) {
    if (Status entered = enter(""); !entered) return entered;
    root_is_empty_ = levels_.back().items.empty();
    advance();
    return {};
  }
  current_.path = start_;
  Result<FileStat> stat = fs_.stat(start_);
  const bool directory = stat && stat->type == FileType::directory;
  if ((!stat && stat.error().code == Error::Code::not_found) || (ignore_ && ignore_->ignores(start_, directory))) {
    at_end_ = true;
  } else {
    arrive(std::move(stat));
  }
  return {};
}

Status TreeWalk::enter(std::string directory) {
  auto items = fs_.list(directory);
  if (!items) return tl::unexpected(items.error());
  if (directory.empty())
    std::erase_if(*items, [](const DirectoryItem& item) { return item.name == kOwnDirectory; });
  std::sort(items->begin(), items->end(),
            [](const DirectoryItem& a, const DirectoryItem& b) { return a.name < b.name; });
  levels_.push_back({std::move(directory), *std::move(items), {}, 0, 0});
  return {};
}

void TreeWalk::advance() {
  while (!levels_.empty()) {
    if (next_item()) return;
    levels_.pop_back();
  }
  at_end_ = true;
}

// Makes the next item of the innermost directory the current entry. False if there is none.
bool TreeWalk::next_item() {
  Level& level = levels_.back();
  while (level.next < level.items.size()) {
    if (level.next == level.stats_begin + level.stats.size()) {
      level.stats_begin = level.next;
      const std::span<const DirectoryItem> rest = std::span(level.items).subspan(level.next);
      level.stats = fs_.stat_many(level.directory, rest.first(std::min(rest.size(), kStatBatch)));
    }
    const auto& [name, type] = level.items[level.next];
    Result<FileStat> stat = std::move(level.stats[level.next - level.stats_begin]);
    ++level.next;
    if (!stat && stat.error().code == Error::Code::not_found) continue;
    current_.path.assign(level.directory);
    if (!current_.path.empty()) current_.path += '/';
    current_.path += name;
    // What is above has been entered, and so is not ignored.
    if (ignore_ && ignore_->excludes(current_.path, (stat ? stat->type : type) == FileType::directory)) continue;
    arrive(std::move(stat));  // may push a level: `level` and `name` are not to be used any more
    return true;
  }
  return false;
}

void TreeWalk::arrive(Result<FileStat> stat) {
  current_.problem.clear();
  const std::string& path = current_.path;
  const std::size_t name_size = path.size() - (path.rfind('/') + 1);  // npos + 1 is 0
  if (path.size() > limits::path_bytes || name_size > limits::name_bytes) {
    current_.state = WalkEntry::State::unfit;
    current_.problem = "its path or name is too long to be synced";
    return;
  }
  if (!stat) {
    current_.state = WalkEntry::State::unknown;
    current_.problem = stat.error().message;
    return;
  }
  current_.state = WalkEntry::State::found;
  current_.stat = *stat;
  if (stat->type != FileType::directory) return;
  const Status entered = enter(path);
  if (entered || entered.error().code == Error::Code::not_found) return;  // gone: empty by now
  current_.state = WalkEntry::State::unlistable;
  current_.problem = entered.error().message;
}

}  // namespace syncline

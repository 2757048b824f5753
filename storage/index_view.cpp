#include "storage/index_view.h"

#include <algorithm>

#include "protocol/codec.h"

namespace syncline {
namespace {

constexpr std::size_t kChunk = 512;  // items read from the Kv at a time

// The items of a Kv from `first` on as a base of merge_over().
class KvBase {
 public:
  KvBase(Kv& kv, BytesView first, BytesView last, std::size_t chunk) : kv_(kv), last_(last), chunk_(chunk) {
    read(Bytes(first));
  }
  const std::pair<Bytes, Bytes>* peek() const { return at_ < items_.size() ? &items_[at_] : nullptr; }
  void next() {
    if (++at_ == items_.size() && at_ == chunk_) read(items_.back().first + '\0');
  }

 private:
  void read(const Bytes& from) {
    items_ = kv_.range(from, last_, chunk_);
    at_ = 0;
  }
  Kv& kv_;
  BytesView last_;
  std::size_t chunk_, at_ = 0;
  KvItems items_;
};

bool is_below(std::string_view path, std::string_view directory) {
  if (directory.empty()) return true;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

// The keys of a table that may belong to paths below `directory`: exactly these unless the directory's own
// path is too long.
struct Bounds {
  Bytes first, last;
};
Bounds bounds_below(const Bytes& table, std::string_view directory) {
  if (directory.empty()) return {table, prefix_end(table)};
  Bytes head(directory.substr(0, kPathHeadBytes));
  std::replace(head.begin(), head.end(), '/', '\0');
  if (head.size() < kPathHeadBytes) head.push_back('\0');
  Bytes first = table + head;
  Bytes last = prefix_end(first);
  return {std::move(first), std::move(last)};
}

Bytes just_above(Bytes key) { return std::move(key.append(1, '\0')); }

}  // namespace

std::optional<Bytes> IndexView::get(BytesView key) const {
  if (batch_ != nullptr) {
    if (const auto it = batch_->find(key); it != batch_->end()) return it->second;
  }
  return kv_.get(key);
}

KvItems IndexView::range(BytesView first, BytesView last, std::size_t max_items) const {
  if (batch_ == nullptr) return kv_.range(first, last, max_items);
  if (!last.empty() && first >= last) return {};
  const auto begin = batch_->lower_bound(first), end = range_end(*batch_, last);
  if (begin == end) return kv_.range(first, last, max_items);
  KvBase base(kv_, first, last, std::clamp<std::size_t>(max_items, 1, kChunk));
  return merge_over(begin, end, base, max_items);
}

void IndexView::damaged(const char* what) const {
  kv_.report_damage(std::string("the index holds ") + what + " that makes no sense");
}

std::optional<PathEntry> IndexView::entry(FolderId folder, std::string_view path) const {
  Bytes key = entry_key(Table::live, folder, path);
  const std::size_t path_at = key.size() - std::min(path.size(), kPathKeyBytes);
  const auto look = [&](Table table) {
    key[0] = static_cast<char>(table);
    return get(key);
  };
  auto value = look(Table::live);
  if (!value) value = look(Table::dead);
  // Without the writer's batch this may be another thread, and the path may just have gone from one table to
  // the other.
  for (std::uint64_t now = 0, seen = 1; !value && batch_ == nullptr && now != seen;) {
    seen = kv_.applied();
    value = look(Table::live);
    if (!value) value = look(Table::dead);
    now = kv_.applied();
  }
  if (!value) return std::nullopt;
  auto named = decode_entry(folder, BytesView(key).substr(path_at), *value);
  if (!named || named->path != path) return damaged("an entry of a path"), std::nullopt;
  return std::move(named->entry);
}

std::vector<std::pair<std::string, PathEntry>> IndexView::below(FolderId folder, std::string_view directory,
                                                                std::string_view after,
                                                                std::size_t limit) const {
  std::vector<std::pair<std::string, PathEntry>> out;
  const Bytes live = folder_key(Table::live, folder), dead = folder_key(Table::dead, folder);
  const std::size_t table_bytes = live.size();
  Bytes after_key = after.empty() ? Bytes() : path_key(after);
  while (out.size() < limit) {
    const std::size_t chunk = std::min(limit - out.size(), kChunk);
    KvItems items;
    for (const Bytes& table : {dead, live}) {
      Bounds bounds = bounds_below(table, directory);
      if (!after_key.empty()) bounds.first = std::max(bounds.first, just_above(table + after_key));
      KvItems part = range(bounds.first, bounds.last, chunk);
      items.insert(items.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    }
    const bool more = items.size() >= chunk;
    const auto tail = [&](const auto& item) { return BytesView(item.first).substr(table_bytes); };
    std::sort(items.begin(), items.end(), [&](const auto& a, const auto& b) { return tail(a) < tail(b); });
    if (items.size() > chunk)
      items.resize(chunk);  // beyond these, one of the tables may have others in between
    for (const auto& item : items) {
      auto named = decode_entry(folder, tail(item), item.second);
      if (!named) return damaged("an entry of a path"), out;
      const bool twice =
          !out.empty() && out.back().first == named->path;  // it came to life between the two reads
      if (!twice && is_below(named->path, directory))
        out.emplace_back(std::move(named->path), std::move(named->entry));
    }
    if (!more) break;
    after_key = tail(items.back());
  }
  return out;
}

bool IndexView::has_live_child(FolderId folder, std::string_view directory) const {
  const Bytes table = folder_key(Table::live, folder);
  auto [first, last] = bounds_below(table, directory);
  for (std::size_t chunk = 1;; chunk = kChunk) {
    const KvItems items = range(first, last, chunk);
    for (const auto& [key, value] : items) {
      const auto named = decode_entry(folder, BytesView(key).substr(table.size()), value);
      if (!named) return damaged("an entry of a path"), false;
      if (is_below(named->path, directory)) return true;
    }
    if (items.size() < chunk) return false;
    first = just_above(items.back().first);
  }
}

std::vector<std::string> IndexView::paths(Table table, FolderId folder, std::string_view after,
                                          std::size_t limit) const {
  const Bytes prefix = folder_key(table, folder);
  const Bytes first = after.empty() ? prefix : just_above(prefix + path_key(after));
  std::vector<std::string> out;
  for (const auto& [key, value] : range(first, prefix_end(prefix), limit)) {
    auto path = path_of(BytesView(key).substr(prefix.size()), value);
    if (!path) return damaged("a list of paths"), out;
    out.push_back(*std::move(path));
  }
  return out;
}

std::vector<std::string> IndexView::paths_with(FolderId folder, const Hash128& content,
                                               std::size_t limit) const {
  const Bytes prefix = content_key(content, folder);
  std::vector<std::string> out;
  for (const auto& [key, value] : range(prefix, prefix_end(prefix), limit)) {
    auto path = path_of(BytesView(key).substr(prefix.size()), value);
    if (!path) return damaged("a list of contents"), out;
    out.push_back(*std::move(path));
  }
  return out;
}

std::optional<Conflict> IndexView::conflict(FolderId folder, std::string_view path, const Dot& loser) const {
  for (const Table table : {Table::open_conflict, Table::resolved_conflict}) {
    const auto found = conflicts(conflict_key(table, folder, path, loser), 1);
    if (!found.empty()) return found.front();
  }
  return std::nullopt;
}

std::vector<Conflict> IndexView::conflicts(Bytes prefix, std::size_t limit) const {
  std::vector<Conflict> out;
  const Bytes last = prefix_end(prefix);
  for (const auto& [key, value] : range(prefix, last, limit)) {
    Reader r(value);
    out.push_back(read_conflict(r));
    if (!r.done()) return damaged("a conflict"), out.pop_back(), out;
  }
  return out;
}

std::optional<LogItem> IndexView::item(const LogTarget& target, const Dot& dot, std::size_t& bytes) const {
  if (target.loser.seq != 0) {
    auto found = conflict(target.folder, target.path, target.loser);
    if (!found || found->dot != dot) return std::nullopt;
    bytes += sizeof(Conflict) + found->loser.path.size() + found->loser.content.target.size();
    return *std::move(found);
  }
  auto found = entry(target.folder, target.path);
  if (!found || !found->live || found->live->dot != dot) return std::nullopt;
  bytes += sizeof(Record) + found->live->path.size() + found->live->content.target.size();
  return *std::move(found->live);
}

std::vector<LogEntry> IndexView::log(const ActorId& actor, std::uint64_t after, std::size_t max_entries,
                                     std::size_t max_bytes) const {
  std::vector<LogEntry> out;
  if (after == UINT64_MAX) return out;
  Bytes first = log_key(actor, after + 1);
  const Bytes last = prefix_end(id_key(Table::log, actor));
  for (std::size_t bytes = 0; out.size() < max_entries;) {
    const std::size_t chunk = std::min(max_entries - out.size(), kChunk);
    const KvItems items = range(first, last, chunk);
    for (const auto& [key, value] : items) {
      const Dot dot{actor, seq_of(key)};
      const auto target = decode_target(value);
      auto found = target ? item(*target, dot, bytes) : std::nullopt;
      if (!found) return damaged("an entry of the log"), out;
      if (!out.empty() && bytes > max_bytes) return out;
      out.push_back({dot.seq, *std::move(found)});
    }
    if (items.size() < chunk) break;
    first = just_above(items.back().first);
  }
  return out;
}

IndexCounts IndexView::counts(FolderId folder) const {
  const auto value = get(folder_key(Table::counts, folder));
  if (!value) return {};
  const auto counts = decode_counts(*value);
  return counts ? *counts : (damaged("counts"), IndexCounts{});
}

}  // namespace syncline

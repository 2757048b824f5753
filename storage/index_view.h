#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/index_codec.h"
#include "storage/kv_overlay.h"

namespace syncline {

// The Kv as one reader of the index sees it: with the writer's open batch over it, or plain. What cannot be
// decoded is reported to the Kv as damage and skipped. As thread-safe as what it refers to.
class IndexView {
 public:
  explicit IndexView(Kv& kv, const KvOverlay* batch = nullptr) : kv_(kv), batch_(batch) {}

  std::optional<Bytes> get(BytesView key) const;
  KvItems range(BytesView first, BytesView last, std::size_t max_items) const;
  void damaged(const char* what) const;

  std::optional<PathEntry> entry(FolderId folder, std::string_view path) const;
  std::vector<std::pair<std::string, PathEntry>> below(FolderId folder, std::string_view directory,
                                                       std::string_view after, std::size_t limit) const;
  bool has_live_child(FolderId folder, std::string_view directory) const;
  // Paths of a table keyed by (folder, path) whose value is no more than path_in_value(): in preorder, after
  // `after`.
  std::vector<std::string> paths(Table table, FolderId folder, std::string_view after,
                                 std::size_t limit) const;
  std::vector<std::string> paths_with(FolderId folder, const Hash128& content, std::size_t limit) const;

  std::optional<Conflict> conflict(FolderId folder, std::string_view path, const Dot& loser) const;
  std::vector<Conflict> conflicts(Bytes prefix, std::size_t limit) const;  // whose keys begin so
  std::vector<LogEntry> log(const ActorId& actor, std::uint64_t after, std::size_t max_entries,
                            std::size_t max_bytes) const;
  IndexCounts counts(FolderId folder) const;

 private:
  std::optional<LogItem> item(const LogTarget& target, const Dot& dot, std::size_t& bytes) const;

  Kv& kv_;
  const KvOverlay* batch_;
};

}  // namespace syncline

#include "storage/index_view.h"

namespace syncline {

std::optional<PathEntry> IndexReader::get(FolderId folder, std::string_view path) const {
  return IndexView(kv_).entry(folder, path);
}

std::vector<std::pair<std::string, PathEntry>> IndexReader::below(FolderId folder, std::string_view directory,
                                                                  std::string_view after,
                                                                  std::size_t limit) const {
  return IndexView(kv_).below(folder, directory, after, limit);
}

bool preorder_less(std::string_view a, std::string_view b) {
  const auto rank = [](char c) { return c == '/' ? 0 : static_cast<int>(static_cast<unsigned char>(c)); };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

}  // namespace syncline

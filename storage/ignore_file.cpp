#include "storage/ignore_file.h"

#include <span>

#include "protocol/ignore.h"
#include "protocol/limits.h"

namespace syncline {

Result<std::string> read_ignore_file(FileSystem& fs) {
  const auto stat = fs.stat(kIgnoreFile);
  if (!stat && stat.error().code != Error::Code::not_found) return tl::unexpected(stat.error());
  if (!stat || stat->type != FileType::file) return std::string();
  auto file = fs.open(kIgnoreFile);
  if (!file && file.error().code == Error::Code::not_found) return std::string();
  if (!file) return tl::unexpected(file.error());
  std::string text(limits::ignore_file_bytes + 1, '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const auto some = (*file)->read_at(got, std::span(text).subspan(got));
    if (!some) return tl::unexpected(some.error());
    if (*some == 0) break;
    got += *some;
  }
  text.resize(got);
  return text;
}

}  // namespace syncline

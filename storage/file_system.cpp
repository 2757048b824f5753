#include "storage/file_system.h"

#include <chrono>

namespace syncline {

Status File::set_mark(BytesView) { return fail(Error::Code::unsupported, "this file system keeps no marks"); }

std::vector<Result<FileStat>> FileSystem::stat_many(std::string_view directory,
                                                    std::span<const DirectoryItem> items) {
  std::vector<Result<FileStat>> out;
  out.reserve(items.size());
  std::string path(directory);
  if (!path.empty()) path += '/';
  const std::size_t prefix = path.size();
  for (const DirectoryItem& item : items) {
    path.replace(prefix, std::string::npos, item.name);
    out.push_back(stat(path));
  }
  return out;
}

Status FileSystem::link(std::string_view, std::string_view) {
  return fail(Error::Code::unsupported, "this file system has no hard links");
}

Status FileSystem::set_owner(std::string_view, std::uint32_t, std::uint32_t) {
  return fail(Error::Code::unsupported, "this file system has no owners");
}

std::int64_t FileSystem::now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace syncline

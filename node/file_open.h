#pragma once
#include <functional>
#include <optional>
#include <string>

#include "node/file_source.h"
#include "protocol/ids.h"
#include "storage/index.h"

namespace syncline {

// Opens what a reader may have of a folder: FileSource::open() on any file system and whatever knows the
// paths.
struct FileOpener {
  FileSystem& fs;
  std::function<std::optional<PathEntry>(const std::string& path)> entry_of;
  const Key32& secret;  // of the cluster: makes the ETags

  Result<OpenedFile> open(std::string& path) const;

 private:
  Result<OpenedFile> open_here(const std::string& path) const;
  Result<std::string> follow(const std::string& path) const;
  std::string etag(const std::optional<PathEntry>& known, const FileStat& stat) const;
};

}  // namespace syncline

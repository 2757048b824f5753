#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "storage/file_system.h"

namespace syncline {

// A file of the folder, held open: what is sent of it is one version, whatever becomes of the path meanwhile.
struct OpenedFile {
  std::unique_ptr<File> file;
  FileStat stat;
  std::string etag;  // quoted, as in the header; the same on every member. Begins with W/ where the bytes are
                     // too young to be sure of
};

struct FoundFile {
  enum class Where : std::uint8_t { here, nowhere, unavailable } where = Where::unavailable;
  std::string reason;  // unavailable: one line
};
using FindAnswer = std::function<void(FoundFile)>;

// Where GET /v1/file gets files from: the node, or a fake in tests.
class FileSource {
 public:
  virtual ~FileSource() = default;
  // Any thread. What this node shows at the path in the folder of this name ("": the first), if that is the newest version it
  // knows of. Symlinks that stay inside the folder are followed: `path` is then where they led. Error::not_found: not here, find() may bring it; Error::refused: never to be served (a directory, outside, the node's own); Error::busy:
  // being written.
  virtual Result<OpenedFile> open(const std::string& folder, std::string& path) = 0;
  // On the loop's thread. Looks for the path everywhere and brings it here. Calls `answer` once, there, now
  // or later.
  virtual void find(const std::string& folder, const std::string& path, FindAnswer answer) = 0;
};

}  // namespace syncline

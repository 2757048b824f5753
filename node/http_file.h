#pragma once
#include <httplib.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "node/file_source.h"
#include "node/http_bridge.h"

namespace syncline {

// GET and HEAD /v1/file/PATH (DESIGN.md, section 6), in any folder /v1/folder/NAME/PATH: the file as this node has it, at once; else it
// is fetched first; 404 only when the source says that it is nowhere. Called on the HTTP threads.
class HttpFiles {
 public:
  static constexpr std::string_view kPrefix = "/v1/file/", kFolderPrefix = "/v1/folder/";
  static bool is_of(std::string_view target) { return target.starts_with(kPrefix) || target.starts_with(kFolderPrefix); }

  HttpFiles(FileSource& source, std::shared_ptr<HttpBridge> bridge)
      : source_(source), bridge_(std::move(bridge)) {}

  // `request` is one of these. Its ranges are taken away, so that the library leaves the answer as it is.
  void answer(httplib::Request& request, httplib::Response& response);
  std::string metrics_text() const;

 private:
  enum Count : std::size_t { served, fetched, missed, unavailable };
  void reply(const httplib::Request& request, httplib::Response& response, std::shared_ptr<HttpPlace> place);
  bool fetch(const std::string& folder, const std::string& path, httplib::Response& response);
  void refuse(const Error& why, httplib::Response& response);
  void count(Count what) { counts_[what].fetch_add(1, std::memory_order_relaxed); }

  FileSource& source_;
  std::shared_ptr<HttpBridge> bridge_;
  std::atomic<std::size_t> answering_{0}, finding_{0};
  std::array<std::atomic<std::uint64_t>, 4> counts_{};
};

}  // namespace syncline

#include "node/http_file.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "node/http_reply.h"
#include "node/http_words.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr std::chrono::milliseconds kPatience{limits::find_patience_ms};
constexpr unsigned kRounds = 3;  // a path may change between being found and being opened

// One answer under way: one descriptor, one buffer, and the place that it takes. Its body is made of pieces
// of text and slices of the file.
class Sending {
 public:
  Sending(OpenedFile opened, std::shared_ptr<HttpPlace> place)
      : opened_(std::move(opened)), place_(std::move(place)) {}

  void add(std::string text) {
    parts_.push_back({size_, std::move(text), 0, 0}), size_ += parts_.back().text.size();
  }
  void add(const http::Slice& slice) {
    parts_.push_back({size_, {}, slice.first, slice.last - slice.first + 1}), size_ += parts_.back().bytes;
  }
  std::size_t size() const { return size_; }

  // Some of the body from `offset` on. False breaks the connection off: whoever has got a part then knows
  // that it is one.
  bool send(std::size_t offset, httplib::DataSink& sink) {
    const auto after = std::upper_bound(parts_.begin(), parts_.end(), offset,
                                        [](std::size_t at, const Part& part) { return at < part.start; });
    const Part& part = *std::prev(after);
    const std::size_t into = offset - part.start;
    if (!part.text.empty()) return sink.write(part.text.data() + into, part.text.size() - into);
    piece_.resize(std::min<std::size_t>(part.bytes - into, limits::http_piece_bytes));
    const auto got = opened_.file->read_at(part.first + into, piece_);
    if (!got || *got != piece_.size()) return false;
    const auto now = opened_.file->stat();  // after the read: what was written in place before it shows
    const Fingerprint& then = opened_.stat.print;
    if (!now || now->print.size != then.size || now->print.mtime_ns != then.mtime_ns) return false;
    return sink.write(piece_.data(), piece_.size());
  }

 private:
  struct Part {
    std::size_t start = 0;  // in the body
    std::string text;       // or, empty:
    std::uint64_t first = 0;
    std::size_t bytes = 0;
  };
  OpenedFile opened_;
  std::shared_ptr<HttpPlace> place_;
  std::vector<Part> parts_;
  std::size_t size_ = 0;
  std::vector<char> piece_;
};

std::int64_t seconds_of(std::int64_t ns) { return ns >= 0 ? ns / 1'000'000'000 : 0; }

bool not_modified(const httplib::Request& request, const std::string& etag, std::int64_t modified) {
  if (request.has_header("If-None-Match"))
    return http::none_match_names(request.get_header_value("If-None-Match"), etag);
  const auto since = http::parse_date(request.get_header_value("If-Modified-Since"));
  return since && modified <= *since;
}

http::Ranges wanted_ranges(const httplib::Request& request, const OpenedFile& opened, std::int64_t modified) {
  const bool asked = request.method == "GET" &&
                     (!request.has_header("If-Range") ||
                      http::range_holds(request.get_header_value("If-Range"), opened.etag, modified));
  if (!asked) return {};
  return http::choose_ranges({request.ranges.begin(), request.ranges.end()}, opened.stat.print.size);
}

std::string content_range(const http::Slice& slice, std::uint64_t size) {
  return fmt::format("bytes {}-{}/{}", slice.first, slice.last, size);
}

// multipart/byteranges (RFC 9110, 14.6); the boundary.
std::string add_parts(Sending& sending, const http::Ranges& ranges, const std::string& type,
                      std::uint64_t size) {
  std::array<char, 16> noise;
  randombytes_buf(noise.data(), noise.size());
  const std::string boundary = to_hex(BytesView(noise.data(), noise.size()));
  for (const http::Slice& slice : ranges.slices) {
    sending.add(fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n", boundary, type,
                            content_range(slice, size)));
    sending.add(slice);
  }
  sending.add(fmt::format("\r\n--{}--\r\n", boundary));
  return boundary;
}

void send_file(const http::Ranges& ranges, httplib::Response& response, std::string type,
               const std::shared_ptr<Sending>& sending, std::uint64_t size) {
  response.status = ranges.slices.empty() ? 200 : 206;
  if (ranges.slices.size() > 1) {
    type = "multipart/byteranges; boundary=" + add_parts(*sending, ranges, type, size);
  } else if (ranges.slices.size() == 1) {
    response.set_header("Content-Range", content_range(ranges.slices.front(), size));
    sending->add(ranges.slices.front());
  } else if (size > 0) {
    sending->add(http::Slice{0, size - 1});
  } else {  // without a length the library would ask for a body without end
    return response.set_content("", type);
  }
  response.set_content_provider(sending->size(), type,
                                [sending](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                                  return sending->send(offset, sink);
                                });
}

void answer_file(const httplib::Request& request, httplib::Response& response, const std::string& path,
                 OpenedFile opened, std::shared_ptr<HttpPlace> place) {
  const std::uint64_t size = opened.stat.print.size;
  const std::int64_t modified = seconds_of(opened.stat.print.mtime_ns);
  response.set_header("ETag", opened.etag);
  response.set_header("Last-Modified", http::date(modified));
  response.set_header("Accept-Ranges", "bytes");
  if (not_modified(request, opened.etag, modified)) {
    response.status = 304;
    return;
  }
  const http::Ranges ranges = wanted_ranges(request, opened, modified);
  if (ranges.what == http::Ranges::Do::refuse) {
    response.status = 416;
    response.set_header("Content-Range", fmt::format("bytes */{}", size));
    return;
  }
  send_file(ranges, response, http::content_type(path),
            std::make_shared<Sending>(std::move(opened), std::move(place)), size);
}

}  // namespace

void HttpFiles::answer(httplib::Request& request, httplib::Response& response) {
  if (request.method != "GET" && request.method != "HEAD") {
    response.set_header("Allow", "GET, HEAD");
    return http_reply_error(response, 405, Error::Code::refused, "a file can only be read here");
  }
  auto place = std::make_shared<HttpPlace>(answering_, limits::http_files);
  if (place->got())
    reply(request, response, std::move(place));
  else
    refuse({Error::Code::busy, "too many files are being sent at once; try again"}, response);
  request.ranges.clear();  // the library would take them from the body again, and miscounts several (0.11.4)
}

void HttpFiles::reply(const httplib::Request& request, httplib::Response& response,
                      std::shared_ptr<HttpPlace> place) {
  const bool first = request.target.starts_with(kPrefix);
  auto path = http::decode_path(std::string_view(request.target).substr(first ? kPrefix.size() : kFolderPrefix.size()));
  if (!path) return refuse(path.error(), response);
  std::string folder;
  if (!first) {
    folder = path->substr(0, path->find('/'));
    path->erase(0, folder.size() + 1);
    if (folder.empty() || path->empty()) return refuse({Error::Code::invalid, "it is /v1/folder/NAME/PATH"}, response);
  }
  for (unsigned round = 0; round < kRounds; ++round) {
    auto opened = source_.open(folder, *path);
    if (opened) {
      count(round == 0 ? served : fetched);
      return answer_file(request, response, *path, *std::move(opened), std::move(place));
    }
    if (opened.error().code != Error::Code::not_found) return refuse(opened.error(), response);
    if (!fetch(folder, *path, response)) return;
  }
  refuse({Error::Code::busy, "the file changes faster than it can be opened; try again"}, response);
}

// True: it is here now. Otherwise the response says why not.
bool HttpFiles::fetch(const std::string& folder, const std::string& path, httplib::Response& response) {
  const HttpPlace place(finding_, limits::http_finds);
  if (!place.got()) {
    refuse({Error::Code::busy, "too many missing files are waited for; try again"}, response);
    return false;
  }
  const auto found = bridge_->call<FoundFile>(
      [this, folder, path](FindAnswer answer) { source_.find(folder, path, std::move(answer)); }, kPatience);
  if (found && found->where == FoundFile::Where::here) return true;
  if (found && found->where == FoundFile::Where::nowhere)
    refuse({Error::Code::not_found, "no member has this file"}, response);
  else
    refuse({Error::Code::busy, found ? found->reason : "the node does not answer"}, response);
  return false;
}

void HttpFiles::refuse(const Error& why, httplib::Response& response) {
  // What may not be served is not there, as far as a reader is concerned.
  const int status = why.code == Error::Code::refused ? 404 : http_status_of(why.code);
  if (status == 404) count(missed);
  if (status == 503) count(unavailable);
  http_reply_error(response, status, status == 404 ? Error::Code::not_found : why.code, why.message);
}

std::string HttpFiles::metrics_text() const {
  static constexpr std::array<const char*, 4> kNames{"served", "fetched", "missed", "unavailable"};
  std::string out =
      "# HELP syncline_file_requests_total Requests of /v1/file: from disk at once, after a fetch, 404, "
      "503.\n"
      "# TYPE syncline_file_requests_total counter\n";
  for (std::size_t i = 0; i < kNames.size(); ++i)
    out += fmt::format("syncline_file_requests_total{{result=\"{}\"}} {}\n", kNames[i], counts_[i].load());
  return out;
}

}  // namespace syncline

// GET /v1/file over real sockets, with a source that is told what to say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <thread>

#include "node/file_source.h"
#include "node/http_server.h"
#include "node/http_words.h"
#include "protocol/address.h"
#include "protocol/limits.h"
#include "storage/file_system_memory.h"
#include "tests/unit/node_loop_support.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using Where = FoundFile::Where;

constexpr std::int64_t kMtimeNs = 784'111'777'250'000'000;

class FakeSource : public FileSource {
 public:
  void put(const std::string& path, const std::string& bytes) {
    disk.app_replace(path, bytes);
    disk.app_set_mtime(path, kMtimeNs);
  }
  Result<OpenedFile> open(const std::string& folder, std::string& path) override {
    ++opens;
    if (!folder.empty() && folder != "media") return fail(Error::Code::refused, "no such folder");
    if (!folder.empty()) path = folder + ":" + path;
    if (path == "busy") return fail(Error::Code::busy, "being written");
    if (path == "broken") return fail(Error::Code::io, "the disk has an error");
    if (path.starts_with(".") || !is_canonical_path(path)) return fail(Error::Code::refused, "no");
    auto file = disk.open(path);
    if (!file) return tl::unexpected(file.error());
    const FileStat stat = *(*file)->stat();
    return OpenedFile{*std::move(file), stat, etag};
  }
  void find(const std::string&, const std::string& path, FindAnswer answer) override {
    if (path == "slow") {
      const std::lock_guard lock(mutex);
      kept.push_back(std::move(answer));
      return changed.notify_all();
    }
    if (path == "away") return answer({Where::unavailable, "web3 could not be asked"});
    if (path == "slippery") return answer({Where::here, ""});
    if (path != "elsewhere") return answer({Where::nowhere, ""});
    put("elsewhere", "fetched");
    answer({Where::here, ""});
  }
  void wait_for_kept(std::size_t n) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return kept.size() >= n; });
  }

  MemoryFileSystem disk{[] { return kMtimeNs; }};
  std::atomic<std::size_t> opens{0};
  std::string etag = "\"tag\"";
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<FindAnswer> kept;
};

class HttpFileTest : public ::testing::Test {
 protected:
  HttpFileTest() { start("127.0.0.1:0"); }
  ~HttpFileTest() override {
    loop_.run([&] { server_.reset(); });
  }
  void start(const std::string& listen) {
    if (server_) loop_.run([&] { server_.reset(); });
    auto server = HttpServer::start(
        {listen, "s3cret-token-of-the-node"}, node_, [this](auto job) { loop_.post(std::move(job)); },
        &source_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  httplib::Client client() const {
    httplib::Client c("127.0.0.1", parse_address(server_->local_address())->port);
    c.set_read_timeout(30, 0);
    c.set_url_encode(false);
    return c;
  }
  httplib::Result get(const std::string& path, const httplib::Headers& headers = {}) const {
    return client().Get("/v1/file/" + path, headers);
  }

  FakeNode node_{[](const ControlRequest& request) -> std::optional<Result<ControlReply>> {
    if (std::holds_alternative<ReadyRequest>(request)) return ControlReply(ReadyReply{.ready = true, .reason = {}, .unhealthy = {}, .folders = {}});
    return ControlReply(StatusReply{});
  }};
  FakeSource source_;
  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpFileTest, a_file_with_all_its_headers) {
  source_.put("a b.jpg", "0123456789");
  const auto r = get("a%20b.jpg?v=2");
  EXPECT_EQ(r->status, 200);
  EXPECT_EQ(r->body, "0123456789");
  EXPECT_EQ(r->get_header_value("Content-Type"), "image/jpeg");
  EXPECT_EQ(r->get_header_value("Content-Length"), "10");
  EXPECT_EQ(r->get_header_value("ETag"), "\"tag\"");
  EXPECT_EQ(r->get_header_value("Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(r->get_header_value("Accept-Ranges"), "bytes");
  EXPECT_EQ(r->get_header_value_count("Accept-Ranges"), 1u);
}

TEST_F(HttpFileTest, head_says_the_same_without_the_bytes) {
  source_.put("a.css", "0123456789");
  const auto r = client().Head("/v1/file/a.css", {{"Range", "bytes=0-3"}});
  EXPECT_EQ(r->status, 200);
  EXPECT_EQ(r->body, "");
  EXPECT_EQ(r->get_header_value("Content-Length"), "10");
  EXPECT_EQ(r->get_header_value("Content-Type"), "text/css");
  EXPECT_EQ(r->get_header_value("ETag"), "\"tag\"");
  EXPECT_EQ(client().Head("/v1/file/nothing")->status, 404);
}

TEST_F(HttpFileTest, a_file_of_another_folder) {
  source_.put("media:a b", "theirs");
  source_.put("a b", "ours");
  EXPECT_EQ(client().Get("/v1/folder/m%65dia/a%20b")->body, "theirs");
  EXPECT_EQ(get("a%20b?folder=media")->body, "ours") << "a query that a balancer hands on names no folder";
  EXPECT_EQ(client().Get("/v1/folder/nobody/a%20b")->status, 404);
  for (const char* path : {"/v1/folder/", "/v1/folder/media", "/v1/folder/media/", "/v1/folder//a"})
    EXPECT_EQ(client().Get(path)->status, 400) << path;
}

TEST_F(HttpFileTest, an_empty_file) {
  source_.put("empty", "");
  EXPECT_EQ(get("empty")->status, 200);
  EXPECT_EQ(get("empty")->body, "");
  EXPECT_EQ(get("empty", {{"Range", "bytes=0-"}})->status, 416);
}

TEST_F(HttpFileTest, a_large_file_in_pieces) {
  std::string bytes(5 * limits::http_piece_bytes + 17, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  source_.put("large", bytes);
  EXPECT_TRUE(get("large")->body == bytes);
  const auto part = get("large", {{"Range", "bytes=262143-1000000"}});
  EXPECT_EQ(part->status, 206);
  EXPECT_TRUE(part->body == bytes.substr(262143, 1000000 - 262143 + 1));
}

TEST_F(HttpFileTest, ranges) {
  source_.put("a", "0123456789");
  const auto range = [&](const std::string& value) { return get("a", {{"Range", value}}); };
  const auto first = range("bytes=0-3");
  EXPECT_EQ(first->status, 206);
  EXPECT_EQ(first->body, "0123");
  EXPECT_EQ(first->get_header_value("Content-Range"), "bytes 0-3/10");
  EXPECT_EQ(first->get_header_value("Content-Length"), "4");
  EXPECT_EQ(range("bytes=7-")->body, "789");
  EXPECT_EQ(range("bytes=-2")->body, "89");
  const auto over = range("bytes=8-4000000");
  EXPECT_EQ(over->body, "89");
  EXPECT_EQ(over->get_header_value("Content-Range"), "bytes 8-9/10");
  EXPECT_EQ(range("bytes=0-9")->status, 206);
  const auto beyond = range("bytes=10-20");
  EXPECT_EQ(beyond->status, 416);
  EXPECT_EQ(beyond->get_header_value("Content-Range"), "bytes */10");
  std::string many = "bytes=0-0";
  for (int i = 0; i < 1000; ++i) many += ",1-1";
  EXPECT_EQ(range(many)->status, 200);
}

TEST_F(HttpFileTest, several_ranges) {
  source_.put("a.txt", "0123456789");
  const auto r = get("a.txt", {{"Range", "bytes=0-1, 50-60, 8-20"}});
  EXPECT_EQ(r->status, 206);
  const std::string type = r->get_header_value("Content-Type");
  const std::string start = "multipart/byteranges; boundary=";
  ASSERT_TRUE(type.starts_with(start)) << type;
  const std::string line = "--" + type.substr(start.size());
  EXPECT_EQ(r->body, "\r\n" + line +
                         "\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n" + line +
                         "\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n" + line +
                         "--\r\n");
  EXPECT_EQ(r->get_header_value("Content-Length"), std::to_string(r->body.size()));
}

TEST_F(HttpFileTest, conditions) {
  source_.put("a", "0123456789");
  const auto same = get("a", {{"If-None-Match", "\"x\", \"tag\""}, {"Range", "bytes=0-1"}});
  EXPECT_EQ(same->status, 304);
  EXPECT_EQ(same->body, "");
  EXPECT_FALSE(same->has_header("Content-Length"));
  EXPECT_EQ(same->get_header_value("ETag"), "\"tag\"");
  EXPECT_EQ(get("a", {{"If-None-Match", "\"x\""}, {"If-Modified-Since", http::date(2'000'000'000)}})->status,
            200);
  EXPECT_EQ(get("a", {{"If-Modified-Since", http::date(784'111'777)}})->status, 304);
  EXPECT_EQ(get("a", {{"If-Modified-Since", http::date(784'111'776)}})->status, 200);
  EXPECT_EQ(get("a", {{"If-Range", "\"tag\""}, {"Range", "bytes=0-1"}})->body, "01");
  EXPECT_EQ(get("a", {{"If-Range", "\"old\""}, {"Range", "bytes=0-1"}})->status, 200);
  EXPECT_EQ(get("a", {{"If-Range", "\"old\""}, {"Range", "bytes=0-1"}})->body, "0123456789");
  EXPECT_EQ(get("a", {{"If-Range", http::date(784'111'777)}, {"Range", "bytes=0-1"}})->status, 206);
  source_.etag = "W/\"young\"";
  EXPECT_EQ(get("a", {{"If-Range", "W/\"young\""}, {"Range", "bytes=0-1"}})->status, 200);
  EXPECT_EQ(get("a", {{"If-None-Match", "W/\"young\""}})->status, 304);
}

TEST_F(HttpFileTest, a_missing_file_is_fetched) {
  const auto r = get("elsewhere");
  EXPECT_EQ(r->status, 200);
  EXPECT_EQ(r->body, "fetched");
  EXPECT_EQ(source_.opens, 2u);
}

TEST_F(HttpFileTest, nowhere_and_unavailable) {
  const auto nowhere = get("nothing", {{"Range", "bytes=0-1"}});
  EXPECT_EQ(nowhere->status, 404);
  EXPECT_THAT(nowhere->body, HasSubstr("no member has this file"));
  EXPECT_FALSE(nowhere->has_header("Retry-After"));
  for (const char* path : {"away", "busy", "slippery"}) {
    const auto r = get(path);
    EXPECT_EQ(r->status, 503) << path;
    EXPECT_EQ(r->get_header_value("Retry-After"), "1") << path;
  }
  EXPECT_THAT(get("away")->body, HasSubstr("web3 could not be asked"));
  EXPECT_EQ(get("broken")->status, 500);
}

TEST_F(HttpFileTest, what_is_never_served) {
  source_.put("a", "x");
  for (const char* path :
       {"", "..", "../a", "a/../a", "%2e%2e/a", "..%2fa", ".%2e/%2e./etc/passwd", "/etc/passwd",
        "%2fetc%2fpasswd", "a/", "a%2f", "./a", ".syncline/folder", "%2esyncline/folder"})
    EXPECT_EQ(get(path)->status, 404) << path;
  for (const char* path : {"%", "%zz", "a%00", "%u002e%u002e"}) EXPECT_EQ(get(path)->status, 400) << path;
  EXPECT_EQ(get(std::string(limits::path_bytes + 1, 'a'))->status, 400);
  EXPECT_EQ(get(std::string(20'000, 'a'))->status, 414);
  EXPECT_EQ(client().Get("/v1/file")->status, 404);
  EXPECT_EQ(client().Get("/v1/../v1/file/a")->status, 404);
}

TEST_F(HttpFileTest, only_get_and_head) {
  const auto r = client().Post("/v1/file/a", "x", "text/plain");
  EXPECT_EQ(r->status, 405);
  EXPECT_EQ(r->get_header_value("Allow"), "GET, HEAD");
  EXPECT_EQ(client().Delete("/v1/file/a")->status, 405);
}

TEST_F(HttpFileTest, strangers_get_nothing) {
  source_.put("a", "x");
  start("0.0.0.0:0");
  EXPECT_EQ(get("a")->status, 401);
  EXPECT_EQ(get("nothing")->status, 401);
  EXPECT_EQ(get("a", {{"Authorization", "Bearer s3cret-token-of-the-node"}})->body, "x");
}

// One descriptor for the whole answer: what replaces the file meanwhile is the next reader's.
TEST_F(HttpFileTest, a_file_replaced_meanwhile_is_sent_whole) {
  const std::string before(40 * limits::http_piece_bytes, 'a');
  source_.put("a", before);
  std::string got;
  client().Get("/v1/file/a", [&](const char* data, std::size_t n) {
    if (got.empty()) source_.put("a", std::string(40 * limits::http_piece_bytes, 'b'));
    got.append(data, n);
    return true;
  });
  EXPECT_TRUE(got == before);
  EXPECT_EQ(get("a")->body.front(), 'b');
}

// Written in place instead: half old, half new must not pass for the whole.
TEST_F(HttpFileTest, a_file_changed_in_place_is_broken_off) {
  const std::size_t size = 40 * limits::http_piece_bytes;
  source_.put("a", std::string(size, 'a'));
  std::string got;
  const auto r = client().Get("/v1/file/a", [&](const char* data, std::size_t n) {
    if (got.empty()) {
      source_.disk.app_write("a", std::string(size, 'b'));
      source_.disk.app_set_mtime("a", kMtimeNs + 1);
    }
    got.append(data, n);
    return true;
  });
  EXPECT_FALSE(r);
  EXPECT_LT(got.size(), size);
  EXPECT_EQ(got.find('b'), std::string::npos);
}

TEST_F(HttpFileTest, readers_that_wait_leave_threads_for_others) {
  source_.put("a", "x");
  std::atomic<std::size_t> turned_away{0}, done{0};
  std::vector<std::thread> waiting;
  for (std::size_t i = 0; i < limits::http_finds + 5; ++i)
    waiting.emplace_back([&] {
      const auto r = get("slow");
      turned_away += r && r->status == 503 && r->get_header_value("Retry-After") == "1";
      done += r && r->status == 404;
    });
  source_.wait_for_kept(limits::http_finds);
  while (turned_away < 5) std::this_thread::yield();
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  EXPECT_EQ(get("a")->status, 200);
  loop_.run([&] {
    for (const auto& answer : source_.kept) answer({Where::nowhere, ""});
  });
  for (auto& thread : waiting) thread.join();
  EXPECT_EQ(done, limits::http_finds);
}

TEST_F(HttpFileTest, requests_are_counted) {
  source_.put("a", "x");
  get("a"), get("a"), get("elsewhere"), get("nothing"), get("away"), get(".syncline/x");
  const std::string metrics = client().Get("/metrics")->body;
  for (const char* line : {"{result=\"served\"} 2\n", "{result=\"fetched\"} 1\n", "{result=\"missed\"} 2\n",
                           "{result=\"unavailable\"} 1\n"})
    EXPECT_THAT(metrics, HasSubstr(std::string("syncline_file_requests_total") + line));
}

}  // namespace
}  // namespace syncline

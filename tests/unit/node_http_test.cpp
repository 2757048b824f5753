#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>

#include "node/http_server.h"
#include "protocol/address.h"
#include "protocol/limits.h"
#include "tests/unit/node_loop_support.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class HttpServerTest : public ::testing::Test {
 protected:
  ~HttpServerTest() override { stop(); }

  void start(const std::string& listen = "127.0.0.1:0") {
    auto server = HttpServer::start({listen, "s3cret-token-of-the-node"}, node_,
                                    [this](auto job) { loop_.post(std::move(job)); });
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  void stop() {
    loop_.run([&] { server_.reset(); });
  }
  httplib::Client client() const {
    const auto address = parse_address(server_->local_address());
    httplib::Client c("127.0.0.1", address->port);
    c.set_read_timeout(30, 0);
    return c;
  }
  static nlohmann::json json(const httplib::Result& r) { return nlohmann::json::parse(r->body); }
  httplib::Result wait(const std::string& body) const {
    return client().Post("/v1/wait", body, "application/json");
  }

  std::atomic<bool> ready_{false}, healthy_{true};
  FakeNode node_{[this](const ControlRequest& request) -> std::optional<Result<ControlReply>> {
    if (std::holds_alternative<ReadyRequest>(request))
      return ControlReply(ready_ ? ReadyReply{true, "", NodeState::ready, healthy_, healthy_ ? "" : "the disk is full", 0, {}}
                                 : ReadyReply{false, "catching up with web2", NodeState::catching_up, true, "", 7,
                                              {{"uploads", 12, 34}}});
    if (std::holds_alternative<ConflictsRequest>(request)) return ControlReply(ConflictsReply{});
    if (const auto* wait = std::get_if<WaitRequest>(&request)) {
      if (wait->path == "missing") return fail(Error::Code::not_found, "no such path: missing");
      if (wait->path == "slow") return std::nullopt;
      return ControlReply(WaitReply{wait->path == "have", {"web1"}, {"web2"}, {"web3"}});
    }
    StatusReply status;
    status.node = "web1";
    status.peers.push_back({"we\"b\n2", {}, "", true, true, 3, 1500, 10, 20, 1});
    status.folders.push_back({"uploads", "/srv/uploads", FolderState::ok, "", 7, 8, 1, 0, 2});
    return ControlReply(status);
  }};
  LoopThread loop_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, health_and_readiness) {
  start();
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  const auto not_ready = client().Get("/readyz");
  EXPECT_EQ(not_ready->status, 503);
  EXPECT_EQ(not_ready->body,
            "not ready: catching up: catching up with web2\nuploads: 12 changes, 34 s behind\n7 changes not heard of yet\n");
  ready_ = true;
  EXPECT_EQ(client().Get("/readyz")->status, 200);
  EXPECT_THAT(client().Get("/readyz")->body, ::testing::StartsWith("ready\n"));
  EXPECT_EQ(client().Head("/readyz")->status, 200);
  healthy_ = false;
  EXPECT_EQ(client().Get("/healthz")->status, 503);
  EXPECT_THAT(client().Get("/healthz")->body, HasSubstr("the disk is full"));
}

TEST_F(HttpServerTest, status_and_conflicts_are_those_of_the_command_line) {
  start();
  EXPECT_EQ(json(client().Get("/v1/status"))["node"], "web1");
  const auto conflicts = client().Get("/v1/conflicts");
  EXPECT_EQ(conflicts->status, 200);
  EXPECT_EQ(conflicts->get_header_value("Content-Type"), "application/json");
  EXPECT_TRUE(json(conflicts).is_array());
}

TEST_F(HttpServerTest, metrics_are_prometheus_text) {
  start();
  const auto metrics = client().Get("/metrics");
  EXPECT_THAT(metrics->get_header_value("Content-Type"), HasSubstr("version=0.0.4"));
  EXPECT_THAT(metrics->body, HasSubstr("syncline_ready 0\n"));
  EXPECT_THAT(metrics->body,
              HasSubstr("syncline_peer_linked{peer=\"we\\\"b\\n2\",id=\"0000000000000000\"} 1\n"));
  EXPECT_THAT(metrics->body,
              HasSubstr("syncline_peer_rtt_seconds{peer=\"we\\\"b\\n2\",id=\"0000000000000000\"} 0.0015\n"));
  EXPECT_THAT(metrics->body, HasSubstr("syncline_folder_conflicts{folder=\"uploads\"} 2\n"));
  std::istringstream lines(metrics->body);
  for (std::string line; std::getline(lines, line);) {  // every sample's family was introduced
    if (line.starts_with('#')) continue;
    EXPECT_THAT(metrics->body, HasSubstr("# TYPE " + line.substr(0, line.find_first_of("{ ")) + " "));
  }
}

TEST_F(HttpServerTest, wait_answers_as_the_design_says) {
  start();
  const auto done = wait(R"({"path":"have","nodes":"all","durable":false,"timeout_ms":2000})");
  EXPECT_EQ(done->status, 200);
  EXPECT_EQ(json(done)["have"][0], "web1");
  const auto over = wait(R"({"path":"late"})");
  EXPECT_EQ(over->status, 504);
  EXPECT_EQ(json(over)["lacking"][0], "web2");
  EXPECT_EQ(json(over)["absent"][0], "web3");
  EXPECT_EQ(wait(R"({"path":"missing"})")->status, 404);
  EXPECT_EQ(wait(R"({"nodes":"all"})")->status, 400);
  EXPECT_EQ(wait("path=x")->status, 400);
  EXPECT_EQ(wait("{\"path\":\"" + std::string(limits::control_request_bytes, 'x') + "\"}")->status, 413);
}

TEST_F(HttpServerTest, what_is_not_offered_is_not_found) {
  start();
  EXPECT_EQ(client().Get("/")->status, 404);
  EXPECT_EQ(client().Get("/v1/wait")->status, 404);
  EXPECT_EQ(client().Get("/v1/file/a")->status, 404);
  EXPECT_EQ(client().Post("/v1/status", "", "text/plain")->status, 404);
}

// Uploads that wait must not make a balancer believe that the node is dead.
TEST_F(HttpServerTest, waits_leave_threads_for_health_checks) {
  start();
  std::vector<std::thread> waiting;
  std::atomic<std::size_t> turned_away{0}, done{0};
  for (std::size_t i = 0; i < limits::http_waits + 5; ++i)
    waiting.emplace_back([&] {
      const auto r = wait(R"({"path":"slow","timeout_ms":60000})");
      if (!r) return;
      if (r->status == 503 && r->get_header_value("Retry-After") == "1") ++turned_away;
      if (r->status == 200) ++done;
    });
  node_.wait_for_kept(limits::http_waits);
  while (turned_away < 5) std::this_thread::yield();
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  loop_.run([&] { node_.answer_kept(ControlReply(WaitReply{true, {"web1"}, {}, {}})); });
  for (auto& thread : waiting) thread.join();
  EXPECT_EQ(done, limits::http_waits);
}

TEST_F(HttpServerTest, stopping_answers_those_who_wait) {
  start();
  const auto began = std::chrono::steady_clock::now();
  std::thread waiting([&] {
    const auto r = wait(R"({"path":"slow","timeout_ms":3600000})");
    EXPECT_TRUE(!r || r->status == 503);
  });
  node_.wait_for_kept(1);
  stop();
  waiting.join();
  EXPECT_LT(std::chrono::steady_clock::now() - began,
            std::chrono::seconds(60));                               // not the hour that was asked for
  loop_.run([&] { node_.answer_kept(ControlReply(WaitReply{})); });  // harmless
}

TEST_F(HttpServerTest, strangers_get_health_only) {
  start("0.0.0.0:0");
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  const auto ready = client().Get("/readyz");
  EXPECT_EQ(ready->status, 503);
  EXPECT_THAT(ready->body, Not(HasSubstr("web2")));  // why is none of a stranger's business
  for (const char* path : {"/metrics", "/v1/status", "/v1/conflicts", "/v1/", "/nothing",
                           "/healthz/../v1/status", "//v1/status"}) {
    const auto r = client().Get(path);
    EXPECT_EQ(r->status, 401) << path;
    EXPECT_EQ(r->get_header_value("WWW-Authenticate"), "Bearer");
  }
  EXPECT_EQ(wait(R"({"path":"have"})")->status, 401);
  const auto with = [&](const std::string& value) {
    return client().Get("/v1/status", {{"Authorization", value}})->status;
  };
  EXPECT_EQ(with("Bearer s3cret-token-of-the-node"), 200);
  EXPECT_EQ(with("Bearer s3cret-token-of-the-nodf"), 401);
  EXPECT_EQ(with("Bearer s3cret-token-of-the-nod"), 401);
  EXPECT_EQ(with("Bearer "), 401);
  EXPECT_EQ(with("Basic s3cret-token-of-the-node"), 401);
}

TEST_F(HttpServerTest, a_port_in_use_is_one_clear_line) {
  start();
  const std::string taken = server_->local_address();
  const auto second = HttpServer::start({taken, "t"}, node_, [](auto) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Error::Code::busy);
  EXPECT_THAT(second.error().message, HasSubstr(taken + " is in use"));
  EXPECT_FALSE(HttpServer::start({"192.0.2.1:1", "t"}, node_, [](auto) {}));
  EXPECT_FALSE(HttpServer::start({"nonsense", "t"}, node_, [](auto) {}));
}

TEST_F(HttpServerTest, a_silent_loop_is_not_healthy) {
  auto server = HttpServer::start({"127.0.0.1:0", "t"}, node_, [](auto) {});  // posts into the void
  ASSERT_TRUE(server);
  server_ = *std::move(server);
  EXPECT_EQ(client().Get("/healthz")->status, 503);
}

}  // namespace
}  // namespace syncline

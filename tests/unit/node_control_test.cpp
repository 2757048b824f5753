#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "node/control_server.h"
#include "protocol/limits.h"
#include "tests/unit/node_loop_support.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A client that blocks, as the command line does.
class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void end_of_requests() { ::shutdown(fd_, SHUT_WR); }
  // "" when the server hung up.
  std::string line() {
    std::string out;
    for (char c = 0; ::recv(fd_, &c, 1, 0) == 1;) {
      if (c == '\n') return out;
      out += c;
    }
    return "";
  }
  std::string ask(const ControlRequest& request) {
    return send(encode_request(request) + "\n") ? line() : "";
  }

 private:
  int fd_;
  bool connected_ = false;
};

class ControlServerTest : public ::testing::Test {
 protected:
  ControlServerTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string pattern = fs::temp_directory_path() / "syncline-control-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    path_ = root_ / "control.sock";
    start();
  }
  ~ControlServerTest() override {
    stop();
    fs::remove_all(root_);
  }
  void start() {
    loop_.run([&] {
      auto server = ControlServer::start(loop_.uv(), path_, node_);
      ASSERT_TRUE(server) << server.error().message;
      server_ = *std::move(server);
    });
  }
  void stop() {
    loop_.run([&] { server_.reset(); });
  }
  std::size_t clients() {
    std::size_t n = 0;
    loop_.run([&] { n = server_->clients(); });
    return n;
  }

  fs::path root_;
  std::string path_;
  FakeNode node_{[](const ControlRequest& request) -> std::optional<Result<ControlReply>> {
    if (std::holds_alternative<WaitRequest>(request)) return std::nullopt;
    if (std::holds_alternative<ReadyRequest>(request)) return ControlReply(ReadyReply{.ready = true, .reason = {}, .unhealthy = {}, .folders = {}});
    if (const auto* show = std::get_if<ConflictShowRequest>(&request))
      return fail(Error::Code::not_found, "no conflict " + show->id);
    StatusReply status;
    status.node = "web1";
    return ControlReply(status);
  }};
  LoopThread loop_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, answers_one_line_for_each_line) {
  Client client(path_);
  EXPECT_EQ(decode_reply<StatusReply>(client.ask(StatusRequest{}))->node, "web1");
  EXPECT_TRUE(decode_reply<ReadyReply>(client.ask(ReadyRequest{}))->ready);
  const auto error = decode_reply<ConflictShowReply>(client.ask(ConflictShowRequest{"abcd"}));
  EXPECT_EQ(error.error().code, Error::Code::not_found);
  EXPECT_EQ(error.error().message, "no conflict abcd");
}

TEST_F(ControlServerTest, the_socket_is_private) {
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(ControlServerTest, requests_sent_ahead_are_answered_in_order) {
  Client client(path_);
  std::string many;
  for (int i = 0; i < 50; ++i) many += encode_request(ConflictShowRequest{"id" + std::to_string(i)}) + "\n";
  ASSERT_TRUE(client.send(many));
  client.end_of_requests();
  for (int i = 0; i < 50; ++i) EXPECT_THAT(client.line(), HasSubstr("no conflict id" + std::to_string(i)));
  EXPECT_EQ(client.line(), "");
}

TEST_F(ControlServerTest, a_request_in_pieces_is_one_request) {
  Client client(path_);
  for (const char c : encode_request(StatusRequest{}) + "\n") ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_TRUE(decode_reply<StatusReply>(client.line()));
}

TEST_F(ControlServerTest, rubbish_is_answered_and_the_client_may_go_on) {
  Client client(path_);
  ASSERT_TRUE(client.send("rubbish\n"));
  EXPECT_EQ(decode_reply<StatusReply>(client.line()).error().code, Error::Code::invalid);
  EXPECT_TRUE(decode_reply<StatusReply>(client.ask(StatusRequest{})));
}

TEST_F(ControlServerTest, a_line_without_end_is_refused_and_hung_up_on) {
  Client client(path_);
  client.send(std::string(limits::control_request_bytes + 1, 'x'));
  EXPECT_THAT(client.line(), HasSubstr("too long"));
  EXPECT_EQ(client.line(), "");
}

TEST_F(ControlServerTest, a_late_answer_finds_its_client) {
  Client client(path_);
  ASSERT_TRUE(client.send(encode_request(WaitRequest{"", "a", {}, false, 1}) + "\n"));
  node_.wait_for_kept(1);
  Client other(path_);
  EXPECT_TRUE(decode_reply<StatusReply>(other.ask(StatusRequest{})));  // nobody waits for a wait
  loop_.run([&] { node_.answer_kept(ControlReply(WaitReply{true, {"web1"}, {}, {}})); });
  EXPECT_TRUE(decode_reply<WaitReply>(client.line())->done);
}

TEST_F(ControlServerTest, an_answer_for_a_client_or_a_server_that_is_gone_is_dropped) {
  {
    Client client(path_);
    ASSERT_TRUE(client.send(encode_request(WaitRequest{"", "a", {}, false, 1}) + "\n"));
    node_.wait_for_kept(1);
  }
  loop_.run([&] { node_.answer_kept(ControlReply(WaitReply{})); });
  Client client(path_);
  ASSERT_TRUE(client.send(encode_request(WaitRequest{"", "a", {}, false, 1}) + "\n"));
  node_.wait_for_kept(1);
  stop();
  EXPECT_EQ(client.line(), "");
  loop_.run([&] { node_.answer_kept(ControlReply(WaitReply{})); });
  EXPECT_FALSE(fs::exists(path_));
  start();
}

TEST_F(ControlServerTest, clients_are_bounded_and_their_places_come_free) {
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < limits::control_clients; ++i) {
    clients.push_back(std::make_unique<Client>(path_));
    ASSERT_NE(clients.back()->ask(ReadyRequest{}), "") << i;
  }
  Client one_more(path_);
  const auto refused = decode_reply<Done>(one_more.line());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Error::Code::busy);
  EXPECT_EQ(one_more.line(), "");
  clients.clear();
  while (this->clients() > 0) std::this_thread::yield();
  EXPECT_NE(Client(path_).ask(ReadyRequest{}), "");
}

TEST_F(ControlServerTest, a_socket_left_behind_by_a_crash_is_replaced) {
  stop();
  {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(fd);
  }
  EXPECT_FALSE(Client(path_).connected());
  start();
  EXPECT_NE(Client(path_).ask(ReadyRequest{}), "");
}

TEST_F(ControlServerTest, a_file_in_the_way_stays_and_is_named) {
  stop();
  std::ofstream(path_) << "mine";
  loop_.run([&] {
    const auto server = ControlServer::start(loop_.uv(), path_, node_);
    ASSERT_FALSE(server);
    EXPECT_THAT(server.error().message, HasSubstr(path_));
  });
  EXPECT_TRUE(fs::is_regular_file(path_));
  fs::remove(path_);
  start();
}

TEST_F(ControlServerTest, a_path_too_long_for_a_socket_is_an_error_not_another_path) {
  loop_.run([&] {
    const auto server = ControlServer::start(loop_.uv(), "/tmp/" + std::string(200, 'x'), node_);
    ASSERT_FALSE(server);
    EXPECT_THAT(server.error().message, HasSubstr("too long for a socket"));
  });
}

}  // namespace
}  // namespace syncline

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/agent_server.h"
#include "protocol/address.h"
#include "tests/unit/node_loop_support.h"

namespace syncline {
namespace {

class Agent : public ::testing::Test {
 protected:
  ~Agent() override {
    loop_.run([&] { server_.reset(); });
  }
  Status start(const std::string& listen) {
    Status done;
    loop_.run([&] {
      auto server = AgentServer::start(loop_.uv(), listen, [this] { return line_; });
      if (server)
        server_ = *std::move(server);
      else
        done = tl::unexpected(server.error());
    });
    return done;
  }
  // Everything that one connection gives.
  std::string ask() const {
    const auto address = parse_address(server_->local_address());
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(address->port), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    std::string out;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
      char piece[256];
      for (ssize_t n = 0; (n = ::read(fd, piece, sizeof piece)) > 0;) out.append(piece, static_cast<std::size_t>(n));
    }
    ::close(fd);
    return out;
  }

  std::string line_ = "up 100%";
  LoopThread loop_;
  std::unique_ptr<AgentServer> server_;
};

TEST_F(Agent, says_its_line_to_whoever_asks_and_hangs_up) {
  ASSERT_TRUE(start("127.0.0.1:0"));
  EXPECT_EQ(ask(), "up 100%\n");
  loop_.run([&] { line_ = "down # catching up"; });
  for (int i = 0; i < 200; ++i) EXPECT_EQ(ask(), "down # catching up\n");
}

TEST_F(Agent, a_port_in_use_and_a_name_are_refused) {
  ASSERT_TRUE(start("127.0.0.1:0"));
  const std::string taken = server_->local_address();
  const Status busy = start(taken);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Error::Code::busy);
  EXPECT_NE(busy.error().message.find(taken), std::string::npos);
  const Status name = start("example.invalid:7442");
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, Error::Code::invalid);
}

}  // namespace
}  // namespace syncline

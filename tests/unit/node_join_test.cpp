#include "node/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>

#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

WallTime now() {
  using namespace std::chrono;
  return {static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count())};
}

// A link that needs no network: what the newcomer sends is answered by `answer`, at the next service().
class FakeTransport final : public Transport {
 public:
  using Answer = std::function<std::optional<Bytes>(const Options&, const JoinTarget&, BytesView)>;
  FakeTransport(const Options& options, TransportHandler& handler, Answer answer)
      : options_(options), handler_(handler), answer_(std::move(answer)), fd_(::eventfd(1, EFD_NONBLOCK)) {}
  ~FakeTransport() override { ::close(fd_); }

  std::string local_address() const override { return options_.listen; }
  void set_peers(const std::vector<LinkPeer>&) override {}
  bool send(const NodeId&, Lane, BytesView) override { return false; }
  void set_upload_rate(std::uint64_t) override {}
  std::size_t queued_bytes(const NodeId&, Lane) const override { return 0; }
  LinkStats stats(const NodeId&) const override { return {}; }
  JoinLinkId join(const JoinTarget& target) override { return target_ = target, 1; }
  bool join_send(JoinLinkId, BytesView message) override { return sent_ = Bytes(message), true; }
  void join_close(JoinLinkId) override {}
  int fd() const override { return fd_; }
  void flush() override {}

  Clock::time_point service(Clock::time_point at) override {
    if (target_ && !opened_) {
      opened_ = true;
      handler_.join_opened(1, target_->inviter_public_key, target_->token_id, "192.0.2.1:7440");
    } else if (sent_) {
      const auto answer = answer_(options_, *target_, *std::exchange(sent_, std::nullopt));
      if (answer && answer->empty()) handler_.join_closed(1, "unknown token");
      if (answer && !answer->empty()) handler_.join_received(1, *answer);
      if (!answer) return at + std::chrono::hours(1);
    }
    return at;
  }

 private:
  Options options_;
  TransportHandler& handler_;
  Answer answer_;
  int fd_;
  std::optional<JoinTarget> target_;
  std::optional<Bytes> sent_;
  bool opened_ = false;
};

class JoinTest : public ::testing::Test {
 protected:
  JoinTest() {
    std::string pattern = fs::temp_directory_path() / "syncline-join-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    for (const char* folder : {"a", "b"}) fs::create_directory(root_ / folder);
    founder_ =
        *init_home({(root_ / "home-a").string(), (root_ / "a").string(), "web1", "192.0.2.1:7440", ""});
    invites_ = *Invites::load(founder_.path + "/invites");
    token_ = make_invitation({}, founder_.cluster.cluster, founder_.identity.link.public_key,
                             {"192.0.2.1:7440"}, *invites_, now())
                 ->token;
  }
  ~JoinTest() override { fs::remove_all(root_); }

  SetupOptions options() const {
    return {(root_ / "home-b").string(), (root_ / "b").string(), "web2", "", ""};
  }
  AdmitContext context() {
    return {founder_.cluster, founder_.identity.node, founder_.members, *invites_, now()};
  }

  // The inviter as the running node has it: the handshake would have checked the token's secret.
  std::optional<Bytes> inviter(const Transport::Options& o, const JoinTarget& target, BytesView request) {
    if (invites_->secret(target.token_id, now()) != target.token_secret) return Bytes{};
    const Admission admission =
        admit(request, o.keys.public_key, target.token_id, "198.51.100.9:40000", context());
    admitted_ = admission.admitted;
    return encode_join_reply(admission.reply);
  }
  TransportFactory factory(FakeTransport::Answer answer = nullptr) {
    if (!answer) answer = [this](const auto& o, const auto& t, BytesView r) { return inviter(o, t, r); };
    return [answer](const Transport::Options& o, TransportHandler& h) -> Result<std::unique_ptr<Transport>> {
      return std::make_unique<FakeTransport>(o, h, answer);
    };
  }
  void refused(const Result<Home>& result, const std::string& what) {
    ASSERT_FALSE(result) << what;
    EXPECT_THAT(result.error().message, HasSubstr(what));
    EXPECT_NE(result.error().code, Error::Code::timed_out);  // exit status 1, not 3
    EXPECT_FALSE(fs::exists(root_ / "home-b")) << what;
    EXPECT_FALSE(fs::exists(root_ / "b/.syncline")) << what;
  }
  JoinRequest request(const Identity& identity, const std::string& name = "web2") const {
    return {kProtocolVersion, make_member(identity, founder_.cluster.cluster, name, {"0.0.0.0:7440"}, {})};
  }

  fs::path root_;
  Home founder_;
  std::optional<Invites> invites_;
  std::string token_;
  std::optional<Member> admitted_;
};

TEST_F(JoinTest, a_newcomer_gets_a_home_of_the_same_cluster) {
  const auto joined = join_cluster(token_, options(), factory());
  ASSERT_TRUE(joined) << joined.error().message;
  EXPECT_EQ(joined->cluster.cluster, founder_.cluster.cluster);
  EXPECT_EQ(joined->cluster.psk, founder_.cluster.psk);
  EXPECT_EQ(joined->cluster.hash_key, founder_.cluster.hash_key);
  EXPECT_EQ(joined->cluster.folders, founder_.cluster.folders);
  EXPECT_NE(joined->identity.node, founder_.identity.node);
  ASSERT_EQ(joined->members.size(), 2u);
  EXPECT_EQ(joined->members[0], founder_.members[0]);
  // It listens on every interface: the others are told where the inviter saw it.
  EXPECT_EQ(joined->members[1].addresses, std::vector<std::string>{"198.51.100.9:7440"});
  EXPECT_EQ(joined->members[1].admitted_by, founder_.identity.node);
  ASSERT_TRUE(admitted_);
  EXPECT_EQ(*admitted_, joined->members[1]);
  EXPECT_TRUE(fs::exists(root_ / "b/.syncline/folder"));
}

TEST_F(JoinTest, a_token_is_good_for_one_newcomer) {
  ASSERT_TRUE(join_cluster(token_, options(), factory()));
  fs::remove_all(root_ / "home-b");
  fs::remove_all(root_ / "b/.syncline");
  SetupOptions third = options();
  third.name = "web3";
  refused(join_cluster(token_, third, factory()), "unknown token");
}

TEST_F(JoinTest, bad_tokens_are_named_and_no_link_is_made) {
  const TransportFactory none = [](const auto&, auto&) -> Result<std::unique_ptr<Transport>> {
    ADD_FAILURE() << "no transport is wanted";
    return fail(Error::Code::io, "none");
  };
  refused(join_cluster("nonsense", options(), none), "this is not a join token");
  refused(join_cluster(token_.substr(0, token_.size() - 5), options(), none), "damaged or cut off");
  auto old = *parse_token(token_);
  old.expires = {1000};
  refused(join_cluster(token_text(old), options(), none),
          "has expired: it was good until 1970-01-01T00:00:01.000Z");
}

TEST_F(JoinTest, what_this_machine_can_refuse_does_not_use_the_token_up) {
  SetupOptions o = options();
  o.folder = (root_ / "missing").string();
  refused(join_cluster(token_, o, factory()), "missing");
  o = options();
  o.folder = (root_ / "a").string();  // the founder's own
  refused(join_cluster(token_, o, factory()), "already belongs to a cluster");
  EXPECT_EQ(invites_->outstanding(now()), 1u);
}

TEST_F(JoinTest, nobody_answers) {
  const auto silent = factory([](const auto&, const auto&, BytesView) { return std::nullopt; });
  refused(join_cluster(token_, options(), silent, {std::chrono::milliseconds(20)}),
          "no answer from 192.0.2.1:7440");
}

TEST_F(JoinTest, a_refusal_is_passed_on) {
  SetupOptions o = options();
  o.name = "web1";
  refused(join_cluster(token_, o, factory()), "a member named web1 is known already");
  EXPECT_EQ(invites_->outstanding(now()), 1u);
}

TEST_F(JoinTest, a_port_that_cannot_be_bound_is_passed_on) {
  const TransportFactory busy = [](const auto&, auto&) -> Result<std::unique_ptr<Transport>> {
    return fail(Error::Code::busy, "0.0.0.0:7440 is in use");
  };
  refused(join_cluster(token_, options(), busy), "is in use");
}

TEST_F(JoinTest, an_answer_that_does_not_fit_is_refused) {
  for (const auto& spoil :
       {+[](JoinReply& r) { r.cluster.bytes[0] ^= 1; }, +[](JoinReply& r) { r.psk = {}; },
        +[](JoinReply& r) { r.hash_key = {}; }, +[](JoinReply& r) { r.members.clear(); },
        +[](JoinReply& r) { r.members[0].signature.bytes[0] ^= 1; }, +[](JoinReply& r) { r.folders.clear(); },
        +[](JoinReply& r) { r.folders[0].name = "a/b"; }, +[](JoinReply& r) { r.you = r.members[0]; }}) {
    const auto answer = [&](const auto& o, const auto& t, BytesView request) -> std::optional<Bytes> {
      const Admission admission = admit(request, o.keys.public_key, t.token_id, "198.51.100.9:1", context());
      JoinReply reply = admission.reply;
      spoil(reply);
      return encode_join_reply(reply);
    };
    token_ = make_invitation({}, founder_.cluster.cluster, founder_.identity.link.public_key,
                             {"192.0.2.1:7440"}, *invites_, now())
                 ->token;
    refused(join_cluster(token_, options(), factory(answer)), "bad answer from the inviter");
  }
  refused(join_cluster(token_, options(),
                       factory([](const auto&, const auto&, BytesView) { return Bytes("junk"); })),
          "malformed");
}

TEST_F(JoinTest, admit_takes_nobody_whose_keys_do_not_fit) {
  const Identity newcomer = make_identity();
  const TokenId token = parse_token(token_)->id;
  const auto reason = [&](const JoinRequest& r, const Key32& key) {
    const Admission a = admit(encode_join_request(r), key, token, "198.51.100.9:1", context());
    EXPECT_FALSE(a.admitted);
    EXPECT_TRUE(a.reply.psk.is_zero());
    return a.reply.refusal;
  };
  EXPECT_THAT(reason(request(newcomer), make_identity().link.public_key), HasSubstr("do not fit"));
  JoinRequest r = request(newcomer);
  r.member = make_member(newcomer, ClusterId{}, "web2", {}, {});
  EXPECT_THAT(reason(r, newcomer.link.public_key), HasSubstr("do not fit"));
  EXPECT_THAT(reason(request(founder_.identity, "web9"), founder_.identity.link.public_key),
              HasSubstr("known already"));
  r = request(newcomer);
  r.version = kProtocolVersion + 1;
  EXPECT_THAT(reason(r, newcomer.link.public_key), HasSubstr("protocol version"));
  EXPECT_THAT(admit("abc", {}, token, "a:1", context()).reply.refusal, HasSubstr("malformed"));
  EXPECT_EQ(invites_->outstanding(now()), 1u);
  EXPECT_TRUE(admit(encode_join_request(request(newcomer)), newcomer.link.public_key, token, "198.51.100.9:1",
                    context())
                  .admitted);
}

// Two newcomers at once with a token for one: the handshake lets both in, the admission does not.
TEST_F(JoinTest, the_second_of_two_at_once_is_refused) {
  const Identity one = make_identity(), two = make_identity();
  const TokenId token = parse_token(token_)->id;
  EXPECT_TRUE(admit(encode_join_request(request(one, "web2")), one.link.public_key, token, "198.51.100.9:1",
                    context())
                  .admitted);
  EXPECT_THAT(admit(encode_join_request(request(two, "web3")), two.link.public_key, token, "198.51.100.9:1",
                    context())
                  .reply.refusal,
              HasSubstr("used up"));
}

TEST_F(JoinTest, a_cluster_of_the_greatest_size_still_answers) {
  for (std::size_t i = 1; i + 1 < limits::members; ++i) {
    Member m = founder_.members[0];
    m.node.bytes[0] = static_cast<std::uint8_t>(i), m.node.bytes[1] = static_cast<std::uint8_t>(i >> 8),
    m.link_key = Key32::from(m.node.view());
    m.name = "n" + std::to_string(i);
    founder_.members.push_back(m);
  }
  const Identity newcomer = make_identity();
  const TokenId token = parse_token(token_)->id;
  const Admission a = admit(encode_join_request(request(newcomer)), newcomer.link.public_key, token,
                            "[::ffff:198.51.100.9]:1", context());
  ASSERT_TRUE(a.admitted) << a.reply.refusal;
  EXPECT_EQ(a.admitted->addresses,
            std::vector<std::string>{"198.51.100.9:7440"});  // an IPv4 peer of a socket for both families
  EXPECT_EQ(a.reply.members.size(), limits::join_members);
  EXPECT_TRUE(decode_join_reply(encode_join_reply(a.reply)));
}

}  // namespace
}  // namespace syncline

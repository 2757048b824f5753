#include "node/join.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/join_wait.h"
#include "protocol/address.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

tl::unexpected<Error> refused(std::string why) { return fail(Error::Code::refused, std::move(why)); }

WallTime wall_clock() {
  using namespace std::chrono;
  return {static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count())};
}

// The newcomer's end of a join link: sends the request once the link is up, keeps the answer. Members cannot
// reach it: it has no peers.
class Newcomer final : public TransportHandler {
 public:
  explicit Newcomer(Bytes request) : request_(std::move(request)) {}

  void link_up(const NodeId&) override {}
  void link_down(const NodeId&, const std::string&) override {}
  void received(const NodeId&, Lane, BytesView) override {}
  void writable(const NodeId&, Lane) override {}
  std::optional<Key32> token_secret(const TokenId&) override { return std::nullopt; }
  void join_opened(JoinLinkId link, const Key32&, const TokenId&, const std::string&) override {
    if (!transport_->join_send(link, request_)) outcome_ = refused("the inviter hung up");
  }
  void join_received(JoinLinkId, BytesView message) override {
    if (!outcome_) outcome_ = decode_join_reply(message);
  }
  void join_closed(JoinLinkId, const std::string& reason) override {
    if (!outcome_) outcome_ = refused("the inviter does not let us in: " + printable(reason));
  }

  // nullopt: no answer in time.
  std::optional<Result<JoinReply>> run(Transport& transport, const JoinTarget& target,
                                       Clock::time_point until) {
    transport_ = &transport;
    const JoinLinkId link = transport.join(target);
    for (auto now = Clock::now(); !outcome_ && now < until; now = Clock::now()) {
      const auto next = transport.service(now);
      if (!outcome_) wait_readable(transport.fd(), std::min(next, until));
    }
    if (outcome_ && *outcome_) transport.join_close(link);
    transport.flush();
    return std::move(outcome_);
  }

 private:
  Bytes request_;
  Transport* transport_ = nullptr;
  std::optional<Result<JoinReply>> outcome_;
};

// What a lying or broken inviter could send. It is authenticated by the token's key, so this is about bugs
// rather than attacks.
Status check_reply(const JoinReply& reply, const Token& token, const Member& self) {
  if (!reply.refusal.empty()) return refused("the inviter refused: " + printable(reply.refusal));
  const auto bad = [](std::string_view what) {
    return fail(Error::Code::invalid, fmt::format("bad answer from the inviter: {}", what));
  };
  if (reply.cluster != token.cluster) return bad("it speaks for another cluster");
  if (reply.hash_key.is_zero() || reply.psk.is_zero()) return bad("no keys");
  if (reply.you.node != self.node || reply.you.link_key != self.link_key || reply.you.name != self.name)
    return bad("it admitted somebody else");
  if (!verify(reply.you, token.cluster)) return bad("our own signature is broken");
  for (const Member& m : reply.members)
    if (!verify(m, token.cluster)) return bad(fmt::format("{}'s signature is wrong", m.name));
  if (std::ranges::none_of(reply.members, [&](const Member& m) { return m.link_key == token.inviter_key; }))
    return bad("it is not in its own list of members");
  if (reply.folders.empty()) return bad("no folder");
  for (const JoinFolder& f : reply.folders)
    if (f.id == kClusterFolder || !valid_folder_name(f.name)) return bad("a folder's name");
  return {};
}

// Until the inviter has seen where we come from, a wildcard address stays one.
std::vector<std::string> claimed_addresses(const Config& config) {
  return config.advertise.empty() ? std::vector{config.listen} : config.advertise;
}

Result<JoinReply> ask(const Token& token, const Identity& identity, const Member& self, const Config& config,
                      const TransportFactory& factory, const JoinTimes& times) {
  Transport::Options options;
  auto local = *parse_address(
      config.listen);  // the same interface, so that the inviter sees the right source; any port
  local.port = 0;
  options.listen = local.text(), options.cluster = token.cluster, options.keys = identity.link;
  Newcomer newcomer(encode_join_request({kProtocolVersion, self}));
  auto transport = factory(options, newcomer);
  if (!transport) return tl::unexpected(transport.error());
  const JoinTarget target{token.inviter_key, token.id, token.secret, token.addresses};
  auto outcome = newcomer.run(**transport, target, Clock::now() + times.total);
  if (outcome) return *std::move(outcome);
  return refused(fmt::format(
      "no answer from {} in {} s: the inviting node must be running, its UDP port reachable, and the "
      "token unused and not expired",
      fmt::join(token.addresses, ", "), static_cast<double>(times.total.count()) / 1000));
}

}  // namespace

Result<Home> join_cluster(const std::string& text, const SetupOptions& options,
                          const TransportFactory& factory, const JoinTimes& times) {
  const auto token = parse_token(text);
  if (!token) return tl::unexpected(token.error());
  if (const WallTime now = wall_clock(); token->expires <= now)
    return refused(fmt::format("the token has expired: it was good until {}, and it is {} here",
                               iso8601(token->expires), iso8601(now)));
  // Whatever can be refused on this machine is refused before the token is used up.
  auto setup = HomeSetup::begin(options);
  if (!setup) return tl::unexpected(setup.error());
  const Identity identity = make_identity();
  const Member self = make_member(identity, token->cluster, setup->config().name,
                                  claimed_addresses(setup->config()), NodeId{});
  auto reply = ask(*token, identity, self, setup->config(), factory, times);
  if (!reply) return tl::unexpected(reply.error());
  if (const Status good = check_reply(*reply, *token, self); !good) return tl::unexpected(good.error());

  const ClusterSecrets cluster{reply->cluster, reply->hash_key, reply->psk, reply->folders};
  std::vector<Member> members = reply->members;
  members.push_back(reply->you);
  if (const Status done = setup->finish(identity, cluster, members); !done)
    return tl::unexpected(done.error());
  return load_home(options.home);
}

}  // namespace syncline

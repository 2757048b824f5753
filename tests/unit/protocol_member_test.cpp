#include "protocol/member.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

struct Keys {
  NodeId node;
  SigningKey secret;
  explicit Keys(unsigned char seed) {
    unsigned char bytes[crypto_sign_SEEDBYTES] = {seed};
    crypto_sign_seed_keypair(node.bytes.data(), secret.bytes.data(), bytes);
  }
};

ClusterId cluster(unsigned char n) {
  ClusterId id;
  id.bytes.fill(n);
  return id;
}

Member some_member(const Keys& keys = Keys(1)) {
  Member m;
  m.node = keys.node;
  m.link_key.bytes.fill(7);
  m.name = "web1";
  m.addresses = {"192.0.2.7:7440", "[2001:db8::7]:7440"};
  m.admitted_by = Keys(2).node;
  sign(m, cluster(1), keys.secret);
  return m;
}

TEST(Member, survives_the_record_and_verifies) {
  const Member m = some_member();
  ASSERT_TRUE(check(m));
  const auto back = decode_member(encode_member(m));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, m);
  EXPECT_TRUE(verify(*back, cluster(1)));
  EXPECT_EQ(member_path(m.node), "members/" + to_hex(m.node));
}

TEST(Member, a_signature_is_good_for_one_key_one_cluster_one_node) {
  EXPECT_FALSE(verify(some_member(), cluster(2)));
  Member m = some_member();
  m.link_key.bytes[5] ^= 1;
  EXPECT_FALSE(verify(m, cluster(1)));
  m = some_member();
  m.node = Keys(3).node;
  EXPECT_FALSE(verify(m, cluster(1)));
  m = some_member();
  m.signature.bytes[0] ^= 1;
  EXPECT_FALSE(verify(m, cluster(1)));
}

TEST(Member, bad_values_are_refused) {
  for (const auto& spoil :
       {+[](Member& m) { m.name = ""; }, +[](Member& m) { m.name = "a b"; },
        +[](Member& m) { m.name = "-a"; },
        +[](Member& m) { m.name = std::string(limits::node_name_bytes + 1, 'a'); },
        +[](Member& m) { m.addresses.assign(limits::addresses + 1, "a:1"); },
        +[](Member& m) { m.addresses = {"nonsense"}; }, +[](Member& m) { m.addresses = {"a:0"}; },
        +[](Member& m) { m.node = {}; }, +[](Member& m) { m.link_key = {}; },
        +[](Member& m) {
          m.addresses.assign(limits::addresses, std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                                                    std::string(63, 'c') + "." + std::string(60, 'd') +
                                                    ":7440");
        }}) {
    Member m = some_member();
    spoil(m);
    EXPECT_FALSE(check(m));
  }
  Member largest = some_member();
  largest.name = std::string(limits::node_name_bytes, 'a');
  EXPECT_TRUE(check(largest));
}

TEST(Member, every_cut_and_every_extra_byte_is_malformed) {
  const Bytes good = encode_member(some_member());
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_member(BytesView(good).substr(0, size))) << size;
  EXPECT_FALSE(decode_member(good + '\0'));
  Bytes bad_state = good;
  bad_state.back() = 3;
  EXPECT_FALSE(decode_member(bad_state));
  Bytes other_format = good;
  for (const char format : {'\x02', '\x03'}) {  // 2 wants an HTTP address behind it
    other_format.front() = format;
    EXPECT_FALSE(decode_member(other_format));
  }
}

TEST(ClusterFolder, survives_the_wire_and_nothing_else_does) {
  const ClusterFolder media{folder_id_of("media"), "media"};
  EXPECT_EQ(folder_id_of("media"), media.id) << "everybody comes to the same";
  EXPECT_NE(folder_id_of("Media"), media.id);
  EXPECT_EQ(folder_path(media.id), "folders/" + folder_path(media.id).substr(8));
  const Bytes good = encode_folder(media);
  ASSERT_TRUE(decode_folder(good));
  EXPECT_EQ(*decode_folder(good), media);
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(decode_folder(BytesView(good).substr(0, size))) << size;
  EXPECT_FALSE(decode_folder(good + '\0'));
  EXPECT_FALSE(decode_folder(encode_folder({media.id, "other"}))) << "an id that is not its name's";
  EXPECT_FALSE(decode_folder(encode_folder({folder_id_of("a/b"), "a/b"})));
}

TEST(Departure, survives_the_wire_and_nothing_else_does) {
  for (const MemberState state : {MemberState::left, MemberState::evicted}) {
    Departure d{some_member().node, state, {}};
    d.by.bytes.fill(7);
    const Bytes good = encode_departure(d);
    ASSERT_TRUE(decode_departure(good));
    EXPECT_EQ(*decode_departure(good), d);
    for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(decode_departure(BytesView(good).substr(0, size))) << size;
    EXPECT_FALSE(decode_departure(good + '\0'));
    for (const char bad : {'\0', '\3'}) {  // joined is no way to be gone
      Bytes other_state = good;
      other_state[1 + NodeId::size] = bad;
      EXPECT_FALSE(decode_departure(other_state));
    }
  }
}

TEST(Member, an_http_address_is_told_in_a_form_of_its_own_and_old_records_stay_good) {
  Member m = some_member();
  const Bytes old = encode_member(m);
  EXPECT_EQ(old.front(), 1) << "what an older node reads must not change";
  EXPECT_EQ(decode_member(old)->http, "");
  for (const char* http : {"127.0.0.1:7441", "0.0.0.0:7441", "[::]:7441"}) {
    m.http = http;
    const Bytes told = encode_member(m);
    EXPECT_EQ(told.front(), 2);
    ASSERT_TRUE(decode_member(told));
    EXPECT_EQ(*decode_member(told), m);
    for (std::size_t size = 0; size < told.size(); ++size)
      EXPECT_FALSE(decode_member(BytesView(told).substr(0, size))) << size;
    EXPECT_TRUE(verify(*decode_member(told), cluster(1)));
  }
  for (const char* bad : {"7441", "127.0.0.1:0", "a b:1"}) {
    m.http = bad;
    EXPECT_FALSE(check(m)) << bad;
  }
}

TEST(Actor, survives_the_record_and_verifies) {
  Actor a;
  a.actor.bytes.fill(9);
  a.node = Keys(1).node;
  sign(a, cluster(1), Keys(1).secret);
  const auto back = decode_actor(encode_actor(a));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, a);
  EXPECT_TRUE(verify(*back, cluster(1)));
  EXPECT_FALSE(verify(*back, cluster(2)));
  EXPECT_EQ(actor_path(a.actor), "actors/" + to_hex(a.actor));
  const Bytes good = encode_actor(a);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_actor(BytesView(good).substr(0, size)));
}

TEST(JoinMessages, survive_the_wire_and_refuse_every_cut) {
  const JoinRequest request{kProtocolVersion, some_member()};
  const Bytes asked = encode_join_request(request);
  EXPECT_EQ(*decode_join_request(asked), request);
  for (std::size_t size = 0; size < asked.size(); ++size)
    EXPECT_FALSE(decode_join_request(BytesView(asked).substr(0, size)));

  JoinReply reply;
  reply.cluster = cluster(1), reply.hash_key.bytes.fill(3), reply.psk.bytes.fill(4),
  reply.you = some_member();
  reply.folders = {{1, "uploads"}}, reply.members = {some_member(Keys(5)), some_member(Keys(6))};
  const Bytes answered = encode_join_reply(reply);
  EXPECT_EQ(*decode_join_reply(answered), reply);
  for (std::size_t size = 0; size < answered.size(); ++size)
    EXPECT_FALSE(decode_join_reply(BytesView(answered).substr(0, size)));
}

TEST(JoinMessages, a_refusal_is_its_reason_and_nothing_else) {
  JoinReply refusal;
  refusal.refusal = "the token is used up";
  EXPECT_EQ(*decode_join_reply(encode_join_reply(refusal)), refusal);
}

TEST(JoinMessages, a_request_of_another_version_tells_its_version) {
  JoinRequest request{kProtocolVersion + 1, some_member()};
  const Bytes bytes = encode_join_request(request).substr(0, 4) + "whatever that version sends";
  const auto back = decode_join_request(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->version, kProtocolVersion + 1);
}

TEST(JoinMessages, the_longest_answer_fits_a_message) {
  JoinReply reply;
  reply.you = some_member();
  while (check(reply.you) && reply.you.addresses.size() < limits::addresses)
    reply.you.addresses.push_back(std::string(63, 'a') + "." + std::string(63, 'b') + ".example:7440");
  if (!check(reply.you)) reply.you.addresses.pop_back();
  reply.members.assign(limits::join_members, reply.you);
  reply.folders.assign(limits::folders, {1, std::string(limits::name_bytes, 'f')});
  EXPECT_LE(encode_join_reply(reply).size(), limits::message_bytes);
}

}  // namespace
}  // namespace syncline

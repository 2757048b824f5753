#include "protocol/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "protocol/address.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string error_of(const auto& result) { return result ? "no error" : result.error().message; }

template <class Request>
void round_trip(const Request& request) {
  const std::string line = encode_request(request);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto back = decode_request(line);
  ASSERT_TRUE(back) << back.error().message << " " << line;
  EXPECT_EQ(*back, ControlRequest(request)) << line;
}

TEST(ControlRequest, every_request_survives_the_wire) {
  round_trip(StatusRequest{});
  round_trip(ReadyRequest{});
  round_trip(MembersRequest{});
  round_trip(InviteRequest{3, 60'000});
  round_trip(ConflictsRequest{"uploads"});
  round_trip(ConflictShowRequest{"0123456789ab"});
  round_trip(ConflictRestoreRequest{"0123", "other/name.jpg"});
  round_trip(ConflictDropRequest{"0123"});
  round_trip(RevertRequest{"uploads", "a/b.jpg"});
  round_trip(DrainRequest{5});
  round_trip(LeaveRequest{6});
  round_trip(VerifyRequest{true, 7, 8});
  round_trip(EvictRequest{"web3"});
  round_trip(ResumeRequest{});
  round_trip(FolderAddRequest{"/srv/media", "media", "send-only", "strict"});
  round_trip(FolderRemoveRequest{"media"});
  round_trip(FolderPauseRequest{"media"});
  round_trip(FolderResumeRequest{"media", true});
  round_trip(WaitRequest{"uploads", "a/b.jpg", {WaitFor::What::all, 0}, true, 1});
  round_trip(WaitRequest{"", "/srv/a", {WaitFor::What::majority, 0}, false, 0});
  round_trip(WaitRequest{"", "a\nb\"c", {WaitFor::What::count, 7}, false, 3'600'000});
}

// File names are bytes: what is not UTF-8 must arrive byte for byte, and still be shown as something.
TEST(ControlRequest, a_path_that_is_not_utf8_arrives_exactly) {
  const std::string path = "caf\xe9/\xff\x80.jpg";
  round_trip(WaitRequest{"", path, {}, false, 1});
  const auto json = nlohmann::json::parse(encode_request(WaitRequest{"", path, {}, false, 1}));
  EXPECT_EQ(json["path"], "caf\xef\xbf\xbd/\xef\xbf\xbd\xef\xbf\xbd.jpg");
}

TEST(ControlRequest, unknown_fields_are_ignored_and_missing_ones_have_their_defaults) {
  const auto wait = decode_request(R"({"request":"wait","path":"x","later":{"a":[1,2]}})");
  ASSERT_TRUE(wait);
  EXPECT_EQ(std::get<WaitRequest>(*wait), (WaitRequest{"", "x", {}, false, 5000}));
}

TEST(ControlRequest, malformed_ones_are_errors) {
  for (const char* line : {"",
                           "x",
                           "[]",
                           "{}",
                           "null",
                           R"({"request":5})",
                           R"({"request":"wait"})",
                           R"({"request":"wait","path":5})",
                           R"({"request":"wait","path":"x","nodes":0})",
                           R"({"request":"wait","path":"x","nodes":"most"})",
                           R"({"request":"wait","path":"x","nodes":-1})",
                           R"({"request":"wait","path":"x","nodes":1.5})",
                           R"({"request":"wait","path":"x","timeout_ms":3600001})",
                           R"({"request":"wait","path":"x","timeout_ms":-1})",
                           R"({"request":"wait","path":"x","durable":1})",
                           R"({"request":"wait","path_hex":"6"})",
                           R"({"request":"drain","timeout_ms":3600001})",
                           R"({"request":"show"})",
                           R"({"request":"folder_add"})",
                           R"({"request":"folder_add","path":"srv"})",
                           R"({"request":"drop","id":""})",
                           R"({"request":"invite","uses":0})",
                           R"({"request":"invite","uses":1001})",
                           R"({"request":"invite","ttl_ms":0})",
                           R"({"request":"status")"}) {
    const auto request = decode_request(line);
    ASSERT_FALSE(request) << line;
    EXPECT_EQ(request.error().code, Error::Code::invalid) << line;
    EXPECT_THAT(request.error().message, Not(HasSubstr("\n")));
  }
  EXPECT_EQ(decode_request(R"({"request":"fly"})").error().code, Error::Code::unsupported);
}

TEST(ControlRequest, lengths_are_bounded) {
  const auto wait = [](std::size_t size) {
    return encode_request(WaitRequest{"", std::string(size, 'a'), {}, false, 1});
  };
  EXPECT_TRUE(decode_request(wait(limits::control_path_bytes)));
  EXPECT_FALSE(decode_request(wait(limits::control_path_bytes + 1)));
  EXPECT_THAT(error_of(decode_request(wait(limits::control_request_bytes))), HasSubstr("too long"));
}

// The strings and numbers are a contract with scripts: DESIGN.md, section 6.
TEST(ControlReply, status_has_the_promised_shape) {
  StatusReply s;
  s.node = "web1", s.ready = true, s.now = {1'777'898'096'789};
  s.id.bytes[0] = 0xab;
  s.peers.push_back({"web2", {}, "192.0.2.8:7440", true, true, 12, 350, 1000, 2000, 60});
  s.state = NodeState::cut_off, s.healthy = false, s.unhealthy = "full";
  s.folders.push_back({"uploads", "/srv/uploads", FolderState::catching_up, "why", 3, 4096, 2, 1, 0, 9});
  s.folders[0].mode = "receive-only", s.folders[0].rules = 2, s.folders[0].unpublished = 1, s.folders[0].held = {{"a\xff", true}};
  s.transfers.push_back({"uploads", "big.iso", 1000, 10, 5, "web2"});
  s.problems.push_back({"uploads", "bad\xff", "name is not UTF-8", {1}});
  const auto json = nlohmann::json::parse(json_text(s));
  EXPECT_EQ(json["node"], "web1");
  EXPECT_EQ(json["ready"], true);
  EXPECT_EQ(json["now"], "2026-05-04T12:34:56.789Z");
  EXPECT_EQ(json["id"].get<std::string>().substr(0, 4), "ab00");
  EXPECT_EQ(json["peers"][0]["name"], "web2");
  EXPECT_EQ(json["peers"][0]["linked"], true);
  EXPECT_EQ(json["peers"][0]["behind"], 12);
  EXPECT_EQ(json["state"], "cut off");
  EXPECT_EQ(json["healthy"], false);
  EXPECT_EQ(json["folders"][0]["behind_seconds"], 9);
  EXPECT_EQ(json["folders"][0]["state"], "catching up");
  EXPECT_EQ(json["folders"][0]["files"], 3);
  EXPECT_EQ(json["folders"][0]["bytes"], 4096);
  EXPECT_EQ(json["folders"][0]["path"], "/srv/uploads");
  EXPECT_EQ(json["folders"][0]["mode"], "receive-only");
  EXPECT_EQ(json["folders"][0]["held"][0]["changed_here"], true);
  EXPECT_EQ(json["folders"], nlohmann::json::parse(folders_json(s)));
  EXPECT_EQ(json["problems"][0]["path_hex"], "626164ff");

  const auto back = decode_reply<StatusReply>(encode_reply(ControlReply(s)));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, s);
}

TEST(ControlReply, conflicts_print_as_an_array_with_the_promised_fields) {
  ConflictsReply reply;
  ConflictEntry c{"0123456789ab", "uploads", "a.jpg", {}, {}, {1000}};
  c.winner = {"web1", {2000}, Kind::file, 5, 0644, {1}, {}, ""};
  c.loser = {"web2", {1500}, Kind::symlink, 6, 0, {}, {}, "b.jpg"};
  reply.conflicts = {c}, reply.total = 1;
  const auto json = nlohmann::json::parse(json_text(reply));
  ASSERT_TRUE(json.is_array());
  EXPECT_EQ(json[0]["id"], "0123456789ab");
  EXPECT_EQ(json[0]["path"], "a.jpg");
  EXPECT_EQ(json[0]["winner"]["node"], "web1");
  EXPECT_EQ(json[0]["winner"]["time"], "1970-01-01T00:00:02.000Z");
  EXPECT_EQ(json[0]["loser"]["node"], "web2");
  EXPECT_EQ(json[0]["loser"]["size"], 6);
  EXPECT_EQ(json[0]["loser"]["kind"], "symlink");
  EXPECT_EQ(json_text(ConflictsReply{}), "[]");
  EXPECT_EQ(*decode_reply<ConflictsReply>(encode_reply(ControlReply(reply))), reply);
  const ConflictShowReply show{c, "/srv/a.jpg", ""};
  EXPECT_EQ(*decode_reply<ConflictShowReply>(encode_reply(ControlReply(show))), show);
}

TEST(ControlReply, the_others_survive_the_wire) {
  const WaitReply wait{false, {"a"}, {"b", "c"}, {"d"}};
  EXPECT_EQ(*decode_reply<WaitReply>(encode_reply(ControlReply(wait))), wait);
  const InviteReply invite{"syncline-abc", {5000}, 2};
  EXPECT_EQ(*decode_reply<InviteReply>(encode_reply(ControlReply(invite))), invite);
  const MembersReply members{
      {{"web1", {}, "joined", true, true, {"192.0.2.7:7440", "[2001:db8::7]:7440"}, "192.0.2.7:7441", ""}}};
  EXPECT_EQ(*decode_reply<MembersReply>(encode_reply(ControlReply(members))), members);
  const ReadyReply ready{false, "late", NodeState::catching_up, false, "full", 3, {{"uploads", 4, 5}}};
  EXPECT_EQ(*decode_reply<ReadyReply>(encode_reply(ControlReply(ready))), ready);
  const DrainReply drain{true, NodeState::drained, {"a"}, {"b"}, {"c", "d"}};
  EXPECT_EQ(*decode_reply<DrainReply>(encode_reply(ControlReply(drain))), drain);
  const VerifyReply verified{1, true, true, 2, 3, 4, 5, 6, 7, 8, 9, {"a"}, {"b"}, {"c"}, {"d"}, {"e"}};
  EXPECT_EQ(*decode_reply<VerifyReply>(encode_reply(ControlReply(verified))), verified);
  const EvictReply evicted{"web3", {}};
  EXPECT_EQ(*decode_reply<EvictReply>(encode_reply(ControlReply(evicted))), evicted);
  EXPECT_EQ(decode_reply<RestoreReply>(encode_reply(ControlReply(RestoreReply{"x"})))->path, "x");
  EXPECT_TRUE(decode_reply<Done>(encode_reply(ControlReply(Done{}))));
}

TEST(ControlReply, an_error_keeps_its_code_and_its_one_line) {
  for (const auto code :
       {Error::Code::refused, Error::Code::not_found, Error::Code::timed_out, Error::Code::io}) {
    const auto back = decode_reply<StatusReply>(encode_reply(fail(code, "no such\nthing \x1b[31m")));
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, code);
    EXPECT_EQ(back.error().message, "no such\\x0athing \\x1b[31m");
  }
}

TEST(ControlReply, malformed_ones_are_errors) {
  for (const char* line :
       {"", "x", "{}", R"({"ok":1})", R"({"ok":true,"peers":{}})", R"({"ok":true,"peers":[1]})",
        R"({"ok":true,"peers":[{"id":"00"}]})", R"({"ok":true,"folders":[{"state":"fine"}]})",
        R"({"ok":true,"problems":[{"since":"yesterday"}]})", R"({"ok":false,"code":"odd"})"}) {
    const auto reply = decode_reply<StatusReply>(line);
    ASSERT_FALSE(reply) << line;
    EXPECT_EQ(reply.error().code, Error::Code::invalid) << line;
  }
}

TEST(ControlReply, one_too_long_to_send_becomes_an_error) {
  ConflictsReply reply;
  ConflictEntry big;
  big.path = std::string(limits::path_bytes, '\x01');  // six characters each as JSON
  reply.conflicts.assign(limits::control_reply_bytes / (6 * limits::path_bytes) + 1, big);
  const std::string line = encode_reply(ControlReply(reply));
  EXPECT_LT(line.size(), 1000u);
  EXPECT_EQ(decode_reply<ConflictsReply>(line).error().code, Error::Code::full);
}

TEST(ParseWait, reads_the_http_body_of_the_design) {
  const auto wait = parse_wait(R"({"path": "a/b.jpg", "nodes": 2, "durable": true, "timeout_ms": 2000})");
  ASSERT_TRUE(wait);
  EXPECT_EQ(*wait, (WaitRequest{"", "a/b.jpg", {WaitFor::What::count, 2}, true, 2000}));
  EXPECT_EQ(parse_wait(R"({"path":"x","nodes":"majority"})")->nodes.what, WaitFor::What::majority);
  EXPECT_FALSE(parse_wait("{}"));
  EXPECT_FALSE(parse_wait("path=x"));
}

TEST(ConflictId, names_one_loser_of_one_path_for_ever) {
  Record loser;
  loser.folder = 1, loser.path = "a.jpg", loser.dot = {{}, 7};
  const std::string id = conflict_id(loser);
  EXPECT_EQ(id, "699b9667fff3");  // stored in people's notes and scripts: must not change
  Record other = loser;
  other.content.size = 9, other.hlc = {5};
  EXPECT_EQ(conflict_id(other), id);
  for (const auto& change :
       {+[](Record& r) { r.folder = 2; }, +[](Record& r) { r.path = "b.jpg"; },
        +[](Record& r) { r.dot.seq = 8; }, +[](Record& r) { r.dot.actor.bytes[3] = 1; }}) {
    other = loser;
    change(other);
    EXPECT_NE(conflict_id(other), id);
  }
}

TEST(Iso8601, is_exact_both_ways) {
  EXPECT_EQ(iso8601({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso8601({951'782'399'999}), "2000-02-28T23:59:59.999Z");
  EXPECT_EQ(iso8601({951'782'400'000}), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(iso8601({~0ull}), "9999-12-31T23:59:59.999Z");
  for (const std::uint64_t ms : {1ull, 1'777'898'096'789ull, 4'102'444'800'000ull, 253'402'300'799'999ull})
    EXPECT_EQ(parse_iso8601(iso8601({ms})), WallTime{ms});
  for (const char* bad : {"", "2026-05-04", "2026-05-04T12:34:56Z", "2026-02-30T00:00:00.000Z",
                          "2026-05-04T24:00:00.000Z", "2026-05-04T12:60:00.000Z", "1969-12-31T23:59:59.999Z",
                          "2026-05-04 12:34:56.789Z", "+026-05-04T12:34:56.789Z"})
    EXPECT_FALSE(parse_iso8601(bad)) << bad;
}

TEST(Utf8, knows_what_rfc_3629_allows) {
  for (const char* good : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
                           "\xed\x9f\xbf", "\xee\x80\x80"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(Printable, lets_no_control_character_through) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m\x7f\n"),
            "\\x9b31m\\x7f\\x0a");  // C1: a CSI in one character
  EXPECT_EQ(printable("caf\xc3\xa9 \xff"), "caf\xc3\xa9 \xef\xbf\xbd");
}

TEST(DefaultHome, follows_the_design) {
  EXPECT_EQ(default_home(true, "/x", "/root"), "/var/lib/syncline");
  EXPECT_EQ(default_home(false, "/state", "/home/u"), "/state/syncline");
  EXPECT_EQ(default_home(false, "", "/home/u"), "/home/u/.local/state/syncline");
  EXPECT_EQ(default_home(false, "relative", "/home/u"), "/home/u/.local/state/syncline");
  EXPECT_EQ(default_home(false, nullptr, nullptr), std::nullopt);
}

TEST(Address, takes_names_and_both_families) {
  for (const char* good :
       {"web1:7440", "192.0.2.7:7440", "[2001:db8::7]:7440", "[::]:1", "0.0.0.0:65535", "a.b-c.example:0",
        "[::ffff:192.0.2.1]:9", "[fe80::1%eth0]:5", "[1:2:3:4:5:6:7:8]:5", "localhost:80", "my_host:5"}) {
    const auto address = parse_address(good);
    ASSERT_TRUE(address) << address.error().message;
    EXPECT_EQ(address->text(), good);
  }
  EXPECT_EQ(*parse_address("[::1]:7440"), (Address{"::1", 7440}));
}

TEST(Address, refuses_the_rest_by_one_line_that_names_it) {
  for (const char* bad : {"",
                          "web1",
                          ":7440",
                          "web1:",
                          "web1:x",
                          "web1:65536",
                          "web1:-1",
                          "web1:+1",
                          "web1: 1",
                          "web1:01",
                          "::1:7440",
                          "[::1]",
                          "[::1:7440",
                          "[web1]:7440",
                          "[:::]:1",
                          "[1:2:3:4:5:6:7:8:9]:1",
                          "[1:2:3:4:5:6:7]:1",
                          "[12345::]:1",
                          "[::1::2]:1",
                          "[1:]:1",
                          "[]:1",
                          "300.1.1.1:1",
                          "1.2.3:1",
                          "1.2.3.4.5:1",
                          "a b:1",
                          "-a:1",
                          "a..b:1",
                          "a\n:1"}) {
    const auto address = parse_address(bad);
    ASSERT_FALSE(address) << bad;
    EXPECT_THAT(address.error().message, HasSubstr("is not HOST:PORT: "));
    EXPECT_THAT(address.error().message, Not(HasSubstr("\n")));
  }
  EXPECT_FALSE(parse_address(std::string(limits::address_bytes, 'a') + ":1"));
}

TEST(Address, knows_wildcards_and_loopback) {
  for (const char* a : {"0.0.0.0:1", "[::]:1"}) EXPECT_TRUE(parse_address(a)->is_wildcard());
  for (const char* a : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"})
    EXPECT_TRUE(parse_address(a)->is_loopback()) << a;
  for (const char* a : {"192.0.2.7:1", "127.example.org:1", "[2001:db8::1]:1", "0.0.0.0:1"})
    EXPECT_FALSE(parse_address(a)->is_loopback()) << a;
}

}  // namespace
}  // namespace syncline

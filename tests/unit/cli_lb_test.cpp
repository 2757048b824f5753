#include "cli/lb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MemberStatus member(const std::string& name, std::vector<std::string> addresses,
                    std::string http = "127.0.0.1:7441", std::string state = "joined") {
  MemberStatus m;
  m.name = name, m.addresses = std::move(addresses), m.http = std::move(http), m.state = std::move(state);
  return m;
}

MembersReply three() {
  return {{member("web2", {"10.0.0.2:7440"}), member("web1", {"127.0.0.1:7440", "10.0.0.1:7440"}),
           member("web3", {"[2001:db8::3]:7440"}), member("gone", {"10.0.0.9:7440"}, "", "left")}};
}

StatusReply status() {
  StatusReply s;
  s.folders.push_back({});
  s.folders.front().name = "uploads", s.folders.front().path = "/srv/uploads";
  return s;
}

LbPlan plan(LbOptions options = {}, const MembersReply& members = three()) {
  auto made = make_lb_plan(options, members, status());
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : LbPlan{};
}

std::string refusal(LbOptions options, const MembersReply& members = three()) {
  const auto made = make_lb_plan(options, members, status());
  EXPECT_FALSE(made);
  return made ? "" : made.error().message;
}

LbOptions with(const std::function<void(LbOptions&)>& change) {
  LbOptions o;
  change(o);
  return o;
}

std::string text(const LbOptions& options, bool explain = false) {
  return render(make_lb_parts(plan(options), explain));
}

TEST(Lb, members_become_servers_by_the_address_that_others_reach) {
  const LbPlan p = plan();
  ASSERT_EQ(p.servers.size(), 3u) << "who left is none";
  EXPECT_EQ(p.servers[0].address(), "10.0.0.1:80");
  EXPECT_EQ(p.servers[1].address(), "10.0.0.2:80");
  EXPECT_EQ(p.servers[2].address(), "[2001:db8::3]:80");
  ASSERT_EQ(p.options.folders.size(), 1u);
  EXPECT_EQ(p.options.folders[0].uri, "/uploads/");
  EXPECT_EQ(p.options.folders[0].path, "/srv/uploads");
}

TEST(Lb, options_say_what_the_node_cannot_know) {
  LbOptions o;
  o.app_port = 8080, o.http_port = 7000, o.servers = {"web1=lb-net1", "web3=[2001:db8::33]:81"};
  const LbPlan p = plan(o);
  EXPECT_EQ(p.servers[0].address(), "lb-net1:8080");
  EXPECT_EQ(p.servers[2].address(), "[2001:db8::33]:81");
  EXPECT_EQ(p.servers[0].node, "127.0.0.1:7000");
}

TEST(Lb, the_node_is_asked_where_it_listens_with_a_token_where_it_wants_one) {
  const MembersReply members{{member("a", {"10.0.0.1:7440"}, ""),
                              member("b", {"10.0.0.2:7440"}, "0.0.0.0:7555"),
                              member("c", {"10.0.0.3:7440"}, "10.1.0.3:7441")}};
  const LbPlan p = plan({}, members);
  EXPECT_EQ(p.servers[0].node, "127.0.0.1:7441");
  EXPECT_FALSE(p.servers[0].node_token);
  EXPECT_EQ(p.servers[1].node, "127.0.0.1:7555");
  EXPECT_TRUE(p.servers[1].node_token);
  EXPECT_EQ(p.servers[1].node_outside, "10.0.0.2:7555");
  EXPECT_EQ(p.servers[2].node, "10.1.0.3:7441");
  const std::string all = render(make_lb_parts(p, false));
  EXPECT_THAT(all, HasSubstr("For app server: a (nginx)"));
  EXPECT_THAT(all, HasSubstr("include /etc/nginx/syncline-token.conf;"));
}

TEST(Lb, app_servers_that_are_alike_share_a_part) {
  const auto parts = make_lb_parts(plan(), false);
  EXPECT_EQ(parts.front().nodes.size(), 0u);
  for (std::size_t i = 1; i < parts.size(); ++i) EXPECT_EQ(parts[i].nodes.size(), 3u);
  EXPECT_THAT(render(parts), HasSubstr("For every app server: web1, web2, web3 (nginx)"));
}

TEST(Lb, bad_options_are_refused_with_a_line_that_says_what_to_do) {
  EXPECT_THAT(refusal(with([](auto& o) { o.uris = {"uploads"}; })), HasSubstr("/uploads/"));
  EXPECT_THAT(refusal(with([](auto& o) { o.uris = {"/up loads/"}; })), HasSubstr("--uri"));
  EXPECT_THAT(refusal(with([](auto& o) { o.uris = {"/;}/"}; })), HasSubstr("--uri"));
  EXPECT_THAT(refusal(with([](auto& o) { o.uris = {"/"}; })), HasSubstr("prefix of their own"));
  EXPECT_THAT(refusal(with([](auto& o) { o.paths = {"srv"}; })), HasSubstr("--folder"));
  EXPECT_THAT(refusal(with([](auto& o) { o.paths = {"/srv/\"; }"}; })), HasSubstr("--folder"));
  EXPECT_THAT(refusal(with([](auto& o) { o.paths = {"/srv/\n"}; })), HasSubstr("--folder"));
  EXPECT_THAT(refusal(with([](auto& o) { o.site = "a b"; })), HasSubstr("--site"));
  EXPECT_THAT(refusal(with([](auto& o) { o.app_backend = "8080"; })), HasSubstr("--app-backend"));
  EXPECT_THAT(refusal(with([](auto& o) { o.servers = {"web1"}; })), HasSubstr("NAME=HOST"));
  EXPECT_THAT(refusal(with([](auto& o) { o.servers = {"web9=h"}; })), HasSubstr("no such member"));
  EXPECT_THAT(refusal(with([](auto& o) { o.servers = {"web1=10.0.0.2"}; })),
              HasSubstr("both be 10.0.0.2:80"));
  EXPECT_THAT(refusal(with([](auto& o) { o.app_server = LbProgram::haproxy; })), HasSubstr("serve no files"));
  EXPECT_THAT(refusal(with([](auto& o) { o.checks = LbChecks::node; })), HasSubstr("can only ask the port"));
  EXPECT_THAT(refusal(with([](auto& o) { o.checks = LbChecks::node, o.balancer = LbProgram::haproxy; })),
              HasSubstr("web1 answers on 127.0.0.1:7441 only"));
  EXPECT_THAT(refusal({}, {{member("web1", {})}}), HasSubstr("--server web1=HOST"));
  EXPECT_THAT(refusal({}, {}), HasSubstr("no members"));
}

StatusReply two_folders() {
  StatusReply s = status();
  s.folders.push_back({});
  s.folders.back().name = "avatars", s.folders.back().path = "/srv/avatars";
  return s;
}

std::vector<std::string> shown(const LbOptions& options) {
  const auto made = make_lb_plan(options, three(), two_folders());
  std::vector<std::string> out;
  if (!made) return {made.error().message};
  for (const LbFolder& f : made->options.folders) out.push_back(f.name + " " + f.uri + " " + f.path);
  return out;
}

TEST(Lb, every_folder_has_a_prefix_and_a_bare_option_is_about_the_first_alone) {
  using ::testing::ElementsAre;
  EXPECT_THAT(shown({}), ElementsAre("uploads /uploads/ /srv/uploads", "avatars /avatars/ /srv/avatars"));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"/u/"}; })), ElementsAre("uploads /u/ /srv/uploads"));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"/u/", "avatars=/a/"}, o.paths = {"avatars=/data/a/"}; })),
              ElementsAre("uploads /u/ /srv/uploads", "avatars /a/ /data/a"));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"avatars=/a/"}; })), ElementsAre("uploads /uploads/ /srv/uploads", "avatars /a/ /srv/avatars"));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"music=/m/"}; })), ElementsAre(HasSubstr("music: this node has no such folder")));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"/a/", "/b/"}; })), ElementsAre(HasSubstr("NAME=/b/")));
  EXPECT_THAT(shown(with([](auto& o) { o.uris = {"avatars=/uploads/small/"}; })), ElementsAre(HasSubstr("would both serve /uploads/small/")));
}

TEST(Lb, what_a_folder_lacks_is_asked_for_by_its_name) {
  for (const LbProgram program : {LbProgram::nginx, LbProgram::apache, LbProgram::caddy, LbProgram::iis}) {
    LbOptions o;
    o.balancer = program, o.app_backend = "127.0.0.1:8080";
    const auto made = make_lb_plan(o, three(), two_folders());
    ASSERT_TRUE(made) << made.error().message;
    const std::string all = render(make_lb_parts(*made, true));
    SCOPED_TRACE(all);
    for (const char* word : {"/v1/file", "/v1/folder/avatars", "/srv/uploads", "/srv/avatars"}) EXPECT_THAT(all, HasSubstr(word));
    EXPECT_THAT(all, Not(HasSubstr("@{")));
    EXPECT_THAT(all, Not(HasSubstr("@@")));
  }
}

TEST(Lb, nothing_pins_a_method_and_everything_is_filled_in) {
  for (std::size_t i = 0; i < std::size(kLbPrograms); ++i) {
    for (const bool explain : {false, true}) {
      LbOptions o;
      o.balancer = static_cast<LbProgram>(i);
      o.app_backend = explain ? "127.0.0.1:8080" : "";
      o.site = explain ? "www.example.org" : "";
      const std::string all = text(o, explain);
      SCOPED_TRACE(all);
      EXPECT_THAT(all, Not(HasSubstr("@{")));
      EXPECT_THAT(all, Not(HasSubstr("@@")));
      EXPECT_THAT(all, HasSubstr("10.0.0.1"));
      EXPECT_THAT(all, HasSubstr("2001:db8::3"));
      EXPECT_THAT(all, HasSubstr("/syncline-readyz"));
      EXPECT_THAT(all, HasSubstr("/v1/file"));
      EXPECT_EQ(all.find("replaces `") != std::string::npos, explain);
      if (!explain) {
        EXPECT_FALSE(std::regex_search(all, std::regex("METH_POST|method POST|Method\\(|\\bPOST;")));
      }
    }
  }
}

TEST(Lb, explain_names_the_old_line_above_the_new_one) {
  LbOptions o;
  for (const auto& [program, old, now] :
       {std::tuple{LbProgram::nginx, "map $request_method", "proxy_pass http://$syncline_server"},
        {LbProgram::haproxy, "use_backend app1 if METH_POST", "use_backend ready"},
        {LbProgram::apache, "RewriteCond %{REQUEST_METHOD} =POST", "ProxyPass \"/\""},
        {LbProgram::caddy, "@post method POST", "reverse_proxy"},
        {LbProgram::traefik, "Method(`POST`)", "rule ="},
        {LbProgram::iis, "^POST$", "action type=\"Rewrite\" url=\"http://syncline"}}) {
    o.balancer = program;
    const std::string all = text(o, true);
    const std::size_t at = all.find(old);
    ASSERT_NE(at, all.npos) << old;
    const std::size_t line = all.find('\n', at) + 1;
    EXPECT_THAT(all.substr(line, all.find('\n', line) - line), HasSubstr(now));
    EXPECT_THAT(all, HasSubstr("* * * * * rsync")) << "the job of every minute is replaced as well";
  }
}

TEST(Lb, checks_may_go_to_the_nodes_own_port) {
  LbOptions o;
  o.balancer = LbProgram::haproxy, o.checks = LbChecks::node;
  const MembersReply members{
      {member("a", {"10.0.0.1:7440"}, "0.0.0.0:7441"), member("b", {"10.0.0.2:7440"}, "10.1.0.2:7444")}};
  std::string all = render(make_lb_parts(plan(o, members), false));
  EXPECT_THAT(all, HasSubstr("uri /readyz "));
  EXPECT_THAT(all, HasSubstr("server a 10.0.0.1:80 addr 10.0.0.1 port 7441"));
  EXPECT_THAT(all, HasSubstr("server b 10.0.0.2:80 addr 10.1.0.2 port 7444"));
  o.balancer = LbProgram::caddy;
  EXPECT_THAT(refusal(o, members), HasSubstr("asks one port of every server itself"));
  all = render(make_lb_parts(plan(o, {{members.members[0]}}), false));
  EXPECT_THAT(all, HasSubstr("health_port 7441"));
}

TEST(Lb, haproxy_may_ask_the_agent_as_well) {
  LbOptions o;
  o.balancer = LbProgram::haproxy;
  EXPECT_THAT(text(o), Not(HasSubstr("agent")));
  o.agent_port = 7442;
  EXPECT_THAT(text(o), HasSubstr("rise 1 agent-check agent-port 7442 agent-inter 1s\n"));
  o.balancer = LbProgram::nginx;
  EXPECT_THAT(refusal(o), HasSubstr("only haproxy"));
}

TEST(Lb, json_has_every_part) {
  const LbPlan p = plan();
  const auto json = nlohmann::json::parse(lb_json(p, make_lb_parts(p, false)));
  EXPECT_EQ(json["balancer"], "nginx");
  EXPECT_EQ(json["servers"].size(), 3u);
  ASSERT_EQ(json["parts"].size(), 3u);
  EXPECT_EQ(json["parts"][0]["nodes"].size(), 0u);
  EXPECT_EQ(json["parts"][2]["nodes"], (std::vector<std::string>{"web1", "web2", "web3"}));
}

TEST(LbTemplate, words_lines_and_explanations) {
  const LbWords words{{"a", "1"}, {"none", ""}, {"list", "x\ny"}};
  EXPECT_EQ(lb_fill("  @{a} @{a}\n?none   gone\n?a   here\n  [@{list}]\n", words, {}, "# @{}"),
            "  1 1\n  here\n  [x\n  y]\n");
  EXPECT_EQ(lb_fill("  new @@key\n  other @@nokey\n", words, {{"key", "old"}}, "<!-- @{} -->"),
            "  <!-- old -->\n  new\n  other\n");
}

}  // namespace
}  // namespace syncline

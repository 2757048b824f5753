#include "node/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kLeast = "name = \"web1\"\n[folder]\npath = \"/srv/uploads\"\n";

Result<Config> parse(const std::string& text) { return parse_config(text, "home/config.toml"); }

TEST(Config, what_is_not_there_has_its_default) {
  const auto c = parse(kLeast);
  ASSERT_TRUE(c) << c.error().message;
  Config expected;
  expected.name = "web1", expected.folder.path = "/srv/uploads";
  EXPECT_EQ(*c, expected);
  EXPECT_EQ(c->listen, "0.0.0.0:7440");
  EXPECT_EQ(c->http, "127.0.0.1:7441");
}

TEST(Config, what_is_written_is_read_back) {
  Config c;
  c.name = "web-1.example_x", c.listen = "[::]:9000", c.http = "127.0.0.1:0",
  c.advertise = {"192.0.2.7:9000", "[2001:db8::7]:1"};
  c.log = LogLevel::debug, c.ready_without_majority = true, c.rescan_seconds = 10;
  c.folder = {"/srv/a \"b\" \\ c\t#d/\xc3\xa9", Durability::strict, FolderMode::receive_only};
  c.bandwidth = {"20 MiB/s", {"08:00-18:00 5 MiB/s", "22:00-06:00 unlimited"}};
  c.balancer = {"0.0.0.0:7442", 0, 86400};
  const auto back = parse(config_text(c));
  ASSERT_TRUE(back) << back.error().message << "\n" << config_text(c);
  EXPECT_EQ(*back, c);
  c.advertise.clear();
  EXPECT_EQ(*parse(config_text(c)), c);
}

struct BadLine {
  const char* text;
  const char* where;
  const char* what;
};

TEST(Config, every_error_names_its_file_and_line) {
  const BadLine table[] = {
      {"name = \"web1\"\nlsiten = \"a:1\"\n[folder]\npath=\"/x\"\n",
       "home/config.toml:2: ", "unknown key \"lsiten\""},
      {"name = \"web1\"\n\n[folder]\npath=\"/x\"\npaths=\"/y\"\n",
       "home/config.toml:5: ", "unknown key \"folder.paths\""},
      {"name = \"web1\"\n[folder]\npath=\"/x\"\n[limits]\nspeed=1\n",
       "home/config.toml:5: ", "unknown key \"limits.speed\""},
      {"name = \"web1\"\n[folders]\npath=\"/x\"\n", "home/config.toml:2: ", "unknown key \"folders\""},
      {"name = \"web1\"\nlisten = \"a:0\"\n", "home/config.toml:2: ", "must not be 0"},
      {"name = \"web1\"\nlisten = \"a\"\n", "home/config.toml:2: ", "the port is missing"},
      {"name = \"web1\"\nhttp = 7441\n", "home/config.toml:2: ", "must be a string"},
      {"\nname = \"a b\"\n", "home/config.toml:2: ", "letters, digits"},
      {"name = \"a\"\n[balancer]\nchanges_behind=-1\n", "home/config.toml:3: ", "balancer.changes_behind: must be a number"},
      {"name = \"a\"\n[balancer]\nseconds_behind=0\n", "home/config.toml:3: ", "from 1 to 86400"},
      {"name = 5\n", "home/config.toml:1: ", "letters, digits"},
      {"name = \"a\"\nlog = \"loud\"\n",
       "home/config.toml:2: ", "\"debug\", \"info\", \"warning\", \"error\""},
      {"name = \"a\"\nadvertise = \"a:1\"\n", "home/config.toml:2: ", "must be a list"},
      {"name = \"a\"\nadvertise = [\"0.0.0.0:1\"]\n", "home/config.toml:2: ", "others can reach"},
      {"name = \"a\"\nready_without_majority = 1\n", "home/config.toml:2: ", "true or false"},
      {"name = \"a\"\nfolder = \"/x\"\n", "home/config.toml:2: ", "must be a section, [folder]"},
      {"name = \"a\"\n[folder]\npath = \"x\"\n", "home/config.toml:3: ", "absolute path"},
      {"name = \"a\"\n[folder]\npath = \"/x\"\ndurability = \"much\"\n",
       "home/config.toml:4: ", "\"group\", \"strict\""},
      {"name = \"a\"\n[folder]\npath = \"/x\"\n[limits]\nrescan_seconds = 9\n", "home/config.toml:5: ", "10"},
      {"name = \"a\"\n[folder]\npath = \"/x\"\nmode = \"mute\"\n",
       "home/config.toml:4: ", "\"send-receive\", \"receive-only\", \"send-only\""},
      {"name = \"a\"\n[limits]\nupload = \"5\"\n", "home/config.toml:3: ", "like \"20 MiB/s\""},
      {"name = \"a\"\n[limits]\nschedule = [\"8-18 5 MiB/s\"]\n", "home/config.toml:3: ", "08:00-18:00"},
      {"name = \"a\"\nname = \"b\"\n", "home/config.toml:2: ", ""},
      {"name = \"a\n", "home/config.toml:1: ", ""},
      {"name = \"a\"\n[folder\n", "home/config.toml:2: ", ""},
      {"[folder]\npath = \"/x\"\n", "home/config.toml:1: ", "\"name\" is missing"},
      {"name = \"a\"\n", "home/config.toml:1: ", "[folder]"},
  };
  for (const BadLine& bad : table) {
    const auto c = parse(bad.text);
    ASSERT_FALSE(c) << bad.text;
    EXPECT_EQ(c.error().code, Error::Code::invalid);
    EXPECT_THAT(c.error().message, StartsWith(bad.where));
    EXPECT_THAT(c.error().message, HasSubstr(bad.what));
    EXPECT_EQ(c.error().message.find('\n'), std::string::npos) << c.error().message;
  }
}

TEST(Config, bytes_that_are_no_text_are_an_error) {
  EXPECT_FALSE(parse(std::string(kLeast) + "\xff\xfe"));
  EXPECT_FALSE(parse(std::string(kLeast) + std::string(3, '\0')));
  EXPECT_FALSE(parse(std::string(kLeast) + "x = " + std::string(5000, '[')));
}

}  // namespace
}  // namespace syncline

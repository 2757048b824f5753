#include "protocol/ignore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/limits.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

bool ignores(const char* rules, const char* path, bool directory = false) {
  return IgnoreRules::parse(rules).ignores(path, directory);
}

struct Case {
  const char* rules;
  const char* path;
  bool directory, ignored;
};

class IgnoreCases : public ::testing::TestWithParam<Case> {};

TEST_P(IgnoreCases, are_as_the_manual_page_says) {
  const Case& c = GetParam();
  EXPECT_EQ(ignores(c.rules, c.path, c.directory), c.ignored)
      << "rules:\n" << c.rules << "\npath: " << c.path << (c.directory ? "/" : "");
}

constexpr Case kCases[] = {
    {"*.o", "a.o", false, true},
    {"*.o", "x/y/a.o", false, true},
    {"*.o", "x.o/file", false, true},  // below an excluded directory
    {"*.o", "a.oo", false, false},
    {"/foo", "foo", false, true},
    {"/foo", "x/foo", false, false},
    {"foo/", "foo", true, true},
    {"foo/", "foo", false, false},
    {"foo/", "x/foo/y", false, true},
    {"/foo/*/bar", "foo/x/bar", false, true},
    {"/foo/*/bar", "foo/x/y/bar", false, false},
    {"/foo/**/bar", "foo/x/y/bar", false, true},
    {"/foo/**/bar", "foo/bar", false, false},
    {"b/c", "a/b/c", false, true},
    {"b/c", "a/bb/c", false, false},
    {"b/c", "c", false, false},
    {"**/c", "c", false, true},
    {"**/c", "a/b/c", false, true},
    {"b**c", "a/b/x/c", false, true},
    {"foo/***", "foo", true, true},
    {"foo/***", "foo", false, false},
    {"foo/***", "foo/x", false, true},
    {"+ */\n+ *.jpg\n- *", "d", true, false},
    {"+ */\n+ *.jpg\n- *", "d/a.jpg", false, false},
    {"+ */\n+ *.jpg\n- *", "d/a.png", false, true},
    {"- /d/\n+ /d/keep", "d/keep", false, true},  // nothing below an excluded directory is looked at
    {"a\n!\nb", "a", false, false},
    {"a\n!\nb", "b", false, true},
    {"# a\n; b\n\nc\r\n", "c", false, true},
    {"# a", "# a", false, false},
    {"?[a-c][!x]", "1by", false, true},
    {"?[a-c][!x]", "1bx", false, false},
    {"?[a-c][!x]", "1dy", false, false},
    {"[[:digit:]]*", "7up", false, true},
    {"[[:digit:]]*", "up7", false, false},
    {"a[!b]c", "a/c", false, false},
    {"\\*", "*", false, true},
    {"\\*", "x", false, false},
    {"a\\b", "a\\b", false, true},  // no wildcard: the backslash is itself
    {"*", ".synclineignore", false, false},
    {"*", ".", true, false},
    {"*", "", true, false},  // the root, as the watcher has it
};
INSTANTIATE_TEST_SUITE_P(Manual, IgnoreCases, ::testing::ValuesIn(kCases));

TEST(Ignore, a_malformed_rule_is_one_line_and_the_rest_holds) {
  const IgnoreRules rules = IgnoreRules::parse("*.tmp\n[a\n\na//b\n+ \n/\nx*\\\n[[:smile:]]\n*.bak\n");
  EXPECT_EQ(rules.size(), 2u);
  EXPECT_TRUE(rules.ignores("a.tmp", false));
  EXPECT_TRUE(rules.ignores("a.bak", false));
  ASSERT_THAT(rules.problems(), SizeIs(6));
  EXPECT_EQ(rules.problems()[0].line, 2u);
  EXPECT_THAT(rules.problems()[0].text, HasSubstr("line 2 is left out: the pattern has a [ without its ]"));
  EXPECT_EQ(rules.problems()[1].line, 4u);
  EXPECT_THAT(rules.problems()[5].text, HasSubstr("line 8"));
}

TEST(Ignore, is_bounded_in_count_and_length) {
  std::string text = std::string(limits::ignore_pattern_bytes, 'a') + "\n" + std::string(limits::ignore_pattern_bytes + 1, 'b') + "\n";
  for (std::size_t i = 0; i < limits::ignore_rules + 10; ++i) text += "f" + std::to_string(i) + "\n";
  const IgnoreRules rules = IgnoreRules::parse(text);
  EXPECT_TRUE(rules.ignores(std::string(limits::ignore_pattern_bytes, 'a'), false));
  ASSERT_THAT(rules.problems(), SizeIs(2));
  EXPECT_THAT(rules.problems()[0].text, HasSubstr("line 2 is left out"));
  EXPECT_THAT(rules.problems()[1].text, HasSubstr("all below are left out"));
  EXPECT_TRUE(rules.ignores("f" + std::to_string(limits::ignore_rules - 3), false));
  EXPECT_FALSE(rules.ignores("f" + std::to_string(limits::ignore_rules - 2), false));
}

// Many stars must not take many times as long.
TEST(Ignore, stars_do_not_explode) {
  std::string pattern, path(2000, 'a');
  for (int i = 0; i < 100; ++i) pattern += "a*";
  EXPECT_FALSE(ignores((pattern + "b").c_str(), path.c_str()));
  EXPECT_TRUE(ignores(pattern.c_str(), path.c_str()));
}

}  // namespace
}  // namespace syncline

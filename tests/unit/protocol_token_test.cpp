#include "protocol/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/limits.h"

namespace syncline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Token some_token() {
  Token t;
  t.cluster.bytes.fill(1), t.inviter_key.bytes.fill(2), t.id.fill(3), t.secret.bytes.fill(0xfb),
      t.expires = {1'777'898'096'789};
  t.addresses = {"192.0.2.7:7440", "[2001:db8::7]:7440"};
  return t;
}

TEST(Token, survives_the_paste) {
  const std::string text = token_text(some_token());
  EXPECT_EQ(text.substr(0, 9), "syncline-");
  EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
            std::string::npos);
  const auto back = parse_token(" \t" + text + "\r\n");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, some_token());
}

TEST(Token, every_cut_and_every_wrong_character_is_named_as_damage) {
  const std::string text = token_text(some_token());
  for (std::size_t size = 9; size < text.size(); ++size) {
    const auto cut = parse_token(text.substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_THAT(cut.error().message, HasSubstr("damaged or cut off"));
  }
  for (std::size_t at = 9; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    const auto bad = parse_token(changed);
    ASSERT_FALSE(bad) << at;
    EXPECT_THAT(bad.error().message, Not(HasSubstr(text.substr(20, 20))));  // a secret stays out of messages
  }
}

TEST(Token, something_else_is_named_as_such) {
  for (const char* text : {"", "hello", "Syncline-abc", "https://example.org"})
    EXPECT_THAT(parse_token(text).error().message, HasSubstr("this is not a join token"));
  EXPECT_THAT(parse_token("syncline-" + std::string(limits::token_bytes + 1, 'A')).error().message,
              HasSubstr("too long"));
}

TEST(Token, the_longest_one_fits_its_bound) {
  Token t = some_token();
  const std::string host = std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') +
                           "." + std::string(61, 'd');
  t.addresses.assign(limits::addresses, host + ":65535");
  const auto back = parse_token(token_text(t));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, t);
}

}  // namespace
}  // namespace syncline

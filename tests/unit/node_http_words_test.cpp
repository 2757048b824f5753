#include <gtest/gtest.h>

#include "node/http_words.h"
#include "protocol/limits.h"

namespace syncline::http {
namespace {

TEST(HttpWords, paths_are_decoded_once) {
  EXPECT_EQ(*decode_path("a%20b/%C3%A4+c.jpg?v=%ZZ#x"), "a b/\xC3\xA4+c.jpg");
  EXPECT_EQ(*decode_path("%252e%252e"), "%2e%2e");
  EXPECT_EQ(*decode_path("%2e%2E%2f"), "../");
  EXPECT_EQ(*decode_path(""), "");
}

TEST(HttpWords, bad_paths) {
  for (const char* bad : {"%", "a%2", "%zz", "%u0041", "a%00b", "% 1"}) EXPECT_FALSE(decode_path(bad)) << bad;
  EXPECT_TRUE(decode_path(std::string(limits::path_bytes, 'a')));
  EXPECT_FALSE(decode_path(std::string(limits::path_bytes + 1, 'a')));
}

TEST(HttpWords, dates) {
  EXPECT_EQ(date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(1'709'164'800), "Thu, 29 Feb 2024 00:00:00 GMT");
  for (const std::int64_t t : {0ll, 784'111'777ll, 1'709'164'800ll, 253'402'300'799ll})
    EXPECT_EQ(parse_date(date(t)), t);
  for (const char* bad :
       {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET", "Fri, 30 Feb 2024 00:00:00 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT"})
    EXPECT_FALSE(parse_date(bad)) << bad;
}

TEST(HttpWords, if_none_match) {
  EXPECT_TRUE(none_match_names("\"a\"", "\"a\""));
  EXPECT_TRUE(none_match_names("\"x\", W/\"a\" ,\"y\"", "\"a\""));
  EXPECT_TRUE(none_match_names("\"a\"", "W/\"a\""));
  EXPECT_TRUE(none_match_names(" * ", "\"a\""));
  for (const char* other : {"", "\"b\"", "a", "\"a", "\"x\" \"a", "W/", "\"a,b\""})
    EXPECT_FALSE(none_match_names(other, "\"a\"")) << other;
  EXPECT_TRUE(none_match_names("\"a,b\"", "\"a,b\""));
}

TEST(HttpWords, if_range) {
  EXPECT_TRUE(range_holds("\"a\"", "\"a\"", 5));
  EXPECT_FALSE(range_holds("\"b\"", "\"a\"", 5));
  EXPECT_FALSE(range_holds("W/\"a\"", "W/\"a\"", 5));  // weak: not byte for byte
  EXPECT_TRUE(range_holds(date(5), "\"a\"", 5));
  EXPECT_FALSE(range_holds(date(5), "W/\"a\"", 5));
  EXPECT_FALSE(range_holds(date(6), "\"a\"", 5));
  EXPECT_FALSE(range_holds("nonsense", "\"a\"", 5));
}

Ranges choose(std::vector<std::pair<std::int64_t, std::int64_t>> wanted, std::uint64_t size) {
  return choose_ranges(wanted, size);
}

TEST(HttpWords, ranges) {
  using S = std::vector<Slice>;
  EXPECT_EQ(choose({{0, 4}}, 10).slices, (S{{0, 4}}));
  EXPECT_EQ(choose({{5, -1}}, 10).slices, (S{{5, 9}}));
  EXPECT_EQ(choose({{-1, 3}}, 10).slices, (S{{7, 9}}));
  EXPECT_EQ(choose({{-1, 30}}, 10).slices, (S{{0, 9}}));
  EXPECT_EQ(choose({{2, 1'000'000}}, 10).slices, (S{{2, 9}}));
  EXPECT_EQ(choose({{0, 0}, {20, 30}, {9, 9}}, 10).slices, (S{{0, 0}, {9, 9}}));
  for (const auto& nothing : {choose({{10, -1}}, 10), choose({{-1, 0}}, 10), choose({{-1, -1}}, 10),
                              choose({{0, -1}}, 0), choose({{-1, 5}}, 0), choose({{30, 40}, {50, -1}}, 10)})
    EXPECT_EQ(nothing.what, Ranges::Do::refuse);
  EXPECT_EQ(choose({}, 10).what, Ranges::Do::whole);
  EXPECT_EQ(choose({{0, 9}, {0, 9}}, 10).what, Ranges::Do::whole);  // more bytes than the whole has
  EXPECT_EQ(choose({limits::http_ranges + 1, {1, 1}}, 10).what, Ranges::Do::whole);
}

TEST(HttpWords, types) {
  EXPECT_EQ(content_type("a/b.jpg"), "image/jpeg");
  EXPECT_EQ(content_type("B.JPEG"), "image/jpeg");
  EXPECT_EQ(content_type("x.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type("style.css"), "text/css");
  EXPECT_EQ(content_type("a.webp"), "image/webp");
  EXPECT_EQ(content_type("7z.7z"), "application/x-7z-compressed");
  for (const char* unknown : {"a", "a.", "a.exe", ".jpg", "jpg", "dir.jpg/file", "a.jpg.", ""})
    EXPECT_EQ(content_type(unknown), "application/octet-stream") << unknown;
}

}  // namespace
}  // namespace syncline::http

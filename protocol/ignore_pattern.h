#pragma once
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace syncline {

// One pattern of an ignore rule, with the meaning that rsync(1) gives it under "INCLUDE/EXCLUDE PATTERN RULES":
//   *  any characters but '/'    **  any characters    ?  one character but '/'    [a-z] [!x] [[:digit:]]  one of a set, never '/'
//   \  takes the next one's meaning away, in a pattern that has one of *?[; in others it is itself
//   /  at the start: matched from the folder's root on; at the end: directories only
// A pattern with neither a '/' inside nor "**" is matched with the last name of the path; another one, if not anchored, with the
// names at its end. "DIR/***" is the directory and all below it.
class IgnorePattern {
 public:
  // Error::invalid, the text being what is wrong.
  static Result<IgnorePattern> parse(std::string_view text);
  // `path` is canonical.
  bool matches(std::string_view path, bool is_directory) const;

 private:
  struct Token {
    enum class Kind : std::uint8_t { literal, one, set, star, stars } kind = Kind::literal;
    char literal = 0;
    std::uint16_t set = 0;  // of sets_
  };
  enum class Where : std::uint8_t {
    name,        // the last name of the path
    root,        // the whole path
    below_root,  // the whole path with a '/' in front
    end,         // as many names at the end as the pattern has
    anywhere,    // from any name on
  };
  Status compile(std::string_view text);
  Status compile_set(std::string_view text, std::size_t& at);
  Status compile_class(std::string_view text, std::size_t& at, std::bitset<256>& set) const;
  bool matches_text(std::string_view text) const;
  bool takes(const Token& token, char c) const;

  std::vector<Token> tokens_;
  std::vector<std::bitset<256>> sets_;
  Where where_ = Where::name;
  std::size_t names_ = 1;         // Where::end
  bool directory_only_ = false;
  bool below_too_ = false;        // ends with "***": a directory counts as if its path ended with '/'
};

}  // namespace syncline

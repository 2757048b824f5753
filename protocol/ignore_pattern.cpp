#include "protocol/ignore_pattern.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace syncline {
namespace {

using Set = std::bitset<256>;
std::size_t index_of(char c) { return static_cast<unsigned char>(c); }

// The names of POSIX, with their meaning in the C locale.
constexpr std::array<std::pair<std::string_view, int (*)(int)>, 12> kClasses{{{"alnum", std::isalnum},
                                                                             {"alpha", std::isalpha},
                                                                             {"blank", std::isblank},
                                                                             {"cntrl", std::iscntrl},
                                                                             {"digit", std::isdigit},
                                                                             {"graph", std::isgraph},
                                                                             {"lower", std::islower},
                                                                             {"print", std::isprint},
                                                                             {"punct", std::ispunct},
                                                                             {"space", std::isspace},
                                                                             {"upper", std::isupper},
                                                                             {"xdigit", std::isxdigit}}};

tl::unexpected<Error> malformed(const char* why) { return fail(Error::Code::invalid, why); }

// A path has no such names, so that the pattern would match nothing.
bool has_impossible_name(std::string_view text) {
  if (text.starts_with('/')) text.remove_prefix(1);
  while (true) {
    const std::size_t slash = text.find('/');
    const std::string_view name = text.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return true;
    if (slash == text.npos) return false;
    text.remove_prefix(slash + 1);
  }
}

// "[:name:]"; else the '[' in a set is one of its characters.
bool begins_class(std::string_view text, std::size_t at) {
  if (at + 1 >= text.size() || text[at + 1] != ':') return false;
  const std::size_t end = text.find(']', at + 2);
  return end != text.npos && end > at + 2 && text[end - 1] == ':';
}

// The last `names` names of the path; the whole of it if there are no more. Empty: there are fewer.
std::string_view last_names(std::string_view path, std::size_t names) {
  std::size_t at = path.size();
  while (names > 0 && at != std::string_view::npos) {
    at = at == 0 ? path.npos : path.rfind('/', at - 1);
    --names;
  }
  if (at != path.npos) return path.substr(at + 1);
  return names == 0 ? path : std::string_view{};
}

}  // namespace

Result<IgnorePattern> IgnorePattern::parse(std::string_view text) {
  IgnorePattern out;
  const bool stars = text.find("**") != text.npos;
  out.below_too_ = text.ends_with("***");
  out.directory_only_ = text.size() > 1 && text.ends_with('/');
  if (out.directory_only_) text.remove_suffix(1);
  if (text.empty() || text == "/") return malformed("names nothing");
  if (text.find('\0') != text.npos) return malformed("has a zero byte");
  if (has_impossible_name(text)) return malformed("has an empty name, \".\" or \"..\" between slashes");
  const auto slashes = static_cast<std::size_t>(std::ranges::count(text, '/'));
  if (text.front() == '/') {
    out.where_ = Where::root;
    text.remove_prefix(1);
  } else if (text.starts_with("**")) {
    out.where_ = Where::below_root;
  } else if (stars) {
    out.where_ = Where::anywhere;
  } else if (slashes > 0) {
    out.where_ = Where::end;
    out.names_ = slashes + 1;
  }
  if (const Status compiled = out.compile(text); !compiled) return tl::unexpected(compiled.error());
  return out;
}

Status IgnorePattern::compile(std::string_view text) {
  using Kind = Token::Kind;
  const bool wild = text.find_first_of("*?[") != text.npos;
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (wild && c == '*') {
      const std::size_t end = std::min(text.find_first_not_of('*', at), text.size());
      tokens_.push_back({end - at > 1 ? Kind::stars : Kind::star});
      at = end - 1;
    } else if (wild && c == '?') {
      tokens_.push_back({Kind::one});
    } else if (wild && c == '[') {
      if (const Status set = compile_set(text, at); !set) return set;
    } else {
      if (wild && c == '\\') {
        if (at + 1 == text.size()) return malformed("ends with a \\ that nothing follows");
        c = text[++at];
      }
      tokens_.push_back({Kind::literal, c});
    }
  }
  return {};
}

// From the '[' at `at` to its ']', where `at` is left.
Status IgnorePattern::compile_set(std::string_view text, std::size_t& at) {
  constexpr const char* kOpen = "has a [ without its ]";
  const auto next = [&] { return at + 1 < text.size() ? text[++at] : '\0'; };
  Set set;
  char c = next();
  const bool inverted = c == '!' || c == '^';
  if (inverted) c = next();
  char before = 0;  // the start of a range, if '-' comes now
  do {
    if (c == 0) return malformed(kOpen);
    const bool ranges = c == '-' && before != 0 && at + 2 < text.size() && text[at + 1] != ']';
    if (ranges) {
      char last = next();
      if (last == '\\') last = next();
      if (last == 0) return malformed(kOpen);
      for (std::size_t i = index_of(before); i <= index_of(last); ++i) set.set(i);
      before = 0;
    } else if (c == '[' && begins_class(text, at)) {
      if (const Status known = compile_class(text, at, set); !known) return known;
      before = 0;
    } else {
      if (c == '\\') c = next();
      if (c == 0) return malformed(kOpen);
      set.set(index_of(c));
      before = c;
    }
    c = next();
  } while (c != ']');
  if (inverted) set.flip();
  set.reset(index_of('/'));
  tokens_.push_back({Token::Kind::set, 0, static_cast<std::uint16_t>(sets_.size())});
  sets_.push_back(set);
  return {};
}

// "[:digit:]", from its '[' at `at` to its ']'.
Status IgnorePattern::compile_class(std::string_view text, std::size_t& at, Set& set) const {
  const std::size_t end = text.find(":]", at + 2);
  const std::string_view name = text.substr(at + 2, end - at - 2);
  const auto known = std::ranges::find(kClasses, name, [](const auto& c) { return c.first; });
  if (known == kClasses.end()) return malformed("has a class like [:digit:] whose name is not known");
  for (int c = 0; c < 128; ++c)
    if (known->second(c) != 0) set.set(static_cast<std::size_t>(c));
  at = end + 1;
  return {};
}

bool IgnorePattern::takes(const Token& token, char c) const {
  switch (token.kind) {
    case Token::Kind::literal:
      return c == token.literal;
    case Token::Kind::one:
    case Token::Kind::star:
      return c != '/';
    case Token::Kind::set:
      return sets_[token.set].test(index_of(c));
    case Token::Kind::stars:
      return true;
  }
  return false;
}

// Where a star has taken too little it takes one character more; only the last of each kind can help, for what lies before it has
// been matched as early as it can be.
bool IgnorePattern::matches_text(std::string_view text) const {
  struct Retry {
    std::size_t token = SIZE_MAX, at = 0;  // the token behind the star, and what it takes next
  };
  Retry star, stars;
  std::size_t token = 0, at = 0;
  while (true) {
    if (token < tokens_.size() && tokens_[token].kind == Token::Kind::stars) {
      stars = {++token, at};
      star = {};
    } else if (token < tokens_.size() && tokens_[token].kind == Token::Kind::star) {
      star = {++token, at};
    } else if (token == tokens_.size() && at == text.size()) {
      return true;
    } else if (token < tokens_.size() && at < text.size() && takes(tokens_[token], text[at])) {
      ++token, ++at;
    } else if (star.token != SIZE_MAX && star.at < text.size() && text[star.at] != '/') {
      token = star.token, at = ++star.at;
    } else if (stars.token != SIZE_MAX && stars.at < text.size()) {
      star = {};
      token = stars.token, at = ++stars.at;
    } else {
      return false;
    }
  }
}

bool IgnorePattern::matches(std::string_view path, bool is_directory) const {
  if (directory_only_ && !is_directory) return false;
  const bool with_slash = is_directory && below_too_;
  std::string made;  // where the path alone will not do
  if (with_slash || where_ == Where::below_root) {
    made.reserve(path.size() + 2);
    if (where_ == Where::below_root) made += '/';
    made += path;
    if (with_slash) made += '/';
    path = made;
  }
  switch (where_) {
    case Where::name:
      return matches_text(path.substr(path.rfind('/') + 1));
    case Where::root:
    case Where::below_root:
      return matches_text(path);
    case Where::end: {
      const std::string_view end = last_names(path, names_);
      return !end.empty() && matches_text(end);
    }
    case Where::anywhere:
      break;
  }
  while (!matches_text(path)) {
    const std::size_t slash = path.find('/');
    if (slash == path.npos) return false;
    path.remove_prefix(slash + 1);
  }
  return true;
}

}  // namespace syncline

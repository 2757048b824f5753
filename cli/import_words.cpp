#include <algorithm>

#include "cli/import_tables.h"

namespace syncline {
namespace {

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string without_end_slash(std::string text) {
  while (text.size() > 1 && (text.ends_with('/') || text.ends_with('\\'))) text.pop_back();
  return text;
}

// "/cygdrive/c/inetpub/x" or "c:/inetpub/x" as "C:\inetpub\x"; "" for what is no Windows path.
std::string windows_path(std::string_view text) {
  constexpr std::string_view cygdrive = "/cygdrive/";
  std::string drive, rest;
  if (text.starts_with(cygdrive) && text.size() > cygdrive.size() && letter(text[cygdrive.size()])) {
    drive = text.substr(cygdrive.size(), 1), rest = text.substr(cygdrive.size() + 1);
    if (!rest.empty() && rest.front() != '/') return "";
  } else if (text.size() > 2 && letter(text[0]) && text[1] == ':' && (text[2] == '/' || text[2] == '\\')) {
    drive = text.substr(0, 1), rest = text.substr(2);
  } else {
    return "";
  }
  std::ranges::replace(rest, '/', '\\');
  const char upper = static_cast<char>(drive[0] >= 'a' ? drive[0] - 'a' + 'A' : drive[0]);
  const std::string tail = without_end_slash(rest);
  return std::string(1, upper) + ":" + (tail.empty() ? "\\" : tail);
}

ImportPlace module_of(std::string_view text) {
  ImportPlace place;
  place.remote = true;
  const std::size_t slash = text.find('/');
  place.module = text.substr(0, slash);
  return place;
}

}  // namespace

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;  // a word has begun, be it an empty one
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const char next = i + 1 < line.size() ? line[i + 1] : '\0';
    if (quote != 0) {
      if (c == quote)
        quote = 0;
      else if (quote == '"' && c == '\\' && next == '"')
        word += next, ++i;
      else
        word += c;
    } else if (c == '"' || c == '\'') {
      quote = c, inside = true;
    } else if (c == '\\' && (next == ' ' || next == '"' || next == '\'')) {
      word += next, ++i, inside = true;
    } else if (blank(c)) {
      if (inside) words.push_back(std::move(word));
      word.clear(), inside = false;
    } else {
      word += c, inside = true;
    }
  }
  if (inside) words.push_back(std::move(word));
  return words;
}

ImportPlace place_of(std::string_view text) {
  if (std::string path = windows_path(text); !path.empty()) return {false, "", std::move(path), true};
  constexpr std::string_view scheme = "rsync://";
  if (text.starts_with(scheme)) {
    const std::size_t slash = text.find('/', scheme.size());
    return module_of(slash == text.npos ? "" : text.substr(slash + 1));
  }
  const std::size_t colon = text.find(':'), slash = text.find('/');
  if (colon == text.npos || slash < colon) return {false, "", without_end_slash(std::string(text)), false};
  if (text.substr(colon).starts_with("::")) return module_of(text.substr(colon + 2));
  return {true, "", without_end_slash(std::string(text.substr(colon + 1))), false};
}

}  // namespace syncline

#include "cli/lb_template.h"

#include <cassert>

namespace syncline {
namespace {

std::string_view next_line(std::string_view& text, char end = '\n') {
  const std::size_t at = text.find(end);
  const std::string_view line = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + 1);
  return line;
}

const std::string& word(const LbWords& words, std::string_view name) {
  static const std::string none;
  const auto at = words.find(name);
  assert(at != words.end());
  return at == words.end() ? none : at->second;
}

std::string_view indent_of(std::string_view line) { return line.substr(0, line.find_first_not_of(' ')); }

// The words in their places.
std::string replaced(std::string_view line, const LbWords& words) {
  std::string out;
  for (std::size_t at; (at = line.find("@{")) != line.npos;) {
    const std::size_t end = line.find('}', at);
    assert(end != line.npos);
    out += line.substr(0, at);
    out += word(words, line.substr(at + 2, end - at - 2));
    line.remove_prefix(end + 1);
  }
  return out += line;
}

// Every line of a word of several lines gets the indent of the first.
std::string indented(std::string text, std::string_view indent) {
  for (std::size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1 + indent.size()))
    text.insert(at + 1, indent);
  return text;
}

std::string comment_line(std::string_view comment, std::string_view indent, const std::string& text) {
  const std::size_t at = comment.find("@{}");
  return std::string(indent) + std::string(comment.substr(0, at)) + text +
         std::string(comment.substr(at + 3)) + "\n";
}

}  // namespace

std::string lb_fill(std::string_view lines, const LbWords& words, const LbExplain& explain,
                    std::string_view comment) {
  std::string out;
  while (!lines.empty()) {
    std::string_view line = next_line(lines);
    if (line.starts_with('?')) {
      line.remove_prefix(1);
      if (word(words, next_line(line, ' ')).empty()) continue;
    }
    if (const std::size_t mark = line.find("@@"); mark != line.npos) {
      const auto why = explain.find(line.substr(mark + 2));
      line = line.substr(0, line.find_last_not_of(' ', mark - 1) + 1);
      if (why != explain.end()) out += comment_line(comment, indent_of(line), why->second);
    }
    out += indented(replaced(line, words), indent_of(line)) + "\n";
  }
  return out;
}

}  // namespace syncline

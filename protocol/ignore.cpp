#include "protocol/ignore.h"

#include <fmt/format.h>

#include "protocol/limits.h"
#include "protocol/record.h"

namespace syncline {

IgnoreRules IgnoreRules::parse(std::string_view text) {
  IgnoreRules out;
  if (text.size() > limits::ignore_file_bytes) {
    text = text.substr(0, limits::ignore_file_bytes);
    text = text.substr(0, text.rfind('\n') + 1);
    out.problems_.push_back({0, fmt::format("longer than {} bytes: what is beyond is left out", limits::ignore_file_bytes)});
  }
  out.text_ = text;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (out.rules_.size() + out.problems_.size() >= limits::ignore_rules) {
      out.problems_.push_back({number, fmt::format("line {} and all below are left out: more than {} rules", number,
                                                   limits::ignore_rules)});
      break;
    }
    if (!line.empty() && line.front() != '#' && line.front() != ';') out.take_line(number, line);
  }
  return out;
}

void IgnoreRules::take_line(std::size_t number, std::string_view line) {
  if (line == "!") return rules_.clear();  // alone: "- !" is about a file of that name, as for rsync 3.5
  const bool include = line.starts_with("+ ");
  if (include || line.starts_with("- ")) line.remove_prefix(2);
  const auto wrong = [&](std::string_view why) {
    problems_.push_back({number, fmt::format("line {} is left out: the pattern {}", number, why)});
  };
  if (line.size() > limits::ignore_pattern_bytes)
    return wrong(fmt::format("is longer than {} bytes", limits::ignore_pattern_bytes));
  auto pattern = IgnorePattern::parse(line);
  if (!pattern) return wrong(pattern.error().message);
  rules_.push_back({include, std::move(*pattern)});
}

bool IgnoreRules::excludes(std::string_view path, bool is_directory) const {
  if (path.empty() || path == kRootPath || path == kIgnoreFile) return false;
  for (const Rule& rule : rules_)
    if (rule.pattern.matches(path, is_directory)) return !rule.include;
  return false;
}

bool IgnoreRules::ignores(std::string_view path, bool is_directory) const {
  if (rules_.empty()) return false;
  for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
    if (excludes(path.substr(0, slash), true)) return true;
  return excludes(path, is_directory);
}

}  // namespace syncline

#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/ignore_pattern.h"

namespace syncline {

// At the root of a folder: which of its paths are not synced. It is a file of the folder like any other, and so shared by all
// nodes; no rule of its own can ignore it.
inline constexpr std::string_view kIgnoreFile = ".synclineignore";

struct IgnoreProblem {
  std::size_t line = 0;  // from 1; 0: the file as a whole
  std::string text;      // "line 3: what is wrong"
};

// The rules of one folder: one a line, as rsync --exclude-from reads them. "- PATTERN" or PATTERN alone excludes, "+ PATTERN"
// includes, "!" alone forgets all rules above; empty lines and those that begin with '#' or ';' say nothing. The first rule that
// matches decides; what none matches is synced. Nothing below an excluded directory is looked at, whatever the rules say of it.
// Immutable, hence thread-safe.
class IgnoreRules {
 public:
  IgnoreRules() = default;
  // Takes every rule that it can: a malformed one, and what is beyond limits::ignore_file_bytes or ignore_rules, are among the problems.
  static IgnoreRules parse(std::string_view text);

  // Whether the path, or a directory above it, is excluded. `path` is canonical; the root, "." or "", never is.
  bool ignores(std::string_view path, bool is_directory) const;
  // The same for a path of which it is known that nothing above it is excluded, as in a walk.
  bool excludes(std::string_view path, bool is_directory) const;
  // Excluded as what it may be: a file, a directory.
  bool ignores_either(std::string_view path) const { return ignores(path, false) || ignores(path, true); }
  bool ignores_both(std::string_view path) const { return ignores(path, false) && ignores(path, true); }

  bool empty() const { return rules_.empty(); }
  std::size_t size() const { return rules_.size(); }
  const std::vector<IgnoreProblem>& problems() const { return problems_; }
  // What it was parsed from.
  const std::string& text() const { return text_; }

 private:
  struct Rule {
    bool include = false;
    IgnorePattern pattern;
  };
  void take_line(std::size_t number, std::string_view line);

  std::string text_;
  std::vector<Rule> rules_;
  std::vector<IgnoreProblem> problems_;
};

}  // namespace syncline

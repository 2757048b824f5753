#include <array>
#include <utility>

#include "cli/import_tables.h"
#include "protocol/ignore_pattern.h"

namespace syncline {
namespace {

// What -C leaves out, as rsync(1) lists it.
constexpr std::array kCvs = std::to_array<std::string_view>(
    {"RCS",   "SCCS",  "CVS",   "CVS.adm", "RCSLOG", "cvslog.*", "tags", "TAGS", ".make.state", ".nse_depinfo", "*~",
     "#*",    ".#*",   ",*",    "_$*",     "*$",     "*.old",    "*.bak", "*.BAK", "*.orig",     "*.rej",        ".del-*",
     "*.a",   "*.olb", "*.o",   "*.obj",   "*.so",   "*.exe",    "*.Z",  "*.elc", "*.ln",       "core",         ".svn/",
     ".git/", ".hg/",  ".bzr/"});

void add(ImportRules& out, std::string_view sign, std::string_view pattern) {
  if (pattern == "!") return out.rules.push_back("!");
  if (const auto parsed = IgnorePattern::parse(pattern); !parsed)
    out.problem = "the pattern " + parsed.error().message + ": it matches nothing";
  else
    out.rules.push_back(std::string(sign) + std::string(pattern));
}

// One rule as --exclude and --include read it, `sign` being what one without a prefix means.
void add_prefixed(ImportRules& out, std::string_view sign, std::string_view rule) {
  if (rule.starts_with("- ") || rule.starts_with("+ ")) sign = rule.substr(0, 2), rule.remove_prefix(2);
  add(out, sign, rule);
}

// A rule of --filter: of its many kinds those that are rules here, too.
void add_filter(ImportRules& out, std::string_view rule) {
  for (const auto& [word, sign] : std::to_array<std::pair<std::string_view, std::string_view>>(
           {{"exclude ", "- "}, {"include ", "+ "}, {"- ", "- "}, {"+ ", "+ "}})) {
    if (rule.starts_with(word)) return add(out, sign, rule.substr(word.size()));
  }
  if (rule == "!" || rule == "clear") return out.rules.push_back("!");
  out.problem = "of filter rules only \"- PATTERN\", \"+ PATTERN\" and \"!\", without modifiers, are rules of .synclineignore, too";
}

}  // namespace

ImportRules rules_of_option(std::string_view name, std::string_view value) {
  ImportRules out;
  if (name == "exclude") add_prefixed(out, "- ", value);
  if (name == "include") add_prefixed(out, "+ ", value);
  if (name == "filter") add_filter(out, value);
  if (name == "cvs-exclude")
    for (const std::string_view pattern : kCvs) add(out, "- ", pattern);
  return out;
}

// White space separates the rules of a parameter; a lone sign belongs to the next word.
ImportRules rules_of_parameter(std::string_view name, std::string_view value) {
  ImportRules out;
  if (name != "exclude" && name != "include" && name != "filter") return out;
  std::string sign;
  for (const std::string& word : split_words(value)) {
    if (word == "-" || word == "+") {
      sign = word + " ";
      continue;
    }
    const std::string rule = sign + word;
    name == "filter" ? add_filter(out, rule) : add_prefixed(out, name == "include" ? "+ " : "- ", rule);
    sign.clear();
  }
  return out;
}

}  // namespace syncline

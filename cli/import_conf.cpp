#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/import_tables.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r");
  if (from == text.npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

// Letters, blanks and '-' only: what cannot be a line of a secrets file given by mistake.
bool could_be_a_name(std::string_view text) {
  return text.size() <= 40 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ' || c == '-' || c == '_';
         });
}

std::vector<std::string> items(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != ',') {
      word += c;
      continue;
    }
    if (!word.empty()) out.push_back(std::move(word));
    word.clear();
  }
  if (!word.empty()) out.push_back(std::move(word));
  return out;
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  void line(std::string_view text, std::size_t number) {
    number_ = number;
    text = trimmed(text);
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    if (text.front() == '&')
      return say("&include", "", Verdict::unsupported,
                 "not followed: give that file to syncline import as well");
    if (text.front() == '[') return section(text);
    const std::size_t equals = text.find('=');
    if (equals == text.npos)
      return say("(a line)", "", Verdict::unknown,
                 "neither [module] nor \"name = value\"; not shown, for it may be a secret");
    parameter(trimmed(text.substr(0, equals)), trimmed(text.substr(equals + 1)));
  }

  ImportConf take() {
    for (ImportFolder& folder : out_.folders) inherit(folder);
    return std::move(out_);
  }

 private:
  void say(std::string option, std::string value, Verdict verdict, std::string text) {
    std::string where = fmt::format("{}:{}", printable(file_), number_);
    if (in_module_) where += fmt::format(" [{}]", printable(out_.folders.back().name));
    out_.answers.push_back({std::move(where), std::move(option), std::move(value), verdict, std::move(text)});
  }

  void section(std::string_view text) {
    const std::size_t end = text.find(']');
    const std::string_view name = trimmed(text.substr(1, end == text.npos ? end : end - 1));
    in_module_ = end != text.npos && !name.empty() && name != "global";
    if (name == "global") return;
    if (!in_module_) return say("[", "", Verdict::unknown, "a section without a name");
    out_.folders.push_back({std::string(name), "", {}, "", false, ""});
    say("[" + printable(name) + "]", "", Verdict::taken, "a folder that every member holds");
  }

  void parameter(std::string_view name, std::string_view value) {
    const ConfParameter* known = conf_parameter(name);
    if (!known)
      return say(could_be_a_name(name) ? std::string(name) : "(a line)", "", Verdict::unknown,
                 "no parameter that this version of Syncline knows: look it up in rsyncd.conf(5) and judge "
                 "for yourself");
    const bool off = known->shows_value && (value == "no" || value == "false" || value == "0");
    if (off && known->verdict == Verdict::unsupported)
      say(known->name, std::string(value), Verdict::not_needed, "off, and so it stays");
    else
      say(known->name, known->shows_value ? printable(value) : "", known->verdict, known->text);
    ImportFolder& folder = in_module_ ? out_.folders.back() : global_;
    ImportRules said = rules_of_parameter(known->name, value);
    std::ranges::move(said.rules, std::back_inserter(folder.rules));
    if (!said.problem.empty()) say(known->name, printable(value), Verdict::unsupported, printable(said.problem));
    switch (known->effect) {
      case ConfEffect::path: {
        const ImportPlace place = place_of(value);
        folder.path = place.path, folder.windows = place.windows;
        break;
      }
      case ConfEffect::allow:
        folder.allow = items(value);
        break;
      case ConfEffect::address:
        folder.listen_host = value;
        break;
      case ConfEffect::none:
        break;
    }
  }

  // What the global part says is a module's default.
  void inherit(ImportFolder& folder) const {
    if (folder.path.empty()) folder.path = global_.path, folder.windows = global_.windows;
    if (folder.allow.empty()) folder.allow = global_.allow;
    if (folder.listen_host.empty()) folder.listen_host = global_.listen_host;
    if (folder.rules.empty()) folder.rules = global_.rules;
  }

  const std::string& file_;
  std::size_t number_ = 0;
  bool in_module_ = false;
  ImportFolder global_;
  ImportConf out_;
};

}  // namespace

ImportConf read_conf(std::string_view text, const std::string& file) {
  Reader reader(file);
  std::size_t number = 0;
  std::string joined;  // of lines that end with a backslash
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.ends_with('\\')) {
      joined += line.substr(0, line.size() - 1);
      continue;
    }
    joined += line;
    reader.line(joined, number);
    joined.clear();
  }
  if (!joined.empty()) reader.line(joined, number);
  return reader.take();
}

}  // namespace syncline

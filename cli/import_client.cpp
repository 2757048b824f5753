#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/import_tables.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

// The last part of a path of either system.
std::string_view base_name(std::string_view path) {
  const std::size_t at = path.find_last_of("/\\");
  return at == path.npos ? path : path.substr(at + 1);
}
bool is_rsync(std::string_view word) { return base_name(word) == "rsync" || base_name(word) == "rsync.exe"; }

// Where the shell takes over again: what follows is no argument of rsync.
bool ends_command(std::string_view word) {
  return word == "&&" || word == "||" || word == "|" || word == ";" || word == "&" || word.starts_with('>') ||
         word.starts_with("2>") || word.starts_with("1>") || word.starts_with("&>");
}

// A place without a user name or a password in it.
std::string without_user(std::string_view text) {
  const std::size_t scheme = text.find("://");
  const std::size_t start = scheme == text.npos ? 0 : scheme + 3;
  const std::size_t at = text.rfind('@');
  const std::size_t end = scheme == text.npos ? text.find(':') : text.size();
  if (at == text.npos || at < start) return std::string(text);
  if (scheme == text.npos && end == text.npos) return std::string(text);  // a local name with an @
  return std::string(text.substr(0, start)) + std::string(text.substr(at + 1));
}

class Reader {
 public:
  Reader(const std::vector<std::string>& words, std::string where)
      : words_(words), where_(std::move(where)) {}

  ImportClient read() {
    skip_what_starts_it();
    std::vector<std::string> places;
    bool options = true;
    for (; at_ < words_.size(); ++at_) {
      const std::string_view word = words_[at_];
      if (ends_command(word)) {
        say("output and what follows", "", Verdict::not_needed,
            "the node logs to the journal: journalctl -u synclined");
        break;
      }
      if (options && word == "--") {
        options = false;
      } else if (options && word.starts_with("--")) {
        read_long(word.substr(2));
      } else if (options && word.starts_with('-') && word.size() > 1) {
        read_letters(word.substr(1));
      } else {
        places.push_back(without_user(word));
      }
    }
    take_places(std::move(places));
    return std::move(out_);
  }

 private:
  void say(std::string option, std::string value, Verdict verdict, std::string text) {
    out_.answers.push_back({where_, std::move(option), std::move(value), verdict, std::move(text)});
  }

  // cron's time fields, nice, flock, a password in the environment: never shown.
  void skip_what_starts_it() {
    std::size_t program = 0;
    while (program < words_.size() && !is_rsync(words_[program])) ++program;
    if (program == words_.size()) {
      at_ = 0;
      if (words_.empty() || !words_.front().starts_with('-'))
        say("(no rsync)", "", Verdict::unknown,
            "no word of this line is rsync: it is read from its first option on");
      while (at_ < words_.size() && !words_[at_].starts_with('-')) ++at_;
      return;
    }
    bool password = false;
    for (std::size_t i = 0; i < program; ++i)
      password = password || words_[i].find("RSYNC_PASSWORD=") != std::string::npos;
    if (password)
      say("RSYNC_PASSWORD", "", Verdict::not_needed,
          "no passwords: members prove themselves by keys. Take it out of the old job and change it where "
          "else it is used");
    if (program > (password ? 1u : 0u))
      say("what starts it", "", Verdict::not_needed,
          "cron, nice, flock and the like: systemd runs the node, all the time");
    at_ = program + 1;
  }

  void answer(const RsyncOption& option, const std::string& shown, std::string_view value) {
    if (std::string_view(option.name) == "fsync") out_.fsync = true;
    ImportRules said = rules_of_option(option.name, value);
    std::ranges::move(said.rules, std::back_inserter(out_.rules));
    const bool taken = said.problem.empty();
    say(shown, option.shows_value ? printable(value) : "", taken ? option.verdict : Verdict::unsupported,
        taken ? option.text : printable(said.problem));
  }

  // The value of an option that wants one: behind the equals sign, or the next word.
  std::string value_of(bool given, std::string_view here) {
    if (given || at_ + 1 >= words_.size()) return std::string(here);
    return words_[++at_];
  }

  void read_long(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view name = text.substr(0, equals);
    const bool given = equals != text.npos;
    const std::string_view here = given ? text.substr(equals + 1) : "";
    if (const RsyncOption* option = rsync_option(name)) {
      const std::string value = option->takes_value ? value_of(given, here) : "";
      return answer(*option, fmt::format("--{}", name), value);
    }
    if (name.starts_with("no-")) {
      const std::string_view rest = name.substr(3);
      const RsyncOption* option = rest.size() == 1 ? rsync_option(rest.front()) : rsync_option(rest);
      if (option) return read_no(name, *option);
    }
    unknown(fmt::format("--{}", printable(name.substr(0, 40))));
  }

  // "--no-perms": takes back what another option (-a) asked for.
  void read_no(std::string_view name, const RsyncOption& option) {
    const bool taken = option.verdict == Verdict::taken;
    say(fmt::format("--{}", name), "", taken ? Verdict::unsupported : Verdict::not_needed,
        taken ? fmt::format("cannot be turned off: {}", option.text)
              : fmt::format("nothing to turn off (--{}: {})", option.name, option.text));
  }

  void read_letters(std::string_view letters) {
    for (std::size_t i = 0; i < letters.size(); ++i) {
      const RsyncOption* option = rsync_option(letters[i]);
      const std::string shown = fmt::format("-{}", printable(letters.substr(i, 1)));
      if (!option) {
        unknown(shown);
        continue;
      }
      if (!option->takes_value) {
        answer(*option, shown, "");
        continue;
      }
      std::string_view rest = letters.substr(i + 1);
      if (rest.starts_with('=')) rest.remove_prefix(1);
      return answer(*option, shown, value_of(!rest.empty(), rest));
    }
  }

  void unknown(std::string shown) {
    say(std::move(shown), "", Verdict::unknown,
        "not known to this version of Syncline: look it up in rsync(1) and judge for yourself");
  }

  void take_places(std::vector<std::string> places) {
    if (places.empty()) return;
    if (places.size() == 1) {
      out_.sources = std::move(places);
    } else {
      out_.destination = std::move(places.back());
      places.pop_back();
      out_.sources = std::move(places);
    }
    for (const std::string& source : out_.sources)
      say("SRC", printable(source), Verdict::taken,
          "a member of the cluster; there is no direction any more: each may write");
    if (!out_.destination.empty())
      say("DEST", printable(out_.destination), Verdict::taken, "a member of the cluster, as the source is");
  }

  const std::vector<std::string>& words_;
  std::string where_;
  std::size_t at_ = 0;
  ImportClient out_;
};

}  // namespace

ImportClient read_client(std::string_view line, const std::string& where) {
  const std::vector<std::string> words = split_words(line);
  return Reader(words, where).read();
}

}  // namespace syncline

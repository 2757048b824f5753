#pragma once
#include <span>
#include <string>
#include <string_view>

#include "cli/import.h"

// Private to cli/import*.cpp: everything that rsync can be told, and what Syncline makes of it.
namespace syncline {

struct RsyncOption {
  const char* name;  // without the dashes
  char letter;       // 0: none
  bool takes_value;
  bool shows_value;  // it is no secret, and an administrator wants to see which one is meant
  Verdict verdict;
  const char* text;
};
std::span<const RsyncOption> rsync_options();
const RsyncOption* rsync_option(std::string_view name);
const RsyncOption* rsync_option(char letter);

// What a parameter of rsyncd.conf also does to the result.
enum class ConfEffect : std::uint8_t { none, path, allow, address };

struct ConfParameter {
  const char* name;  // in lower case, single blanks
  bool shows_value;
  Verdict verdict;
  ConfEffect effect;
  const char* text;
};
std::span<const ConfParameter> conf_parameters();
const ConfParameter* conf_parameter(std::string_view name);  // case and white space do not count

// What an option or a parameter says of paths, as lines of .synclineignore; none for one that says nothing.
struct ImportRules {
  std::vector<std::string> rules;
  std::string problem;  // why (one of) its rules cannot be taken over
};
ImportRules rules_of_option(std::string_view name, std::string_view value);
ImportRules rules_of_parameter(std::string_view name, std::string_view value);

// ---- the two readers

struct ImportClient {
  std::vector<ImportAnswer> answers;
  std::vector<std::string> sources;  // positional, without user names and passwords
  std::string destination;
  std::vector<std::string> rules;    // of .synclineignore
  bool fsync = false;
};
ImportClient read_client(std::string_view line, const std::string& where);

// Words as a shell or cmd.exe would split them, near enough: quotes group; a backslash quotes a blank or a
// quote and is itself otherwise (Windows paths).
std::vector<std::string> split_words(std::string_view line);

// One side of a client's copy.
struct ImportPlace {
  bool remote = false;
  std::string module;  // host::module or rsync://host/module
  std::string path;    // local or over ssh; a Windows one as C:\...
  bool windows = false;
};
ImportPlace place_of(std::string_view text);

struct ImportConf {
  std::vector<ImportAnswer> answers;
  std::vector<ImportFolder> folders;  // one per module
};
ImportConf read_conf(std::string_view text, const std::string& file);

}  // namespace syncline

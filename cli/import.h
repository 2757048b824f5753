#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

// `syncline import`: what an rsyncd.conf and the command lines of its clients become. Pure, but for reading
// the file that is named.
namespace syncline {

enum class Verdict : std::uint8_t { taken, not_needed, unsupported, unknown };
std::string_view verdict_name(Verdict verdict);

// One option of the old set-up and what becomes of it.
struct ImportAnswer {
  std::string where;   // "rsyncd.conf:7 [uploads]" or "client 1"
  std::string option;  // "path", "-a", "--max-delete": never with a value that may be a secret
  std::string value;   // shown; empty where there is none, or it is nobody's business
  Verdict verdict = Verdict::unknown;
  std::string text;
};

// A folder that was synced: a module of the daemon, or the local side of a client.
struct ImportFolder {
  std::string name;
  std::string path;                // absolute; empty: not known
  std::vector<std::string> allow;  // addresses and networks that may reach the daemon
  std::string listen_host;         // `address`; empty: every one
  bool windows = false;            // a path of it was a Windows one
  std::string other;               // its path on the servers that have copies; empty: the same
  std::vector<std::string> rules{};  // of its .synclineignore
};

struct ImportResult {
  std::vector<ImportAnswer> answers;
  std::vector<ImportFolder> folders;
  std::vector<std::string> notes;
  bool strict = false;  // --fsync
};

// `file` names the text in answers. No error: what cannot be read is answered with an honest line.
ImportResult import_rsync(std::string_view conf, const std::string& file,
                          const std::vector<std::string>& clients);

std::string render(const ImportResult& result);
std::string import_json(const ImportResult& result);

// The .synclineignore of one of the folders, empty where it needs none.
std::string import_ignore(const ImportResult& result, std::size_t folder);
// The config.toml of one of the folders, as the node reads it; and the shell commands from here to there.
std::string import_config(const ImportResult& result, std::size_t folder);
std::vector<std::string> import_commands(const ImportResult& result);

// "-" is standard input. Error: it cannot be read, or is larger than limits::import_file_bytes.
Result<std::string> read_import_file(const std::string& name);

}  // namespace syncline

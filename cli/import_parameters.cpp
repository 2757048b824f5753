#include <algorithm>
#include <array>

#include "cli/import_tables.h"

namespace syncline {
namespace {

constexpr auto kTaken = Verdict::taken, kNot = Verdict::not_needed, kNo = Verdict::unsupported;
using enum ConfEffect;
constexpr const char* kRules = "rules of .synclineignore in the folder, which all servers share";
constexpr const char* kUnit = "the unit synclined.service says what the node may do";
constexpr const char* kJournal = "the log goes to the journal: journalctl -u synclined";
constexpr const char* kMembers =
    "only members get an answer, and a newcomer needs a token (syncline cluster invite)";
constexpr const char* kModes = "modes travel as they are: set the umask of the application instead";
constexpr const char* kScripts =
    "nothing is run for a change; syncline wait tells an application when every server has a file";
constexpr const char* kLinks = "UDP links of its own";

// name, shows its value, verdict, effect, text
constexpr std::array kParameters = std::to_array<ConfParameter>({
    {"path", true, kTaken, path, "the folder: of syncline init or join, [folder] path in config.toml"},
    {"hosts allow", true, kTaken, allow,
     "by the firewall, for UDP port 7440; what is more, only members get an answer"},
    {"hosts deny", true, kNot, none, kMembers},
    {"address", true, kTaken, address, "listen in config.toml"},
    {"port", true, kNot, none, "UDP port 7440 instead; close the old one when the job is gone"},
    {"exclude", true, kTaken, none, kRules},
    {"exclude from", true, kTaken, none,
     "its lines are rules of .synclineignore as they are: append them. The file was not read"},
    {"include", true, kTaken, none, kRules},
    {"include from", true, kTaken, none,
     "its lines are rules of .synclineignore with \"+ \" in front: append them so. The file was not read"},
    {"filter", true, kTaken, none, kRules},
    {"comment", true, kNot, none, "for people only"},
    {"read only", true, kNo, none, "every member reads and writes; for one that only sends: mode in config.toml, [folder]"},
    {"write only", true, kNo, none, "every member reads and writes; for one that only receives: mode in config.toml, [folder]"},
    {"list", true, kNot, none, kMembers},
    {"auth users", false, kNot, none, "no users and passwords: members prove themselves by keys"},
    {"secrets file", true, kNot, none,
     "no passwords: members prove themselves by keys. The file was not read; remove it with the old job"},
    {"strict modes", true, kNot, none, "the node's home is 0700, always"},
    {"max connections", true, kNot, none, "a link to each member and no more"},
    {"lock file", true, kNot, none, "nothing to lock: there is one node"},
    {"timeout", true, kNot, none, "links notice by themselves when a peer is gone, and come back"},
    {"use chroot", true, kNot, none, kUnit},
    {"daemon chroot", true, kNot, none, kUnit},
    {"uid", true, kNo, none,
     "the node runs as root with few capabilities; a new file takes the owner of its directory"},
    {"gid", true, kNo, none,
     "the node runs as root with few capabilities; a new file takes the group of its directory"},
    {"daemon uid", true, kNot, none, kUnit},
    {"daemon gid", true, kNot, none, kUnit},
    {"fake super", true, kNot, none, "owner and group are not synced"},
    {"numeric ids", true, kNot, none, "owner and group are not synced"},
    {"name converter", false, kNot, none, "owner and group are not synced"},
    {"incoming chmod", true, kNo, none, kModes},
    {"outgoing chmod", true, kNo, none, kModes},
    {"munge symlinks", true, kNo, none, "a symlink travels as a symlink, whatever it points to"},
    {"charset", true, kNo, none, "names are bytes and travel as they are"},
    {"ignore errors", true, kNot, none,
     "an error reading a file never deletes it anywhere; it is a line in syncline status"},
    {"ignore nonreadable", true, kNot, none,
     "the node reads everything; what it cannot is a line in syncline status"},
    {"temp dir", true, kNot, none, "files on their way wait in FOLDER/.syncline, on the same file system"},
    {"open noatime", true, kNot, none, "a file is read once, when it changes"},
    {"dont compress", true, kNot, none,
     "whole files travel as they are; deltas are compressed where it pays"},
    {"refuse options", true, kNot, none, "members ask for nothing but files of the folder"},
    {"max verbosity", true, kNot, none, kJournal},
    {"log file", true, kNot, none, kJournal},
    {"log format", false, kNot, none, kJournal},
    {"transfer logging", true, kNot, none, kJournal},
    {"syslog facility", true, kNot, none, kJournal},
    {"syslog tag", true, kNot, none, kJournal},
    {"motd file", true, kNot, none, "nobody logs in"},
    {"pid file", true, kNot, none, "systemd knows the process"},
    {"socket options", true, kNot, none, kLinks},
    {"listen backlog", true, kNot, none, kLinks},
    {"proxy protocol", true, kNot, none, kLinks},
    {"forward lookup", true, kNot, none, kMembers},
    {"reverse lookup", true, kNot, none, kMembers},
    {"haproxy protocol", true, kNot, none, kLinks},
    {"early exec", false, kNo, none, kScripts},
    {"pre-xfer exec", false, kNo, none, kScripts},
    {"post-xfer exec", false, kNo, none, kScripts},
});

std::string squeezed(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != ' ' && c != '\t') out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::span<const ConfParameter> conf_parameters() { return kParameters; }

const ConfParameter* conf_parameter(std::string_view name) {
  const auto at = std::ranges::find_if(
      kParameters, [wanted = squeezed(name)](const ConfParameter& p) { return wanted == squeezed(p.name); });
  return at == kParameters.end() ? nullptr : &*at;
}

}  // namespace syncline

#include <algorithm>
#include <array>

#include "cli/import_tables.h"

namespace syncline {
namespace {

constexpr auto kTaken = Verdict::taken, kNot = Verdict::not_needed, kNo = Verdict::unsupported;
constexpr const char* kRules = "a rule of .synclineignore in the folder, which all servers share";
constexpr const char* kRuleFile =
    "its lines are rules of .synclineignore as they are: append them. The file was not read";
constexpr const char* kNoSizes = "no rules by size: .synclineignore knows names";
constexpr const char* kOwner =
    "owner and group are not synced: a replaced file keeps its owner, a new one takes its directory's";
constexpr const char* kSymlinks = "a symlink travels as a symlink, whatever it points to";
constexpr const char* kOutput =
    "output for people: syncline status and journalctl -u synclined tell what happens";
constexpr const char* kDeletes =
    "what is deleted on one server is deleted on all, in order with the writes; an emptied or unmounted "
    "folder "
    "deletes nothing";
constexpr const char* kDelta = "deltas are made where they are worth it; nothing to choose";
constexpr const char* kCompression =
    "deltas are compressed by themselves where it pays (zstd); whole files travel as they are";
constexpr const char* kResume = "always: parts wait in FOLDER/.syncline and transfers go on where they were";
constexpr const char* kCompare =
    "versions are known by their contents' hashes and logical clocks, not by time and size";
constexpr const char* kLinks = "UDP links of its own: listen and advertise in config.toml";
constexpr const char* kBatch = "no batch files: a server that was away fetches what it missed";
constexpr const char* kOnce = "a node runs all the time; there is no single run to shape";
constexpr const char* kNames = "names are bytes and travel as they are";
constexpr const char* kReference = "contents that a server has already are never sent, under whatever name";

// name, letter, takes a value, shows it, verdict, text
constexpr std::array kOptions = std::to_array<RsyncOption>({
    {"verbose", 'v', false, false, kNot, kOutput},
    {"quiet", 'q', false, false, kNot, kOutput},
    {"info", 0, true, true, kNot, kOutput},
    {"debug", 0, true, true, kNot, kOutput},
    {"stderr", 0, true, true, kNot, kOutput},
    {"no-motd", 0, false, false, kNot, kOutput},
    {"progress", 0, false, false, kNot, kOutput},
    {"stats", 0, false, false, kNot, kOutput},
    {"human-readable", 'h', false, false, kNot, kOutput},
    {"itemize-changes", 'i', false, false, kNot, kOutput},
    {"8-bit-output", '8', false, false, kNot, kOutput},
    {"out-format", 0, true, false, kNot, kOutput},
    {"log-format", 0, true, false, kNot, kOutput},
    {"log-file", 0, true, true, kNot, "the log goes to the journal: journalctl -u synclined"},
    {"log-file-format", 0, true, false, kNot, "the log goes to the journal: journalctl -u synclined"},
    {"list-only", 0, false, false, kNot, kOutput},
    {"msgs2stderr", 0, false, false, kNot, kOutput},
    {"outbuf", 0, true, true, kNot, kOutput},
    {"archive", 'a', false, false, kTaken,
     "directories, symlinks, modes and times travel; owner, group, devices (-o -g -D) do not"},
    {"recursive", 'r', false, false, kTaken, "the whole folder is synced"},
    {"dirs", 'd', false, false, kTaken, "directories travel, empty ones too; always with what is in them"},
    {"relative", 'R', false, false, kNot, "paths are always those below the folder"},
    {"no-implied-dirs", 0, false, false, kNot, "paths are always those below the folder"},
    {"mkpath", 0, false, false, kNot, "make the folder once, before init or join"},
    {"checksum", 'c', false, false, kTaken, "every content is hashed and verified before it becomes visible"},
    {"checksum-choice", 0, true, true, kNot, "keyed XXH3-128; nothing to choose"},
    {"checksum-seed", 0, true, false, kNot, "keyed by a secret of the cluster"},
    {"size-only", 0, false, false, kNot, kCompare},
    {"ignore-times", 'I', false, false, kNot, kCompare},
    {"modify-window", '@', true, true, kNot, kCompare},
    {"update", 'u', false, false, kNot,
     "the later write wins by logical clock; the earlier of two that did not know each other is kept: "
     "syncline conflicts"},
    {"backup", 'b', false, false, kNo,
     "an overwritten version is not kept; only one that lost to a concurrent write is (syncline conflicts): "
     "go on making backups"},
    {"backup-dir", 0, true, true, kNo,
     "no backups of overwritten versions; losers of concurrent writes are in syncline conflicts"},
    {"suffix", 0, true, true, kNo,
     "no backups of overwritten versions; losers of concurrent writes are in syncline conflicts"},
    {"inplace", 0, false, false, kNot, "a file is replaced as a whole, so that no reader sees half of one"},
    {"append", 0, false, false, kNot, kDelta},
    {"append-verify", 0, false, false, kNot, kDelta},
    {"delay-updates", 0, false, false, kNot, "each file is shown when it is whole, at once"},
    {"links", 'l', false, false, kTaken, "symlinks travel as symlinks"},
    {"copy-links", 'L', false, false, kNo, kSymlinks},
    {"copy-unsafe-links", 0, false, false, kNo, kSymlinks},
    {"safe-links", 0, false, false, kNo, kSymlinks},
    {"munge-links", 0, false, false, kNo, kSymlinks},
    {"copy-dirlinks", 'k', false, false, kNo, kSymlinks},
    {"keep-dirlinks", 'K', false, false, kNo,
     "a directory of the cluster takes the place of a symlink to one"},
    {"hard-links", 'H', false, false, kNo, "each name becomes a file of its own"},
    {"perms", 'p', false, false, kTaken, "modes travel"},
    {"executability", 'E', false, false, kTaken, "the whole mode travels, the x bits with it"},
    {"chmod", 0, true, true, kNo, "modes travel as they are: set the umask of the application instead"},
    {"acls", 'A', false, false, kNo, "ACLs are not synced"},
    {"xattrs", 'X', false, false, kNo, "extended attributes are not synced"},
    {"owner", 'o', false, false, kNo, kOwner},
    {"group", 'g', false, false, kNo, kOwner},
    {"chown", 0, true, true, kNo, kOwner},
    {"usermap", 0, true, true, kNo, kOwner},
    {"groupmap", 0, true, true, kNo, kOwner},
    {"numeric-ids", 0, false, false, kNot, kOwner},
    {"copy-as", 0, true, true, kNo, kOwner},
    {"fake-super", 0, false, false, kNot, kOwner},
    {"super", 0, false, false, kNot, kOwner},
    {"devices", 0, false, false, kNo, "devices are named in syncline status and left alone"},
    {"specials", 0, false, false, kNo, "sockets and FIFOs are named in syncline status and left alone"},
    {"D", 'D', false, false, kNo, "devices, sockets and FIFOs are named in syncline status and left alone"},
    {"copy-devices", 0, false, false, kNo, "devices are named in syncline status and left alone"},
    {"write-devices", 0, false, false, kNo, "devices are named in syncline status and left alone"},
    {"times", 't', false, false, kTaken, "modification times travel, to the nanosecond"},
    {"atimes", 'U', false, false, kNo, "access times are not synced"},
    {"open-noatime", 0, false, false, kNot, "a file is read once, when it changes"},
    {"crtimes", 'N', false, false, kNo, "creation times are not synced"},
    {"omit-dir-times", 'O', false, false, kNo, "directories' times travel; they cannot be left out"},
    {"omit-link-times", 'J', false, false, kNo, "symlinks' times travel; they cannot be left out"},
    {"sparse", 'S', false, false, kNo,
     "holes are written out: a sparse file takes its full size on the other servers"},
    {"preallocate", 0, false, false, kNot, "nothing to choose"},
    {"dry-run", 'n', false, false, kNot,
     "nothing is copied by import; compare the folders with rsync -anic before the switch"},
    {"whole-file", 'W', false, false, kNot, kDelta},
    {"block-size", 'B', true, true, kNot, kDelta},
    {"fuzzy", 'y', false, false, kNot, kReference},
    {"compare-dest", 0, true, true, kNot, kReference},
    {"copy-dest", 0, true, true, kNot, kReference},
    {"link-dest", 0, true, true, kNo, "no snapshots: go on making backups"},
    {"one-file-system", 'x', false, false, kNo,
     "the folder has to be one file system: keep mounts out of it"},
    {"rsh", 'e', true, false, kNot, "encrypted links of its own; no ssh, no keys to hand out"},
    {"rsync-path", 0, true, false, kNot, "both sides run a node"},
    {"remote-option", 'M', true, false, kNot, "both sides run a node"},
    {"blocking-io", 0, false, false, kNot, kLinks},
    {"protocol", 0, true, true, kNot, "the members of a cluster run the same version"},
    {"cvs-exclude", 'C', false, false, kTaken, kRules},
    {"exclude", 0, true, true, kTaken, kRules},
    {"exclude-from", 0, true, true, kTaken, kRuleFile},
    {"include", 0, true, true, kTaken, kRules},
    {"include-from", 0, true, true, kTaken,
     "its lines are rules of .synclineignore with \"+ \" in front: append them so. The file was not read"},
    {"filter", 'f', true, true, kTaken, kRules},
    {"F", 'F', false, false, kNo,
     "one list of rules for the folder: put those of the .rsync-filter files into .synclineignore, with their directories' paths in front"},
    {"files-from", 0, true, true, kNo, "the whole folder is synced"},
    {"from0", '0', false, false, kNot, "there are no lists of files"},
    {"max-size", 0, true, true, kNo, kNoSizes},
    {"min-size", 0, true, true, kNo, kNoSizes},
    {"max-alloc", 0, true, true, kNot, "memory is bounded"},
    {"prune-empty-dirs", 'm', false, false, kNo, "empty directories travel, too"},
    {"existing", 0, false, false, kNo, "new files always travel"},
    {"ignore-existing", 0, false, false, kNo, "changes always travel"},
    {"remove-source-files", 0, false, false, kNo, "the folders are kept equal; moving files out is no sync"},
    {"delete", 0, false, false, kTaken, kDeletes},
    {"del", 0, false, false, kTaken, kDeletes},
    {"delete-before", 0, false, false, kTaken, kDeletes},
    {"delete-during", 0, false, false, kTaken, kDeletes},
    {"delete-delay", 0, false, false, kTaken, kDeletes},
    {"delete-after", 0, false, false, kTaken, kDeletes},
    {"delete-excluded", 0, false, false, kNo,
     "what is ignored stays where it is on each server"},
    {"delete-missing-args", 0, false, false, kNot, kDeletes},
    {"ignore-missing-args", 0, false, false, kNot, kDeletes},
    {"ignore-errors", 0, false, false, kNot,
     "an error reading a file never deletes it anywhere; it is a line in syncline status"},
    {"max-delete", 0, true, true, kNo,
     "there is no count; an emptied or unmounted folder stops its node, and nothing is deleted elsewhere"},
    {"force", 0, false, false, kNot, "a directory gives way only when nothing in it is live"},
    {"partial", 0, false, false, kNot, kResume},
    {"partial-dir", 0, true, true, kNot, kResume},
    {"P", 'P', false, false, kNot, kResume},
    {"temp-dir", 'T', true, true, kNot,
     "files on their way wait in FOLDER/.syncline, on the same file system"},
    {"fsync", 0, false, false, kTaken, "durability = \"strict\" in config.toml"},
    {"timeout", 0, true, true, kNot, "links notice by themselves when a peer is gone, and come back"},
    {"contimeout", 0, true, true, kNot, "links notice by themselves when a peer is gone, and come back"},
    {"stop-after", 0, true, true, kNot, kOnce},
    {"time-limit", 0, true, true, kNot, kOnce},
    {"stop-at", 0, true, true, kNot, kOnce},
    {"bwlimit", 0, true, true, kNot,
     "upload in config.toml, [limits], if you still want one: it may change with the time of the day. Small files overtake large ones by themselves"},
    {"compress", 'z', false, false, kNot, kCompression},
    {"compress-level", 0, true, true, kNot, kCompression},
    {"zl", 0, true, true, kNot, kCompression},
    {"compress-choice", 0, true, true, kNot, kCompression},
    {"zc", 0, true, true, kNot, kCompression},
    {"skip-compress", 0, true, true, kNot, kCompression},
    {"password-file", 0, true, true, kNot,
     "no passwords: members prove themselves by keys; a newcomer needs one token (syncline cluster invite). "
     "The file was not read"},
    {"early-input", 0, true, false, kNot, "members prove themselves by keys"},
    {"port", 0, true, true, kNot, kLinks},
    {"address", 0, true, true, kNot, kLinks},
    {"sockopts", 0, true, true, kNot, kLinks},
    {"ipv4", '4', false, false, kNot, kLinks},
    {"ipv6", '6', false, false, kNot, kLinks},
    {"iconv", 0, true, true, kNo, kNames},
    {"protect-args", 's', false, false, kNot, kNames},
    {"secluded-args", 0, false, false, kNot, kNames},
    {"old-args", 0, false, false, kNot, kNames},
    {"trust-sender", 0, false, false, kNot, "members of a cluster trust each other's records"},
    {"write-batch", 0, true, true, kNo, kBatch},
    {"only-write-batch", 0, true, true, kNo, kBatch},
    {"read-batch", 0, true, true, kNo, kBatch},
    {"inc-recursive", 0, false, false, kNot, "the index knows the tree; nothing is listed anew"},
    {"daemon", 0, false, false, kNot, "synclined takes the daemon's place"},
    {"config", 0, true, true, kNot, "give that file to syncline import as well"},
    {"dparam", 0, true, false, kNot, "give the daemon's rsyncd.conf to syncline import"},
    {"detach", 0, false, false, kNot, "systemd runs the node"},
    {"version", 'V', false, false, kNot, kOutput},
    {"help", 0, false, false, kNot, kOutput},
});

}  // namespace

std::span<const RsyncOption> rsync_options() { return kOptions; }

const RsyncOption* rsync_option(std::string_view name) {
  const auto at = std::ranges::find_if(kOptions, [&](const RsyncOption& o) { return name == o.name; });
  return at == kOptions.end() ? nullptr : &*at;
}

const RsyncOption* rsync_option(char letter) {
  const auto at = std::ranges::find_if(kOptions, [&](const RsyncOption& o) { return letter == o.letter; });
  return at == kOptions.end() ? nullptr : &*at;
}

}  // namespace syncline

#pragma once
#include <string>
#include <vector>

#include "node/config.h"
#include "node/home_file.h"
#include "node/transport.h"
#include "protocol/member.h"

// A node's home directory (0700; its files 0600):
//   config.toml   what an administrator may edit (config.h)
//   identity      this node's secret keys
//   cluster       the cluster's id, its secrets, its folders; written last: without it there is no node here
//   members       whom to call on the first start (afterwards the cluster's own records know better)
//   invites       outstanding tokens (invites.h)
//   folders.json  the folders that `syncline folder add` has brought, and which are paused (home_folders.h)
//   http-token    wanted by HTTP on an address that is not loopback
//   lock, control.sock, index/
namespace syncline {

struct Identity {
  NodeId node;         // Ed25519 public key
  SigningKey signing;  // its secret half
  LinkKeys link;       // X25519, independent of it
};
Identity make_identity();  // from the system's random generator

struct ClusterSecrets {
  ClusterId cluster;
  Key32 hash_key;                   // of content_hash.h
  Key32 psk;                        // of the links between members
  std::vector<JoinFolder> folders;  // 1..limits::folders; names valid_folder_name(), ids from 1
};
// For a founder: random, one folder (id 1) of this name.
ClusterSecrets make_cluster(const std::string& folder_name);

// A folder that this node has.
struct HomeFolder {
  FolderId id = kFirstFolder;
  std::string name;
  FolderConfig config{};
  bool paused = false;
  bool removing = false;  // not had any more, and the index is being told
  bool operator==(const HomeFolder&) const = default;
};

struct Home {
  std::string path;  // absolute
  Config config;
  Identity identity;
  ClusterSecrets cluster;
  std::vector<HomeFolder> folders;  // the one that the node was made with first
  std::vector<Member> members;  // this node's own among them; every signature verified
};

// Reads and checks everything. Error::not_found: no node here (the message says how to make one). Any other:
// one line naming the file, and its line where there is one. Does not look at the folder: a folder that
// vanished is the node's to report.
Result<Home> load_home(const std::string& path);

// The three texts, for the one who writes a home.
std::string identity_text(const Identity& identity);
std::string cluster_text(const ClusterSecrets& cluster);
std::string members_text(const std::vector<Member>& members);
Result<ClusterSecrets> parse_cluster(std::string_view text, const std::string& file);

// Where others can call a node that listens on `port` with this config: `advertise`, else the address of
// `listen`, else (a wildcard) those of the interfaces, else loopback. 1..limits::addresses.
std::vector<std::string> own_addresses(const Config& config);
// This node as a member, signed.
Member make_member(const Identity& identity, const ClusterId& cluster, const std::string& name,
                   std::vector<std::string> addresses, const NodeId& admitted_by);

// HOME/http-token, made on first use: 64 hex digits.
Result<std::string> http_token(const std::string& home);

// --home as given, else SYNCLINE_HOME, else default_home() of control_text.h; made absolute. Error: none can
// be told.
Result<std::string> resolve_home(const std::string& option);

}  // namespace syncline

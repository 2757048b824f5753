#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/bandwidth.h"
#include "node/folder_mode.h"
#include "protocol/error.h"

namespace syncline {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

// When a received version counts as kept (DESIGN.md, data plane): `group` shows it at once and syncs many
// together, `strict` syncs each before it is shown.
enum class Durability : std::uint8_t { group, strict };

// For balancers (DESIGN.md, section 6, /readyz).
struct BalancerConfig {
  std::string agent;                  // TCP, HOST:PORT that answers HAProxy's agent-check; port 0 = any; empty: none
  std::uint64_t changes_behind = 64;  // ready with at most so many, 0 to a million
  std::uint64_t seconds_behind = 10;  // 1 s to a day
  bool operator==(const BalancerConfig&) const = default;
};

struct FolderConfig {
  std::string path;  // absolute
  Durability durability = Durability::group;
  FolderMode mode = FolderMode::send_receive;
  bool operator==(const FolderConfig&) const = default;
};

// "send-receive", "receive-only", "send-only"; "group", "strict". And back; nullopt: no such word.
std::string_view mode_name(FolderMode mode);
std::string_view durability_name(Durability durability);
std::optional<FolderMode> mode_named(std::string_view name);
std::optional<Durability> durability_named(std::string_view name);

// HOME/config.toml: what an administrator may change by hand; read once, when the node starts.
struct Config {
  static constexpr const char* kDefaultListen = "0.0.0.0:7440";
  static constexpr const char* kDefaultHttp = "127.0.0.1:7441";

  std::string name;                     // valid_node_name()
  std::string listen = kDefaultListen;  // UDP, HOST:PORT, the port not 0: others must be able to find it
  std::string http = kDefaultHttp;      // TCP, HOST:PORT; port 0 = any
  std::vector<std::string> advertise;   // HOST:PORT told to the other members; empty: found out from `listen`
  LogLevel log = LogLevel::info;
  bool ready_without_majority = false;  // DESIGN.md, section 6, /readyz
  std::uint64_t rescan_seconds = 3600;  // the whole folder is looked at again so often; 10 s to 30 days
  std::uint64_t mass_delete_percent = 50;  // 1 to 100: ScanOptions::missing_percent
  Bandwidth bandwidth;
  FolderConfig folder;
  BalancerConfig balancer;
  bool operator==(const Config&) const = default;
};

// `file` names the text in errors, which are Error::invalid and read "FILE:LINE: what". A key that is not
// known is an error: a misspelt one would otherwise be ignored in silence.
Result<Config> parse_config(std::string_view text, const std::string& file);

// The file's text, with comments; parse_config() of it gives the same config. Every string must be UTF-8.
std::string config_text(const Config& config);

}  // namespace syncline

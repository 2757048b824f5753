#pragma once
#include <optional>
#include <string>
#include <vector>

#include "node/home.h"

namespace syncline {

// What `init` and `join` were told. Empty = the default.
struct SetupOptions {
  std::string home;  // absolute (resolve_home)
  std::string folder;
  std::string name;
  std::string listen;
  std::string http;
};

// Makes a home, all or nothing: begin() refuses whatever can be refused and writes nothing but the directory
// and its lock; finish() writes the files, marks the folder, and makes it a node by writing HOME/cluster
// last. Destroyed without a finish(), it removes what it made. Killed in between, it leaves a home that the
// next begin() takes over, marker included.
class HomeSetup {
 public:
  // Error::refused and the like, one line: the home has a node already, the folder is missing, not writable,
  // of another cluster, inside the home or around it, --listen/--http/--name malformed.
  static Result<HomeSetup> begin(const SetupOptions& options);
  HomeSetup(HomeSetup&&) noexcept = default;
  HomeSetup& operator=(HomeSetup&&) = delete;
  ~HomeSetup();

  const std::string& home() const { return home_; }
  const Config& config() const { return config_; }
  std::string folder_name() const;  // the last part of its path

  // members: this node's own among them.
  Status finish(const Identity& identity, const ClusterSecrets& cluster, const std::vector<Member>& members);

 private:
  HomeSetup() = default;
  Status check_folder(const std::string& folder);
  Status check_marker();
  Status write(const std::string& name, const std::string& text);
  Status mark_folder(const ClusterSecrets& cluster);

  std::string home_;
  Config config_;
  std::optional<HomeLock> lock_;      // engaged until moved from
  std::vector<std::string> made_;     // directories, outermost first
  std::vector<std::string> written_;  // files
  bool marked_ = false;
};

// `synclined init`: founds a cluster with this folder. Returns the home.
Result<Home> init_home(const SetupOptions& options);

}  // namespace syncline

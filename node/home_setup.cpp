#include "node/home_setup.h"

#include <fmt/format.h>

#include <filesystem>

#include "node/home_folders.h"
#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"
#include "storage/folder.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPending = "/cluster.new";  // the cluster file before the folder is marked

std::string marker_path(const std::string& folder) { return folder + "/.syncline/folder"; }

Status take_address(const char* option, const std::string& given, bool any_port, std::string& into) {
  if (given.empty()) return {};
  const auto address = parse_address(given);
  if (!address) return fail(Error::Code::invalid, fmt::format("{}: {}", option, address.error().message));
  if (address->port == 0 && !any_port)
    return fail(Error::Code::invalid,
                fmt::format("{}: the port must not be 0: the other nodes must find it", option));
  into = address->text();
  return {};
}

Status take_name(const std::string& given, std::string& into) {
  into = given.empty() ? host_name().substr(0, limits::node_name_bytes) : given;
  if (valid_node_name(into)) return {};
  return fail(
      Error::Code::invalid,
      fmt::format("\"{}\" is no node name: use 1 to {} letters, digits, '.', '-' or '_' (--name NODE)",
                  printable(into), limits::node_name_bytes));
}

}  // namespace

Result<HomeSetup> HomeSetup::begin(const SetupOptions& options) {
  HomeSetup setup;
  setup.home_ = options.home;
  Status good = take_name(options.name, setup.config_.name);
  if (good) good = take_address("--listen", options.listen, false, setup.config_.listen);
  if (good) good = take_address("--http", options.http, true, setup.config_.http);
  if (good) good = setup.check_folder(options.folder);
  if (good) good = make_private_directory(setup.home_, setup.made_);
  if (!good) return tl::unexpected(good.error());

  auto lock = HomeLock::take(setup.home_);
  if (!lock) return tl::unexpected(lock.error());
  setup.lock_ = *std::move(lock);
  const auto cluster = read_private(setup.home_ + "/cluster", limits::home_file_bytes);
  if (cluster)
    return fail(Error::Code::refused,
                fmt::format("{} already belongs to a node; name another with --home DIR", setup.home_));
  if (cluster.error().code != Error::Code::not_found) return tl::unexpected(cluster.error());
  setup.written_.push_back(setup.home_ + "/lock");
  if (good = setup.check_marker(); !good) return tl::unexpected(good.error());
  return setup;
}

Status HomeSetup::check_folder(const std::string& folder) {
  const auto path = usable_folder(folder, home_, {});
  if (!path) return tl::unexpected(path.error());
  config_.folder.path = *path;
  return {};
}

// A folder that is marked is in use, but for a marker that a killed set-up in this same home left behind.
Status HomeSetup::check_marker() {
  const std::string marker = marker_path(config_.folder.path);
  std::error_code error;
  if (!fs::exists(fs::symlink_status(marker, error))) return {};
  const auto in_use =
      fail(Error::Code::refused,
           fmt::format("folder {} already belongs to a cluster; if its node is gone for good, remove {}",
                       config_.folder.path, marker));
  const auto text = read_private(home_ + kPending, limits::home_file_bytes);
  const auto pending = text ? parse_cluster(*text, home_ + kPending) : Result<ClusterSecrets>(in_use);
  if (!pending) return in_use;
  auto files = open_file_system(config_.folder.path);
  if (!files) return tl::unexpected(files.error());
  const HashKey key(pending->hash_key);
  if (!Folder::open(**files, key, {pending->cluster, pending->folders.front().id})) return in_use;
  fs::remove(marker, error);
  if (error) return fail(Error::Code::io, fmt::format("{}: {}", marker, error.message()));
  return {};
}

std::string HomeSetup::folder_name() const { return fs::path(config_.folder.path).filename().string(); }

Status HomeSetup::write(const std::string& name, const std::string& text) {
  const std::string path = home_ + name;
  if (const Status done = write_private(path, text); !done) return done;
  written_.push_back(path);
  return {};
}

Status HomeSetup::mark_folder(const ClusterSecrets& cluster) {
  auto files = open_file_system(config_.folder.path);
  if (!files) return tl::unexpected(files.error());
  if (const Status done = Folder::create_marker(**files, {cluster.cluster, cluster.folders.front().id});
      !done)
    return fail(done.error().code, fmt::format("folder {}: {}", config_.folder.path, done.error().message));
  marked_ = true;
  return {};
}

Status HomeSetup::finish(const Identity& identity, const ClusterSecrets& cluster,
                         const std::vector<Member>& members) {
  Status done = write("/config.toml", config_text(config_));
  if (done) done = write("/identity", identity_text(identity));
  if (done) done = write("/members", members_text(members));
  if (done) done = write(kPending, cluster_text(cluster));
  if (done) done = mark_folder(cluster);
  if (done) done = write("/cluster", cluster_text(cluster));
  if (!done) return done;
  marked_ = false, written_.clear(), made_.clear();  // from here on it is a node's home
  std::error_code ignored;
  fs::remove(home_ + kPending, ignored);
  return {};
}

HomeSetup::~HomeSetup() {
  if (!lock_ && made_.empty() && written_.empty()) return;
  std::error_code ignored;
  if (marked_) {
    const fs::path own = fs::path(config_.folder.path) / ".syncline";
    for (const char* name : {"folder", "staging", "versions", ""})
      fs::remove(own / name, ignored);  // empty ones
  }
  for (auto file = written_.rbegin(); file != written_.rend(); ++file) fs::remove(*file, ignored);
  for (auto directory = made_.rbegin(); directory != made_.rend(); ++directory)
    fs::remove(*directory, ignored);
}

Result<Home> init_home(const SetupOptions& options) {
  auto setup = HomeSetup::begin(options);
  if (!setup) return tl::unexpected(setup.error());
  const Identity identity = make_identity();
  const ClusterSecrets cluster = make_cluster(setup->folder_name());
  const Member self =
      make_member(identity, cluster.cluster, setup->config().name, own_addresses(setup->config()), NodeId{});
  if (const Status good = check(self); !good) return tl::unexpected(good.error());
  if (const Status done = setup->finish(identity, cluster, {self}); !done)
    return tl::unexpected(done.error());
  return load_home(options.home);
}

}  // namespace syncline

#include "node/home.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "node/home_folders.h"
#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

tl::unexpected<Error> bad_line(const std::string& file, std::uint32_t line, std::string_view what) {
  return fail(Error::Code::invalid, fmt::format("{}:{}: {}", file, line, what));
}

template <class Id>
bool take_hex(std::string_view text, Id& into) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != Id::size) return false;
  into = Id::from(*bytes);
  return true;
}

template <class Id>
Id random_id() {
  Id id;
  randombytes_buf(id.bytes.data(), id.bytes.size());
  return id;
}

Result<Identity> parse_identity(std::string_view text, const std::string& file) {
  Identity identity;
  for (const HomeLine& line : home_lines(text)) {
    const bool good = line.key == "signing"
                          ? take_hex(line.value, identity.signing)
                          : line.key == "link" && take_hex(line.value, identity.link.secret);
    if (!good) return bad_line(file, line.number, "is no key");
  }
  if (identity.signing.is_zero() || identity.link.secret.is_zero())
    return bad_line(file, 1, "a key is missing");
  // Both public keys follow from the secret ones: a damaged file must not run as somebody else.
  SigningKey derived;
  crypto_sign_seed_keypair(identity.node.bytes.data(), derived.bytes.data(), identity.signing.bytes.data());
  if (derived != identity.signing)
    return bad_line(file, 1, "is damaged: the signing key does not fit itself");
  crypto_scalarmult_base(identity.link.public_key.bytes.data(), identity.link.secret.bytes.data());
  return identity;
}

// "ID NAME"
bool take_folder(std::string_view text, std::vector<JoinFolder>& folders) {
  JoinFolder folder;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), folder.id);
  if (error != std::errc{} || end == text.data() + text.size() || *end != ' ') return false;
  folder.name = text.substr(static_cast<std::size_t>(end - text.data()) + 1);
  const bool known = std::ranges::any_of(folders, [&](const JoinFolder& f) { return f.id == folder.id; });
  if (folder.id == kClusterFolder || known || !valid_folder_name(folder.name) ||
      folders.size() >= limits::folders)
    return false;
  folders.push_back(std::move(folder));
  return true;
}

Result<std::vector<Member>> parse_members(std::string_view text, const std::string& file,
                                          const ClusterId& cluster) {
  std::vector<Member> members;
  for (const HomeLine& line : home_lines(text)) {
    const auto bytes = line.key == "member" ? from_hex(line.value) : std::nullopt;
    if (!bytes || members.size() >= limits::members) return bad_line(file, line.number, "is no member");
    auto member = decode_member(*bytes);
    if (!member) return bad_line(file, line.number, member.error().message);
    if (!verify(*member, cluster))
      return bad_line(file, line.number, "is a member of another cluster, or forged");
    members.push_back(*std::move(member));
  }
  return members;
}

}  // namespace

Identity make_identity() {
  Identity identity;
  crypto_sign_keypair(identity.node.bytes.data(), identity.signing.bytes.data());
  identity.link.secret = random_id<Key32>();
  crypto_scalarmult_base(identity.link.public_key.bytes.data(), identity.link.secret.bytes.data());
  return identity;
}

ClusterSecrets make_cluster(const std::string& folder_name) {
  return {random_id<ClusterId>(), random_id<Key32>(), random_id<Key32>(), {{1, folder_name}}};
}

std::string identity_text(const Identity& identity) {
  return fmt::format(
      "# The secret keys of this node. Two machines with the same keys cannot be told apart: never copy this "
      "file.\n"
      "signing {}\nlink {}\n",
      to_hex(identity.signing), to_hex(identity.link.secret));
}

std::string cluster_text(const ClusterSecrets& cluster) {
  std::string text = fmt::format(
      "# The secrets of the cluster, the same on every member.\ncluster {}\nhash_key {}\npsk {}\n",
      to_hex(cluster.cluster), to_hex(cluster.hash_key), to_hex(cluster.psk));
  for (const auto& folder : cluster.folders) text += fmt::format("folder {} {}\n", folder.id, folder.name);
  return text;
}

std::string members_text(const std::vector<Member>& members) {
  std::string text = "# Whom to call on the first start.\n";
  for (const auto& m : members) text += fmt::format("# {}\nmember {}\n", m.name, to_hex(encode_member(m)));
  return text;
}

Result<ClusterSecrets> parse_cluster(std::string_view text, const std::string& file) {
  ClusterSecrets c;
  for (const HomeLine& line : home_lines(text)) {
    const bool good = line.key == "cluster"    ? take_hex(line.value, c.cluster)
                      : line.key == "hash_key" ? take_hex(line.value, c.hash_key)
                      : line.key == "psk"      ? take_hex(line.value, c.psk)
                                               : line.key == "folder" && take_folder(line.value, c.folders);
    if (!good) return bad_line(file, line.number, "is not understood");
  }
  if (c.cluster.is_zero() || c.hash_key.is_zero() || c.psk.is_zero() || c.folders.empty())
    return bad_line(file, 1, "a line is missing");
  return c;
}

Result<Home> load_home(const std::string& path) {
  Home home;
  home.path = path;
  const auto read = [&](const char* name) {
    return read_private(path + "/" + name, limits::home_file_bytes);
  };
  const auto cluster = read("cluster");
  if (!cluster && cluster.error().code == Error::Code::not_found)
    return fail(Error::Code::not_found,
                fmt::format("no node in {}; found a cluster with: syncline init FOLDER, or join one with: "
                            "syncline cluster join TOKEN FOLDER",
                            path));
  const auto identity = read("identity"), config = read("config.toml"), members = read("members");
  for (const auto* file : {&cluster, &identity, &config, &members})
    if (!*file) return tl::unexpected(file->error());

  auto secrets = parse_cluster(*cluster, path + "/cluster");
  if (!secrets) return tl::unexpected(secrets.error());
  auto keys = parse_identity(*identity, path + "/identity");
  if (!keys) return tl::unexpected(keys.error());
  auto settings = parse_config(*config, path + "/config.toml");
  if (!settings) return tl::unexpected(settings.error());
  auto list = parse_members(*members, path + "/members", secrets->cluster);
  if (!list) return tl::unexpected(list.error());
  if (std::ranges::none_of(*list, [&](const Member& m) { return m.node == keys->node; }))
    return bad_line(path + "/members", 1, "this node is not in it: the home is put together from two");
  auto folders = load_folders(path, secrets->folders.front(), settings->folder);
  if (!folders) return tl::unexpected(folders.error());
  home.folders = *std::move(folders);
  home.cluster = *std::move(secrets), home.identity = *std::move(keys);
  home.config = *std::move(settings), home.members = *std::move(list);
  return home;
}

std::vector<std::string> own_addresses(const Config& config) {
  if (!config.advertise.empty()) return config.advertise;
  const auto listen = parse_address(config.listen);
  if (!listen) return {config.listen};  // parse_config lets no other than a good one through
  if (!listen->is_wildcard()) return {listen->text()};
  std::vector<std::string> found;
  for (const auto& host : interface_addresses(true, listen->host == "::"))
    if (found.size() < limits::addresses) found.push_back(Address{host, listen->port}.text());
  if (found.empty())
    found.push_back(Address{listen->host == "::" ? "::1" : "127.0.0.1", listen->port}.text());
  return found;
}

Member make_member(const Identity& identity, const ClusterId& cluster, const std::string& name,
                   std::vector<std::string> addresses, const NodeId& admitted_by) {
  Member member;
  member.node = identity.node, member.link_key = identity.link.public_key;
  member.name = name, member.addresses = std::move(addresses), member.admitted_by = admitted_by;
  sign(member, cluster, identity.signing);
  return member;
}

Result<std::string> http_token(const std::string& home) {
  const std::string path = home + "/http-token";
  if (const auto text = read_private(path, limits::home_file_bytes)) {
    const auto lines = home_lines(*text);
    if (lines.size() != 1 || lines[0].key.size() < 16 || !lines[0].value.empty())
      return bad_line(path, 1, "must be one word of at least 16 characters");
    return std::string(lines[0].key);
  } else if (text.error().code != Error::Code::not_found) {
    return tl::unexpected(text.error());
  }
  const std::string token = to_hex(random_id<Key32>());
  if (const Status done = write_private(path, token + "\n"); !done) return tl::unexpected(done.error());
  return token;
}

Result<std::string> resolve_home(const std::string& option) {
  const char* variable = std::getenv("SYNCLINE_HOME");
  std::optional<std::string> home;
  if (!option.empty()) {
    home = option;
  } else if (variable && *variable) {
    home = variable;
  } else {
    home = default_home(running_as_root(), std::getenv("XDG_STATE_HOME"), std::getenv("HOME"));
  }
  if (!home) return fail(Error::Code::refused, "no home directory is known: name one with --home DIR");
  std::error_code error;
  auto absolute = std::filesystem::absolute(*home, error).lexically_normal();
  if (error) return fail(Error::Code::io, fmt::format("{}: {}", *home, error.message()));
  if (!absolute.has_filename()) absolute = absolute.parent_path();  // "dir/" is dir
  return absolute.string();
}

}  // namespace syncline

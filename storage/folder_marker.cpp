// The marker, and what a start finds in .syncline/.
#include <fmt/format.h>

#include <charconv>

#include "protocol/record.h"
#include "storage/folder_impl.h"
#include "storage/folder_names.h"

namespace syncline {

namespace names = folder_names;

namespace {

constexpr std::size_t kMarkerBytesMax = 256;

std::string marker_text(const Folder::Identity& identity) {
  return fmt::format("cluster {}\nfolder {}\n", to_hex(identity.cluster), identity.folder);
}

Result<Folder::Identity> parse_marker(std::string_view text) {
  const auto broken = [] {
    return fail(Error::Code::refused,
                fmt::format("the marker '{}' cannot be understood: restore or remove it", names::kMarker));
  };
  constexpr std::string_view cluster = "cluster ", folder = "\nfolder ";
  constexpr std::size_t hex_bytes = 2 * ClusterId::size;
  if (text.size() < cluster.size() + hex_bytes + folder.size() || !text.starts_with(cluster)) return broken();
  const auto id = from_hex(text.substr(cluster.size(), hex_bytes));
  text.remove_prefix(cluster.size() + hex_bytes);
  if (!id || !text.starts_with(folder) || !text.ends_with('\n')) return broken();
  text.remove_prefix(folder.size());
  Folder::Identity identity{ClusterId::from(*id), 0};
  const char* const last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, identity.folder);
  if (error != std::errc{} || end != last) return broken();
  return identity;
}

Result<Folder::Identity> read_marker(FileSystem& fs) {
  auto file = fs.open(names::kMarker);
  if (!file) return tl::unexpected(file.error());
  std::string text(kMarkerBytesMax, '\0');
  auto got = (*file)->read_at(0, text);
  if (!got) return tl::unexpected(got.error());
  text.resize(*got);
  return parse_marker(text);
}

Status no_marker() {
  return fail(
      Error::Code::refused,
      fmt::format(
          "the marker '{}' is missing: the folder's file system is not mounted, or the folder was emptied "
          "or replaced; nothing is synced until it is back",
          names::kMarker));
}

Status check_identity(FileSystem& fs, const Folder::Identity& wanted) {
  const auto found = read_marker(fs);
  if (!found && found.error().code == Error::Code::not_found) return no_marker();
  if (!found) return tl::unexpected(found.error());
  if (*found == wanted) return {};
  return fail(Error::Code::refused,
              fmt::format("the folder belongs to cluster {} (folder {}), not to this one",
                          to_hex(found->cluster), found->folder));
}

}  // namespace

Status Folder::remove_marker(FileSystem& fs, const Identity& identity) {
  if (const Status ours = check_identity(fs, identity); !ours) return ours;
  return fs.remove_file(names::kMarker);
}

Status Folder::create_marker(FileSystem& fs, const Identity& identity) {
  const auto found = read_marker(fs);
  if (found && *found == identity) return {};
  if (found) {
    return fail(Error::Code::exists,
                fmt::format("the folder belongs to cluster {} (folder {}) already; remove '{}' in it "
                            "if that cluster is gone",
                            to_hex(found->cluster), found->folder, kOwnDirectory));
  }
  if (found.error().code != Error::Code::not_found) return tl::unexpected(found.error());
  for (const std::string_view directory : {kOwnDirectory, names::kStaging, names::kVersions}) {
    auto made = fs.make_directory(directory, 0700);
    if (!made && made.error().code != Error::Code::exists) return made;
  }
  const std::string unfinished = fmt::format("{}.new", names::kMarker);
  auto file = fs.open_write(unfinished);
  if (!file) return tl::unexpected(file.error());
  return (*file)
      ->truncate(0)
      .and_then([&] { return (*file)->write_at(0, marker_text(identity)); })
      .and_then([&] { return (*file)->sync(); })
      .and_then([&] { return fs.rename_new(unfinished, names::kMarker); })
      .and_then([&] { return fs.sync_all(); });
}

Result<std::unique_ptr<Folder>> Folder::open(FileSystem& fs, const HashKey& key, const Identity& identity) {
  if (auto root = fs.check_root(); !root) return tl::unexpected(root.error());
  if (auto ours = check_identity(fs, identity); !ours) return tl::unexpected(ours.error());
  auto impl = std::make_unique<Impl>(fs, key, identity);
  if (auto opened = impl->staging.open(); !opened) return tl::unexpected(opened.error());
  if (auto staging = fs.open(names::kStaging)) impl->marks = (*staging)->set_mark("-").has_value();
  return std::unique_ptr<Folder>(new Folder(std::move(impl)));
}

Folder::Folder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Folder::~Folder() = default;

Status Folder::check_marker() {
  if (auto root = impl_->fs.check_root(); !root) return root;
  return check_identity(impl_->fs, impl_->identity);
}

Status Folder::sync() { return impl_->fs.sync_all(); }
FileSystem& Folder::file_system() { return impl_->fs; }

bool Folder::Impl::is_ours_to_touch(std::string_view path) {
  return is_canonical_path(path) && path.substr(0, path.find('/')) != kOwnDirectory;
}

}  // namespace syncline

// Folder's calls that only pass on.
#include "storage/folder.h"

#include "protocol/limits.h"
#include "storage/folder_hash.h"
#include "storage/folder_impl.h"
#include "storage/folder_names.h"

namespace syncline {

namespace names = folder_names;

Result<Fingerprint> Folder::restore_directory_time(std::string_view path, std::int64_t mtime_ns) {
  if (!Impl::is_ours_to_touch(path)) return fail(Error::Code::unsupported, "not a path of the folder");
  const auto stat = impl_->fs.stat(path);
  if (!stat) return tl::unexpected(stat.error());
  if (stat->type != FileType::directory) return stat->print;
  auto set = impl_->fs.set_attributes(path, std::nullopt, mtime_ns);
  if (!set) return tl::unexpected(set.error());
  return impl_->fs.stat(path).map([&](const FileStat& after) {
    Fingerprint print = after.print;
    if (print.mtime_ns != mtime_ns) print.ctime_ns = 0;  // changed again meanwhile: the next scan is not to pass over it
    return print;
  });
}

void Folder::sync_before_showing(bool strict) { impl_->strict = strict; }

std::vector<LateWrite> Folder::settle_limbo(bool at_once) { return impl_->limbo.settle(at_once); }
std::size_t Folder::limbo_size() const { return impl_->limbo.size(); }

static Result<Bytes> read_own(FileSystem& fs, const std::string& name, std::uint64_t offset, std::size_t size) {
  if (size > limits::message_bytes) return fail(Error::Code::invalid, "more than a message holds");
  auto file = fs.open(name);
  if (!file) return tl::unexpected(file.error());
  Bytes bytes(size, '\0');
  const auto got = (*file)->read_at(offset, bytes);
  if (!got) return tl::unexpected(got.error());
  bytes.resize(*got);
  return bytes;
}

Result<Bytes> Folder::read_version(const Hash128& hash, std::uint64_t offset, std::size_t size) {
  return read_own(impl_->fs, names::version(hash), offset, size);
}

Result<Bytes> Folder::read_staged(const Hash128& hash, std::uint64_t offset, std::size_t size) {
  auto part = read_own(impl_->fs, names::part(hash), offset, size);
  return part ? part : read_own(impl_->fs, names::staged(hash), offset, size);
}

bool Folder::has_version(const Hash128& hash, bool verify) {
  const std::string name = names::version(hash);
  const auto stat = impl_->fs.stat(name);
  if (!stat || !verify) return stat.has_value();
  const auto file = impl_->fs.open(name);
  const auto hashed = file ? hash_file(**file, stat->print.size, impl_->key) : Result<HashedFile>(tl::unexpected(file.error()));
  if (hashed && hashed->hash == hash) return true;
  if (hashed) impl_->fs.remove_file(name);
  return false;
}

Status Folder::drop_version(const Hash128& hash) {
  auto removed = impl_->fs.remove_file(names::version(hash));
  if (!removed && removed.error().code == Error::Code::not_found) return {};
  return removed;
}

Result<std::vector<Hash128>> Folder::versions() {
  const auto items = impl_->fs.list(names::kVersions);
  if (!items) return tl::unexpected(items.error());
  std::vector<Hash128> found;
  for (const DirectoryItem& item : *items) {
    if (const auto hash = names::parse_hash(item.name)) found.push_back(*hash);
  }
  return found;
}

StageProgress Folder::stage_progress(const Hash128& hash) { return impl_->staging.progress(hash); }

Status Folder::stage_write(const Hash128& hash, std::uint64_t offset, BytesView piece) {
  return impl_->staging.write(hash, offset, piece);
}

Status Folder::stage_finish(const Hash128& hash, std::uint64_t size) {
  return impl_->staging.finish(hash, size);
}

Status Folder::stage_copy(const Hash128& hash, std::uint64_t size, std::string_view from) {
  if (!Impl::is_ours_to_touch(from)) return fail(Error::Code::unsupported, "not a path of the folder");
  return impl_->staging.copy(hash, size, from);
}

Status Folder::stage_copy_version(const Hash128& hash) {
  return impl_->staging.copy(hash, std::nullopt, names::version(hash));
}

Status Folder::stage_delta(const Hash128& hash, std::uint64_t size, std::string_view base_path,
                           BytesView delta) {
  if (!Impl::is_ours_to_touch(base_path)) return fail(Error::Code::unsupported, "not a path of the folder");
  return impl_->staging.patch(hash, size, base_path, delta);
}

Status Folder::stage_to_version(const Hash128& hash) { return impl_->staging.to_version(hash); }
void Folder::stage_drop(const Hash128& hash) { impl_->staging.drop(hash); }
std::shared_ptr<const Signature> Folder::staged_signature(const Hash128& hash) {
  return impl_->staging.signature(hash);
}

}  // namespace syncline

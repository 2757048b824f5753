#include "node/file_open.h"

#include <fmt/format.h>
#include <sodium.h>

#include <deque>
#include <vector>

#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr unsigned kLinksMax = 16;
// A write that the stamps do not show was noticed by the watcher long before this.
constexpr std::int64_t kSettledNs = 2'000'000'000;

Error refused(const std::string& path) {
  return {Error::Code::refused, fmt::format("'{}' is not a file that is served", path)};
}

bool is_own(std::string_view path) {
  return path.starts_with(kOwnDirectory) &&
         (path.size() == kOwnDirectory.size() || path[kOwnDirectory.size()] == '/');
}

void split_before(std::deque<std::string>& names, std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (slash != 0 && path.substr(0, slash) != ".") parts.emplace_back(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  names.insert(names.begin(), parts.begin(), parts.end());
}

std::string joined(const std::vector<std::string>& names) { return fmt::format("{}", fmt::join(names, "/")); }

}  // namespace

Result<OpenedFile> FileOpener::open(std::string& path) const {
  if (!is_canonical_path(path) || path == kRootPath || is_own(path)) return tl::unexpected(refused(path));
  auto opened = open_here(path);
  if (opened || opened.error().code != Error::Code::not_found) return opened;
  auto target = follow(path);
  if (!target) return tl::unexpected(target.error());
  if (*target == path) return opened;
  path = *target;
  return open_here(path);
}

// No component of the path is a symlink, or it is not found: the file system follows none.
Result<OpenedFile> FileOpener::open_here(const std::string& path) const {
  const auto known = entry_of(path);
  if (known && known->pending()) return fail(Error::Code::not_found, "its newest version is not here yet");
  auto file = fs.open(path);
  if (!file) return tl::unexpected(file.error());
  const auto stat = (*file)->stat();
  if (!stat) return tl::unexpected(stat.error());
  if (stat->type != FileType::file) return tl::unexpected(refused(path));
  OpenedFile out{std::move(*file), *stat, etag(known, *stat)};
  // Not what was looked at last: either a new file, or one in the middle of being written.
  if (out.etag.starts_with("W/") && out.file->open_for_writing() == true)
    return fail(Error::Code::busy, fmt::format("'{}' is being written", path));
  return out;
}

// Where the symlinks on the way lead to, as far as they are on the disk; the path itself if there are none.
// Every one is read here and judged by name, so that none can lead out of the folder or to what is the node's
// own.
Result<std::string> FileOpener::follow(const std::string& path) const {
  std::vector<std::string> done;
  std::deque<std::string> rest;
  split_before(rest, path);
  unsigned links = 0;
  bool on_disk = true;
  while (!rest.empty()) {
    const std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == "..") {
      if (done.empty()) return tl::unexpected(refused(path));
      done.pop_back();
      continue;
    }
    done.push_back(name);
    if (!on_disk) continue;
    const std::string here = joined(done);
    const auto stat = is_own(here) ? Result<FileStat>(tl::unexpected(refused(path))) : fs.stat(here);
    if (!stat && stat.error().code == Error::Code::refused) return tl::unexpected(stat.error());
    on_disk = stat.has_value();
    if (!stat || stat->type != FileType::symlink) continue;
    const auto target = fs.read_link(here);
    if (!target || target->starts_with('/') || ++links > kLinksMax ||
        target->size() > limits::symlink_target_bytes)
      return tl::unexpected(refused(path));
    done.pop_back();
    split_before(rest, *target);
  }
  const std::string target = joined(done);
  if (!is_canonical_path(target) || is_own(target)) return tl::unexpected(refused(path));
  return target;
}

// The content hash itself is never shown: whoever could have many of his own files hashed might learn the
// secret behind it.
std::string FileOpener::etag(const std::optional<PathEntry>& known, const FileStat& stat) const {
  if (known && known->disk && known->disk->state.content.kind == Kind::file) {
    Fingerprint print = known->disk->state.print;
    // Looked at too soon after a write to be sure then; by now it would have been looked at again.
    if (print.ctime_ns == 0 && fs.now_ns() - stat.print.ctime_ns > kSettledNs)
      print.ctime_ns = stat.print.ctime_ns;
    if (print == stat.print) {
      const Hash128& hash = known->disk->state.content.hash;
      std::array<unsigned char, 16> out;
      crypto_generichash(out.data(), out.size(), hash.bytes.data(), hash.bytes.size(), secret.bytes.data(),
                         secret.bytes.size());
      return "\"" + to_hex(BytesView(reinterpret_cast<const char*>(out.data()), out.size())) + "\"";
    }
  }
  return fmt::format("W/\"{:x}-{:x}\"", static_cast<std::uint64_t>(stat.print.mtime_ns), stat.print.size);
}

}  // namespace syncline

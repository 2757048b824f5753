#include "storage/folder_hash.h"

#include <algorithm>

#include "protocol/limits.h"
#include "storage/hash_pipeline.h"

namespace syncline {

Status read_pieces(File& file, std::uint64_t from, std::uint64_t to, const std::function<Status(BytesView)>& take) {
  constexpr std::uint64_t piece_bytes = 1 << 20;
  if (from >= to) return {};
  Bytes buffer(std::min(to - from, piece_bytes), '\0');
  while (from < to) {
    const std::size_t wanted = std::min<std::uint64_t>(to - from, buffer.size());
    auto got = file.read_at(from, {buffer.data(), wanted});
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return fail(Error::Code::busy, "the file became shorter while it was read");
    if (auto taken = take(BytesView(buffer.data(), *got)); !taken) return taken;
    from += *got;
  }
  return {};
}

namespace {

Result<std::shared_ptr<const Bytes>> read_small(File& file, std::uint64_t size) {
  auto content = std::make_shared<Bytes>(size, '\0');
  auto got = size == 0 ? Result<std::size_t>(0) : file.read_at(0, {content->data(), size});
  if (!got) return tl::unexpected(got.error());
  if (*got != size) return fail(Error::Code::busy, "the file became shorter while it was read");
  return content;
}

Status read_large(File& file, std::uint64_t size, HashPipeline& hashing, const std::function<Status()>& between) {
  constexpr std::uint64_t between_bytes = 1 << 20;
  for (std::uint64_t at = 0; at < size;) {
    const std::span<char> into = hashing.space();
    const auto got = file.read_at(at, into.first(std::min<std::uint64_t>(size - at, into.size())));
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return fail(Error::Code::busy, "the file became shorter while it was read");
    hashing.add(*got);
    const bool due = at / between_bytes != (at + *got) / between_bytes;
    at += *got;
    if (Status status = due && between ? between() : Status{}; !status) return status;
  }
  return {};
}

}  // namespace

Result<HashedFile> hash_file(File& file, std::uint64_t size, const HashKey& key,
                             const std::function<Status()>& between) {
  HashedFile out;
  const bool wants_signature = size >= limits::signature_min_file_bytes;
  if (size <= limits::inline_content_bytes) {
    auto content = read_small(file, size);
    if (!content) return tl::unexpected(content.error());
    out.content = *content;
    out.hash = key.hash(*out.content);
    if (!wants_signature) return out;
  }
  HashPipeline hashing(key, size);
  if (out.content) {
    hashing.update(*out.content);
  } else {
    if (auto read = read_large(file, size, hashing, between); !read) return tl::unexpected(read.error());
    out.hash = hashing.end().file_hash();
  }
  // No signature (a file beyond its limit) only means that the next version travels whole.
  if (auto signature = hashing.end().finish())
    out.signature = std::make_shared<const Signature>(*std::move(signature));
  return out;
}

}  // namespace syncline

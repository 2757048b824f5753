#include "storage/folder_staging.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/delta_patch.h"
#include "protocol/limits.h"
#include "protocol/planted_fault.h"
#include "storage/folder_names.h"
#include "storage/hash_pipeline.h"

namespace syncline {

namespace names = folder_names;

constexpr std::ptrdiff_t kHashersMax = 32;  // contents hashed as they come; others are read in the end

Status Staging::open() {
  const auto make = [this](std::string_view directory) {
    auto made = fs_.make_directory(directory, 0700);
    return !made && made.error().code == Error::Code::exists ? Status{} : made;
  };
  for (const std::string_view directory : {names::kStaging, names::kVersions}) {
    if (auto made = make(directory); !made) return made;
  }
  fs_.spread(names::kStaging);
  for (unsigned i = 0; i < names::kBuildingDirectories; ++i) {
    if (auto made = make(names::building_directory(i)); !made) return made;
  }
  const auto items = list();
  if (!items) return tl::unexpected(items.error());
  for (const std::string& item : *items) {
    const auto found = names::parse(item);
    if (!found) continue;
    first_ = std::max(first_, found->swap.n + 1);
    if (found->what == names::Found::What::staged)
      fs_.replace(names::staged(found->hash), names::part(found->hash));
  }
  // Jobs of a Folder that was open before on the same directory may still be at work with the numbers that it had: those were counted from
  // an earlier time, one by one.
  first_ = std::max(first_, static_cast<std::uint64_t>(std::max<std::int64_t>(fs_.now_ns(), 0)));
  next_ = first_;
  return {};
}

Result<std::vector<std::string>> Staging::list() {
  std::vector<std::string> directories{std::string(names::kStaging)}, out;
  for (unsigned i = 0; i < names::kBuildingDirectories; ++i) directories.push_back(names::building_directory(i));
  for (const std::string& directory : directories) {
    const auto items = fs_.list(directory);
    if (!items) return tl::unexpected(items.error());
    for (const DirectoryItem& item : *items) {
      std::string at = directory + '/' + item.name;
      if (std::find(directories.begin(), directories.end(), at) == directories.end()) out.push_back(std::move(at));
    }
  }
  return out;
}

Staging::Part Staging::load(const Hash128& hash) {
  Part part;
  const auto stat = fs_.stat(names::part(hash));
  if (!stat) return part;
  part.have = stat->print.size;
  if (auto note = fs_.open(names::progress(hash))) {
    std::array<char, 8> raw{};
    const auto got = (*note)->read_at(0, raw);
    std::uint64_t noted = 0;
    for (const char byte : raw) noted = noted << 8 | static_cast<std::uint8_t>(byte);
    part.have = got && *got == raw.size() ? std::min(part.have, noted) : 0;
  }
  // Whole ranges only: the end of the file may be half a write.
  part.have -= part.have % limits::range_bytes;
  if (auto file = fs_.open_write(names::part(hash)); !file || !(*file)->truncate(part.have)) part.have = 0;
  fs_.remove_file(names::progress(hash));
  return part;
}

Result<Staging::Part*> Staging::part(const Hash128& hash) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = parts_.find(hash);
    if (found != parts_.end()) return &found->second;
    if (parts_.size() >= limits::staged_parts) {
      return fail(Error::Code::full, "too many contents are on their way at once");
    }
  }
  Part loaded = load(hash);
  const std::lock_guard lock(mutex_);
  return &parts_.emplace(hash, std::move(loaded)).first->second;
}

bool Staging::forget(const Hash128& hash) {
  const std::lock_guard lock(mutex_);
  return parts_.erase(hash) > 0;
}

StageProgress Staging::progress(const Hash128& hash) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = parts_.find(hash);
    if (found != parts_.end()) return {found->second.have};
  }
  if (const auto whole = fs_.stat(names::staged(hash))) return {whole->print.size};
  if (!fs_.stat(names::part(hash))) return {};
  auto loaded = part(hash);
  return {loaded ? (*loaded)->have : 0};
}

// Written before the first piece out of turn and kept up to date while there is one: the size of the file
// tells nothing then.
Status Staging::note(const Hash128& hash, Part& part) {
  std::array<char, 8> raw{};
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<char>(part.have >> (56 - 8 * i));
  auto file = fs_.open_write(names::progress(hash));
  if (!file) return tl::unexpected(file.error());
  part.noted = true;
  return (*file)->write_at(0, {raw.data(), raw.size()});
}

// Not more at once than transfers of large files are: whose fetch was given up keep theirs.
void Staging::start_hasher(Part& part, File& file) {
  const auto stat = file.stat();
  const std::lock_guard lock(mutex_);
  const auto hashers = std::count_if(parts_.begin(), parts_.end(), [](const auto& item) { return item.second.hashing; });
  if (!stat || hashers >= kHashersMax) return;
  part.hashing = true;
  part.inode = stat->print.inode;
  part.hasher = std::make_unique<SignatureBuilder>(key_);
}

// Hashes what is contiguous by now: the piece itself, and what came before its turn, which is read from the page cache.
void Staging::Part::hash(File& file, std::uint64_t offset, BytesView piece) {
  if (offset < hashed) hasher.reset();  // written over
  if (!hasher) return;
  if (offset == hashed) hasher->update(piece), hashed += piece.size();
  const auto take = [&](BytesView read) {
    hasher->update(read), hashed += read.size();
    return Status{};
  };
  if (hashed < have && !read_pieces(file, hashed, have, take)) hasher.reset();
}

Status Staging::write(const Hash128& hash, std::uint64_t offset, BytesView piece) {
  if (offset > limits::file_bytes || piece.size() > limits::file_bytes - offset) {
    return fail(Error::Code::invalid, "a piece beyond the largest file");
  }
  auto found = part(hash);
  if (!found) return tl::unexpected(found.error());
  Part& part = **found;
  if (offset > part.have) {
    if (part.later.size() >= limits::staged_gaps)
      return fail(Error::Code::full, "too many pieces came before their turn");
    if (auto noted = part.noted ? Status{} : note(hash, part); !noted) return noted;
  }
  auto file = fs_.open_write(names::part(hash));
  if (!file) return tl::unexpected(file.error());
  if (part.have == 0 && part.later.empty() && !part.hasher) start_hasher(part, **file);
  if (auto written = (*file)->write_at(offset, piece); !written) {
    part.hasher.reset();  // it may have begun
    return written;
  }
  const std::uint64_t before = part.have;
  std::uint64_t& end = part.later[offset];
  end = std::max<std::uint64_t>(end, offset + piece.size());
  {
    const std::lock_guard lock(mutex_);  // progress() may look on another thread
    while (!part.later.empty() && part.later.begin()->first <= part.have) {
      part.have = std::max(part.have, part.later.begin()->second);
      part.later.erase(part.later.begin());
    }
  }
  part.hash(**file, offset, piece);
  if (!part.noted || part.have == before) return {};
  if (!part.later.empty()) return note(hash, part);
  part.noted = false;
  return fs_.remove_file(names::progress(hash));
}

static std::shared_ptr<const Signature> wanted_signature(SignatureBuilder& builder, std::uint64_t size) {
  if (size < limits::signature_min_file_bytes) return nullptr;
  auto signature = builder.finish();
  return signature ? std::make_shared<const Signature>(*std::move(signature)) : nullptr;
}

Status Staging::finish(const Hash128& hash, std::uint64_t size) {
  const auto whole = fs_.stat(names::staged(hash));
  if (whole && whole->print.size == size) return {};  // by another path that wanted it
  auto found = part(hash);
  if (!found) return tl::unexpected(found.error());
  const bool gaps = (*found)->have < size;
  const auto hasher = (*found)->hashed == size ? std::move((*found)->hasher) : nullptr;
  const std::uint64_t inode = (*found)->inode;
  forget(hash);
  fs_.remove_file(names::progress(hash));
  if (gaps) {
    fs_.remove_file(names::part(hash));
    return fail(Error::Code::invalid, "the content came with gaps");
  }
  if (size == 0) {
    auto empty = fs_.open_write(names::part(hash));
    if (!empty) return tl::unexpected(empty.error());
  }
  // Hashed on its way, unless the blocks of a signature this large are others, or another file has come to bear its name.
  const auto written = fs_.stat(names::part(hash));
  const bool is_it = written && written->print.inode == inode && written->print.size == size;
  if (hasher && is_it && hasher->file_hash() == hash && signature_block_bytes(size) == limits::delta_block_bytes) {
    return accept(names::part(hash), hash, wanted_signature(*hasher, size));
  }
  return verify(names::part(hash), hash, size);
}

Status Staging::verify(const std::string& at, const Hash128& hash, std::optional<std::uint64_t> size) {
  auto file = fs_.open(at);
  if (!file) return tl::unexpected(file.error());
  const auto stat = (*file)->stat();
  if (!stat) return tl::unexpected(stat.error());
  const auto hashed = hash_file(**file, stat->print.size, key_);
  if (!hashed) return tl::unexpected(hashed.error());
  const bool fits = hashed->hash == hash && (!size || stat->print.size == *size);
  if (!fits && !planted(Fault::base_not_compared)) {
    fs_.remove_file(at);
    return fail(Error::Code::invalid, fmt::format("the content does not have the hash {}", to_hex(hash)));
  }
  return accept(at, hash, hashed->signature);
}

Status Staging::accept(const std::string& at, const Hash128& hash, std::shared_ptr<const Signature> signature) {
  if (auto moved = fs_.replace(at, names::staged(hash)); !moved) return moved;
  remember(hash, std::move(signature));
  if (forget(hash)) {  // it was on its way as well
    fs_.remove_file(names::part(hash));
    fs_.remove_file(names::progress(hash));
  }
  return {};
}

Status Staging::copy(const Hash128& hash, std::optional<std::uint64_t> size, std::string_view from) {
  if (const auto whole = fs_.stat(names::staged(hash)); whole && (!size || whole->print.size == *size))
    return {};
  const auto source = fs_.stat(from);
  if (!source) return tl::unexpected(source.error());
  if (source->type != FileType::file || (size && source->print.size != *size)) {
    return fail(Error::Code::invalid, fmt::format("'{}' is not that content any more", from));
  }
  const std::string at = names::building(next_number());
  auto copied = fs_.clone(from, at);
  if (!copied) return copied;
  auto verified = verify(at, hash, size);
  if (!verified) fs_.remove_file(at);
  return verified;
}

Status Staging::patch(const Hash128& hash, std::uint64_t size, std::string_view base_path, BytesView delta) {
  const auto header = peek_delta_header(delta.substr(0, kDeltaHeaderBytesMax));
  if (!header) return tl::unexpected(header.error());
  if (header->target_hash != hash || header->target_bytes != size) {
    return fail(Error::Code::invalid, "the delta makes another content");
  }
  auto base = fs_.open(base_path);
  if (!base) return tl::unexpected(base.error());
  const std::string at = names::building(next_number());
  auto file = fs_.open_write(at);
  if (!file) return tl::unexpected(file.error());
  std::uint64_t written = 0;
  const auto read_base = [&](std::uint64_t offset, std::span<char> into) {
    return (*base)->read_at(offset, into);
  };
  HashPipeline hashing(key_, size);
  const auto put = [&](BytesView piece) {
    hashing.update(piece);
    auto done = (*file)->write_at(written, piece);
    written += piece.size();
    return done;
  };
  DeltaPatcher patcher(*header, read_base, put, nullptr);  // hashed here, with the signature
  auto patched = patcher.update(delta).and_then([&] { return patcher.finish(); });
  SignatureBuilder& builder = hashing.end();
  if (patched && builder.file_hash() != hash && !planted(Fault::base_not_compared))
    patched = fail(Error::Code::invalid, fmt::format("what the delta makes does not have the hash {}", to_hex(hash)));
  if (patched) patched = accept(at, hash, wanted_signature(builder, size));
  if (!patched) fs_.remove_file(at);
  return patched;
}

Status Staging::to_version(const Hash128& hash) {
  return fs_.replace(names::staged(hash), names::version(hash));
}

void Staging::drop(const Hash128& hash) {
  forget(hash);
  for (const std::string& name : {names::staged(hash), names::part(hash), names::progress(hash)})
    fs_.remove_file(name);
}

void Staging::remember(const Hash128& hash, std::shared_ptr<const Signature> signature) {
  if (!signature) return;
  const auto cost = [](const Signature& s) { return s.blocks() * (Hash128::size + sizeof(std::uint32_t)); };
  const std::lock_guard lock(mutex_);
  std::erase_if(signatures_, [&](const auto& known) {
    if (known.first == hash) signature_bytes_ -= cost(*known.second);
    return known.first == hash;
  });
  signature_bytes_ += cost(*signature);
  signatures_.emplace_back(hash, std::move(signature));
  while (signatures_.size() > 1 && signature_bytes_ > limits::cached_signature_bytes) {
    signature_bytes_ -= cost(*signatures_.front().second);
    signatures_.pop_front();
  }
}

std::shared_ptr<const Signature> Staging::signature(const Hash128& hash) {
  const std::lock_guard lock(mutex_);
  for (const auto& [known, signature] : signatures_) {
    if (known == hash) return signature;
  }
  return nullptr;
}

}  // namespace syncline

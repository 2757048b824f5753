#include "storage/kv_wal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "protocol/codec.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

constexpr BytesView kMagic = "SYNCWAL1";  // the last character is the version
constexpr BytesView kPrefix = "wal-";
constexpr std::size_t kFrameHead = 4 + 8;  // length, checksum
constexpr std::size_t kBatchHeadMax = 20;  // number and count

std::uint64_t checksum(BytesView payload) { return XXH3_64bits(payload.data(), payload.size()); }

Bytes header(BytesView boot) {
  Writer w;
  w.raw(kMagic);
  w.bytes(boot);
  return w.take();
}

struct Frame {
  std::uint64_t number = 0;
  KvBatch batch;
};

std::optional<Frame> decode_payload(BytesView payload) {
  Reader r(payload);
  Frame frame;
  frame.number = r.varint();
  const std::size_t count = r.count(r.left());
  frame.batch.reserve(count);
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    Bytes key(r.bytes(limits::kv_key_bytes));
    const std::uint8_t present = r.u8();
    if (present > 1 || key.empty()) return std::nullopt;
    auto value = present == 1 ? std::optional<Bytes>(r.bytes(limits::kv_batch_bytes)) : std::nullopt;
    frame.batch.emplace_back(std::move(key), std::move(value));
  }
  return r.done() ? std::optional(std::move(frame)) : std::nullopt;
}

// Reads the frames of one file, as far as their checksums are right.
class SegmentReader {
 public:
  explicit SegmentReader(const std::string& path) : in_(path, std::ios::binary) {}

  // Error::invalid for the log of a newer program; false where power loss took the header.
  Result<bool> read_header(Bytes& boot) {
    if (!in_.is_open()) return fail(Error::Code::io, "cannot read the index's log");
    const Bytes magic = take(kMagic.size());
    if (magic.size() < kMagic.size()) return false;
    if (magic != kMagic &&
        BytesView(magic).substr(0, kMagic.size() - 1) == kMagic.substr(0, kMagic.size() - 1)) {
      return fail(Error::Code::invalid, "the index's log was written by a newer program");
    }
    const Bytes size = take(1);
    if (magic != kMagic || size.empty() || static_cast<std::uint8_t>(size[0]) > limits::boot_id_bytes)
      return false;
    boot = take(static_cast<std::uint8_t>(size[0]));
    return boot.size() == static_cast<std::uint8_t>(size[0]);
  }

  std::optional<Bytes> next_payload() {
    const Bytes head = take(kFrameHead);
    if (head.size() < kFrameHead) return std::nullopt;
    Reader r(head);
    const std::size_t size = r.u32();
    const std::uint64_t sum = r.u64();
    if (size > limits::kv_batch_bytes) return std::nullopt;
    Bytes payload = take(size);
    if (payload.size() < size || checksum(payload) != sum) return std::nullopt;
    return payload;
  }

  bool failed() const { return in_.bad(); }  // the disk could not be read: not the same as an end

 private:
  Bytes take(std::size_t size) {
    Bytes out(size, '\0');
    in_.read(out.data(), static_cast<std::streamsize>(size));
    out.resize(static_cast<std::size_t>(in_.gcount()));
    return out;
  }
  std::ifstream in_;
};

std::vector<std::string> segment_paths(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code ec;  // open() has just made files in this directory: it can be listed
  for (fs::directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().filename().string().starts_with(kPrefix)) out.push_back(it->path().string());
  }
  std::sort(out.begin(), out.end());  // the numbers in the names have a fixed width
  return out;
}

}  // namespace

Result<Bytes> encode_frame(std::uint64_t number, const KvBatch& batch) {
  std::size_t size = kBatchHeadMax;
  for (const auto& [key, value] : batch) {
    if (key.empty() || key.size() > limits::kv_key_bytes) {
      return fail(Error::Code::refused, "a key of the index is empty or too long");
    }
    size += key.size() + (value ? value->size() : 0) + 8;
  }
  if (size > limits::kv_batch_bytes) return fail(Error::Code::refused, "a batch of the index is too large");
  Writer payload;
  payload.varint(number), payload.varint(batch.size());
  for (const auto& [key, value] : batch) {
    payload.bytes(key), payload.u8(value ? 1 : 0);
    if (value) payload.bytes(*value);
  }
  Writer frame;
  frame.u32(static_cast<std::uint32_t>(payload.data().size()));
  frame.u64(checksum(payload.data()));
  frame.raw(payload.data());
  return frame.take();
}

bool Wal::any(const std::string& directory) { return !segment_paths(directory).empty(); }

Result<Wal> Wal::open(std::string directory, Bytes boot, std::uint64_t last,
                      const std::function<void(KvBatch)>& sink, Replay& replay) {
  Wal wal(std::move(directory), std::move(boot));
  replay.last = last;
  bool gap = false;  // what follows lacks a predecessor, so it counts for nothing
  bool removed = false;
  for (const std::string& path : segment_paths(wal.directory_)) {
    SegmentReader reader(path);
    Bytes written_in;
    const auto known = reader.read_header(written_in);
    if (!known) return tl::unexpected(known.error());
    const std::uint64_t before = replay.last;
    while (!gap && *known) {
      const auto payload = reader.next_payload();
      if (reader.failed()) return fail(Error::Code::io, "cannot read " + path);
      if (!payload) break;
      auto frame = decode_payload(*payload);
      if (!frame)
        return fail(Error::Code::invalid, "the index's log holds a batch that makes no sense: " + path);
      if (frame->number <= replay.last) continue;
      gap = frame->number != replay.last + 1;
      if (gap) break;
      ++replay.last;
      sink(std::move(frame->batch));
    }
    if (replay.last > before) {
      wal.segments_.push_back({path, replay.last});
      replay.other_boot = replay.other_boot || written_in != wal.boot_;
    } else {
      std::error_code ec;
      fs::remove(path, ec);
      if (ec) return fail(Error::Code::io, fmt::format("cannot delete {}: {}", path, ec.message()));
      removed = true;
    }
  }
  // Numbers of batches that were lost are given again: a file that holds the lost ones must not come back.
  if (removed) {
    if (Status s = sync_directory(wal.directory_); !s) return tl::unexpected(s.error());
  }
  return wal;
}

Status Wal::append(std::uint64_t number, const KvBatch& batch) {
  auto frame = encode_frame(number, batch);
  if (!frame) return tl::unexpected(frame.error());
  if (!file_) {
    std::string path = fmt::format("{}/{}{:016x}", directory_, kPrefix, number);
    auto file = LogFile::create(path);
    if (!file) return tl::unexpected(file.error());
    const Bytes head = header(boot_);
    if (Status s = file->write_at(0, head + *frame); !s) return s;
    file_ = std::move(*file);
    size_ = head.size() + frame->size();
    segments_.push_back({std::move(path), number});
    return {};
  }
  // After a failure the garbage it left has a wrong checksum or is overwritten here.
  if (Status s = file_->write_at(size_, *frame); !s) return s;
  size_ += frame->size();
  segments_.back().last = number;
  return {};
}

std::vector<std::string> Wal::covered(std::uint64_t durable) {
  std::vector<std::string> out;
  while (!segments_.empty() && segments_.front().last <= durable && !(segments_.size() == 1 && file_)) {
    out.push_back(std::move(segments_.front().path));
    segments_.erase(segments_.begin());
  }
  return out;
}

}  // namespace syncline

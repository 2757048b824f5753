#include "tests/scale/tree.h"

#include <fmt/format.h>

#include <cstring>

#include "protocol/content_hash.h"
#include "protocol/member.h"
#include "storage/index.h"
#include "tests/sim/random.h"

namespace syncline::scale {
namespace {

constexpr std::size_t kBatch = 4096;
constexpr std::int64_t kMtimeNs = static_cast<std::int64_t>(kEpochMs - 86'400'000) * 1'000'000;

using sim::Random;

template <class Id>
Id draw_id(Random random) {
  Id id;
  for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random.next());
  return id;
}

Hash128 hash_of(const std::string& text) {
  static const HashKey key{Key32{}};
  return key.hash(text);
}

class Builder {
 public:
  Builder(std::size_t nodes, std::size_t starts) {
    for (std::size_t node = 0; node < nodes; ++node) {
      for (std::size_t start = 0; start < starts; ++start) introduce(node, actor_id(node, start));
    }
  }

  void add(const std::string& path, const DiskState& state) {
    ActorId actor = writers_[written_++ % writers_.size()].first;
    put({.folder = kFirstFolder, .path = path, .content = state.content, .dot = {actor, 0}}, state);
  }

  std::shared_ptr<const Image> finish() {
    for (const auto& [actor, seq] : writers_) index_->advance(actor, seq);
    index_->put_meta("been ready", "1");
    (void)index_->commit();
    auto image = std::make_shared<Image>();
    for (KvItems items; !(items = kv_->range(next_after(*image), {}, kBatch)).empty();)
      image->insert(image->end(), std::make_move_iterator(items.begin()),
                    std::make_move_iterator(items.end()));
    return image;
  }

 private:
  static Bytes next_after(const Image& image) {
    return image.empty() ? Bytes(1, '\0') : image.back().first + Bytes(1, '\0');
  }

  void introduce(std::size_t node, const ActorId& actor) {
    writers_.emplace_back(actor, 0);
    Record record{.folder = kClusterFolder, .path = actor_path(actor), .dot = {actor, 0}};
    record.content = {.kind = Kind::value, .target = encode_actor(Actor{actor, node_id(node), {}})};
    ++written_;
    put(std::move(record), std::nullopt);
  }

  void put(Record record, const std::optional<DiskState>& state) {
    record.dot.seq = ++writers_[(written_ - 1) % writers_.size()].second;
    record.hlc = Hlc::at_ms(kEpochMs - 86'400'000 + written_);
    PathEntry entry{.live = record};
    if (state) entry.disk = OnDisk{*state, record.dot, {}, record.hlc};
    index_->put(record.folder, record.path, entry);
    if (written_ % kBatch != 0) return;
    (void)index_->commit();
    kv_->make_durable();
  }

  std::unique_ptr<MemoryKv> kv_ = make_memory_kv();
  std::unique_ptr<Index> index_ = *Index::open(*kv_);
  std::vector<std::pair<ActorId, std::uint64_t>> writers_;  // and what they have written
  std::size_t written_ = 0;
};

}  // namespace

NodeId node_id(std::size_t node) { return draw_id<NodeId>(Random(1, node)); }

ActorId actor_id(std::size_t node, std::size_t start) { return draw_id<ActorId>(Random(2 + node, start)); }

std::string file_path(std::size_t number) {
  return fmt::format("uploads{:04}/image{:07}.jpg", number / kFilesPerDirectory, number);
}

DiskState file_on_disk(const std::string& path, std::uint64_t version, std::uint64_t size) {
  DiskState state;
  state.content = {
      .kind = Kind::file, .hash = hash_of(fmt::format("{} {}", path, version)), .size = size, .mode = 0644};
  state.content.mtime_ns = kMtimeNs + static_cast<std::int64_t>(version) * 1'000'000'000;
  std::memcpy(&state.print.inode, state.content.hash.bytes.data(), sizeof state.print.inode);
  state.print.size = size;
  state.print.mtime_ns = state.print.ctime_ns = state.content.mtime_ns;
  return state;
}

DiskState directory_on_disk() {
  DiskState state;
  state.content = {.kind = Kind::directory, .mode = 0755, .mtime_ns = kMtimeNs};
  state.print = {.inode = 1, .size = 0, .mtime_ns = kMtimeNs, .ctime_ns = kMtimeNs};
  return state;
}

Bytes content_of(const Hash128& hash, std::uint64_t offset, std::size_t size) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, hash.bytes.data(), sizeof seed);
  Random random(seed, offset);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.next());
  return out;
}

std::shared_ptr<const Image> make_image(std::size_t records, std::size_t nodes, std::size_t starts) {
  Builder builder(nodes, starts);
  for (std::size_t added = 0, files = 0; added < records; ++added) {
    const std::string path = file_path(files);
    const bool first_of_its_directory = added % (kFilesPerDirectory + 1) == 0;
    if (first_of_its_directory)
      builder.add(path.substr(0, path.find('/')), directory_on_disk());
    else
      builder.add(path, file_on_disk(path, 0)), ++files;
  }
  return builder.finish();
}

}  // namespace syncline::scale

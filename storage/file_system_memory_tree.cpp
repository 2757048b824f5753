#include "storage/file_system_memory_tree.h"

#include <algorithm>

namespace syncline {

MemoryTree::MemoryTree() {
  FileStat stat;
  stat.type = FileType::directory;
  stat.mode = 0755;
  stat.print.inode = kRoot;
  inodes_[kRoot].stat = stat;
}

const MemoryTree::Inode* MemoryTree::find(Id id) const {
  const auto found = inodes_.find(id);
  return found == inodes_.end() ? nullptr : &found->second;
}

MemoryTree::Inode* MemoryTree::edit(Id id) {
  const auto found = inodes_.find(id);
  return found == inodes_.end() ? nullptr : &found->second;
}

std::optional<MemoryTree::Id> MemoryTree::child(Id directory, const std::string& name) const {
  const Inode* inode = find(directory);
  if (inode == nullptr) return std::nullopt;
  const auto found = inode->children.find(name);
  if (found == inode->children.end()) return std::nullopt;
  return found->second;
}

void MemoryTree::create(Id id, const FileStat& stat, std::string target) {
  Inode& inode = inodes_[id];
  inode.stat = stat;
  inode.stat.links = 0;
  inode.stat.print.size = target.size();
  inode.target = std::move(target);
  inode.bytes = std::make_shared<std::string>();
}

void MemoryTree::touch_directory(Id id, std::int64_t now_ns) {
  if (Inode* inode = edit(id)) inode->stat.print.mtime_ns = inode->stat.print.ctime_ns = now_ns;
}

void MemoryTree::name(Id directory, const std::string& name, Id id, std::int64_t now_ns) {
  Inode* parent = edit(directory);
  Inode* inode = edit(id);
  if (parent == nullptr || inode == nullptr) return;
  if (parent->children.contains(name)) unname(directory, name, now_ns);
  parent->children[name] = id;
  ++inode->stat.links;
  inode->stat.print.ctime_ns = now_ns;
  touch_directory(directory, now_ns);
}

void MemoryTree::unname(Id directory, const std::string& name, std::int64_t now_ns) {
  const auto id = child(directory, name);
  if (!id) return;
  edit(directory)->children.erase(name);
  touch_directory(directory, now_ns);
  if (Inode* inode = edit(*id)) {
    --inode->stat.links;
    inode->stat.print.ctime_ns = now_ns;
    drop_if_unused(*id);
  }
}

void MemoryTree::exchange(Id directory_a, const std::string& a, Id directory_b, const std::string& b,
                          std::int64_t now_ns) {
  const auto first = child(directory_a, a);
  const auto second = child(directory_b, b);
  if (!first || !second) return;
  edit(directory_a)->children[a] = *second;
  edit(directory_b)->children[b] = *first;
  for (const Id id : {*first, *second}) {
    if (Inode* inode = edit(id)) inode->stat.print.ctime_ns = now_ns;
  }
  touch_directory(directory_a, now_ns);
  touch_directory(directory_b, now_ns);
}

std::string& MemoryTree::own_bytes(Inode& inode) {
  if (inode.bytes.use_count() > 1) inode.bytes = std::make_shared<std::string>(*inode.bytes);
  return *inode.bytes;
}

void MemoryTree::write(Id id, std::uint64_t offset, const std::string& data, std::int64_t now_ns) {
  Inode* inode = edit(id);
  if (inode == nullptr) return;
  truncate(id, std::max<std::uint64_t>(inode->bytes->size(), offset + data.size()), now_ns);
  own_bytes(*inode).replace(offset, data.size(), data);
}

void MemoryTree::truncate(Id id, std::uint64_t size, std::int64_t now_ns) {
  Inode* inode = edit(id);
  if (inode == nullptr) return;
  bytes_ += size - inode->bytes->size();
  if (size != inode->bytes->size()) own_bytes(*inode).resize(size);
  inode->stat.print.size = size;
  inode->stat.print.mtime_ns = inode->stat.print.ctime_ns = now_ns;
}

void MemoryTree::flip(Id id, std::uint64_t offset) {
  Inode* inode = edit(id);
  if (inode == nullptr || offset >= inode->bytes->size()) return;
  char& byte = own_bytes(*inode)[offset];
  byte = static_cast<char>(byte ^ 1);
}

void MemoryTree::set_attributes(Id id, std::optional<std::uint32_t> mode,
                                std::optional<std::int64_t> mtime_ns, std::int64_t now_ns) {
  Inode* inode = edit(id);
  if (inode == nullptr) return;
  if (mode) inode->stat.mode = *mode;
  if (mtime_ns) inode->stat.print.mtime_ns = *mtime_ns;
  inode->stat.print.ctime_ns = now_ns;
}

void MemoryTree::set_owner(Id id, std::uint32_t uid, std::uint32_t gid, std::int64_t now_ns) {
  Inode* inode = edit(id);
  if (inode == nullptr) return;
  inode->stat.uid = uid;
  inode->stat.gid = gid;
  inode->stat.print.ctime_ns = now_ns;
}

void MemoryTree::set_mark(Id id, Bytes mark, std::int64_t now_ns) {
  Inode* inode = edit(id);
  if (inode == nullptr) return;
  inode->mark = std::move(mark);
  inode->stat.print.ctime_ns = now_ns;
}

void MemoryTree::unpin(Id id) {
  const auto found = pins_.find(id);
  if (found == pins_.end() || --found->second > 0) return;
  pins_.erase(found);
  drop_if_unused(id);
}

void MemoryTree::unpin_all() {
  while (!pins_.empty()) {
    pins_.begin()->second = 1;
    unpin(pins_.begin()->first);
  }
}

void MemoryTree::drop_if_unused(Id id) {
  const Inode* inode = find(id);
  if (inode == nullptr || inode->stat.links > 0 || pins_.contains(id)) return;
  bytes_ -= inode->bytes ? inode->bytes->size() : 0;
  const std::uint64_t number = inode->stat.print.inode;
  inodes_.erase(id);
  if (on_drop_) on_drop_(number);
}

}  // namespace syncline

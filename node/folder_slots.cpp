#include "node/folder_slots.h"

#include <vector>

namespace syncline {

std::shared_ptr<OpenFolder> FolderSlot::get() const {
  const std::lock_guard lock(mutex_);
  return folder_;
}

void FolderSlot::put(std::shared_ptr<OpenFolder> folder) {
  const std::lock_guard lock(mutex_);
  folder_ = std::move(folder);
}

void FolderSlots::put(FolderId folder, std::shared_ptr<FolderSlot> slot) {
  const std::lock_guard lock(mutex_);
  slots_[folder] = std::move(slot);
}

void FolderSlots::erase(FolderId folder) {
  const std::lock_guard lock(mutex_);
  slots_.erase(folder);
}

std::shared_ptr<OpenFolder> FolderSlots::get(FolderId folder) const {
  const std::lock_guard lock(mutex_);
  const auto it = slots_.find(folder);
  return it == slots_.end() ? nullptr : it->second->get();
}

Status FolderSlots::sync() const {
  std::vector<std::shared_ptr<OpenFolder>> open;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, slot] : slots_) open.push_back(slot->get());
  }
  for (const auto& folder : open) {
    if (!folder) continue;
    if (Status synced = folder->folder->sync(); !synced) return synced;
  }
  return {};
}

}  // namespace syncline

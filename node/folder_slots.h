#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "storage/file_system.h"
#include "storage/folder.h"

namespace syncline {

// A folder and the file system under it, shared with jobs under way.
struct OpenFolder {
  std::unique_ptr<FileSystem> fs;
  std::unique_ptr<Folder> folder;
};

// The folder as it is open now, or was last; null: it never was. Whoever holds it may ask after the runner has gone. Thread-safe.
class FolderSlot {
 public:
  std::shared_ptr<OpenFolder> get() const;
  void put(std::shared_ptr<OpenFolder> folder);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<OpenFolder> folder_;
};

// Those of all folders that the node has. Thread-safe.
class FolderSlots {
 public:
  void put(FolderId folder, std::shared_ptr<FolderSlot> slot);
  void erase(FolderId folder);
  std::shared_ptr<OpenFolder> get(FolderId folder) const;
  Status sync() const;  // Folder::sync() of all that are open

 private:
  mutable std::mutex mutex_;
  std::map<FolderId, std::shared_ptr<FolderSlot>> slots_;
};

}  // namespace syncline

#pragma once
#include <map>
#include <mutex>

#include "storage/folder.h"
#include "storage/folder_limbo.h"
#include "storage/folder_staging.h"

namespace syncline {

struct Folder::Impl {
  Impl(FileSystem& file_system, const HashKey& hash_key, Identity id)
      : fs(file_system), key(hash_key), identity(id), limbo(fs, key), staging(fs, key) {}

  // Allowed by the rules of names and not our own directory.
  static bool is_ours_to_touch(std::string_view path);

  FileSystem& fs;
  const HashKey key;
  const Identity identity;
  bool marks = false;  // this file system keeps them
  bool strict = false;  // sync_before_showing()
  Limbo limbo;
  Staging staging;

  struct Owner {
    std::uint32_t uid = 0, gid = 0;
  };
  // Whose a new entry of this directory is to be (only as root). Remembered for a second: directories rarely
  // change hands.
  std::optional<Owner> owner_in(std::string_view directory);

 private:
  std::mutex mutex_;
  std::string owner_directory_;
  std::optional<Owner> owner_;
  std::int64_t owner_at_ns_ = 0;
};

}  // namespace syncline

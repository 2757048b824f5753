#pragma once
#include <string>
#include <vector>

#include "node/home.h"

// HOME/folders.json: what `syncline folder add`, `pause` and `remove` have changed; read when the node starts.
namespace syncline {

// The node's folders, `first` and its settings in front. Error::invalid: one line that names the file.
Result<std::vector<HomeFolder>> load_folders(const std::string& home, const JoinFolder& first, const FolderConfig& settings);

// Whole or not at all.
Status save_folders(const std::string& home, const std::vector<HomeFolder>& folders);

// Whether `path` (absolute) can be synced by a node of this home that has these folders: a directory that may be written to, outside of
// all of them and of the home, and none of them inside. Its canonical form. Error::refused.
Result<std::string> usable_folder(const std::string& path, const std::string& home, const std::vector<HomeFolder>& folders);

}  // namespace syncline

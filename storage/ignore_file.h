#pragma once
#include <string>

#include "protocol/error.h"
#include "storage/file_system.h"

namespace syncline {

// The text of a folder's kIgnoreFile, for IgnoreRules::parse; "" where there is none or it is no file. Of one above
// limits::ignore_file_bytes a byte more than that. The error of the disk otherwise: then the rules are not known.
Result<std::string> read_ignore_file(FileSystem& fs);

}  // namespace syncline

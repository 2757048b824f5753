#pragma once
#include <functional>
#include <string>

#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// Reads an LMDB file (0.9, 64 bits, little-endian) without LMDB and checks everything that LMDB takes on
// trust: that the trees of the newest meta page are trees, every page is used once or free and not both, keys
// ascend and lie where a search would look for them, and every value of a named database satisfies
// `value_ok`. Nothing may have the file open for writing. Error::invalid: it is damaged, the message says
// how. A missing or empty file is fine. The message names no path.
Status check_lmdb_file(const std::string& path,
                       const std::function<bool(BytesView key, BytesView value)>& value_ok);

}  // namespace syncline

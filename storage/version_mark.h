#pragma once
#include <optional>
#include <string_view>

#include "protocol/content_hash.h"
#include "protocol/hlc.h"
#include "protocol/record.h"

namespace syncline {

// What is written on a file or directory as an apply makes it (File::set_mark; FORMAT.md, "Marks"): after a power loss the index may have
// forgotten that it did. Read only then.
struct VersionMark {
  Dot dot;  // whose version it is; zero: a directory made only to hold children
  Hlc hlc;
  bool whole = false;      // its bytes are those of that version
  bool untouched = false;  // mode and mtime are: nobody has written to it since
};

// Fits beside the inode of ext4 (57 bytes).
Bytes encode_mark(const HashKey& key, std::string_view path, const Dot& dot, Hlc hlc, const Content& content);
// nullopt: it is no mark, or that of another path (a copy that an application made).
std::optional<VersionMark> decode_mark(const HashKey& key, std::string_view path, BytesView mark, const Content& found);

}  // namespace syncline

#include "protocol/delta_source.h"

#include <algorithm>
#include <cassert>

namespace syncline {

static constexpr std::size_t kReadAheadBytes = 1024 * 1024;

Status read_exactly(const ReadAt& read, std::uint64_t offset, std::span<char> into) {
  while (!into.empty()) {
    const Result<std::size_t> got = read(offset, into);
    if (!got) return tl::unexpected<Error>(got.error());
    assert(*got <= into.size());
    if (*got == 0) return fail(Error::Code::busy, "the file became shorter while it was read");
    offset += *got;
    into = into.subspan(*got);
  }
  return {};
}

const char* SourceWindow::at(std::uint64_t offset, std::size_t bytes) {
  assert(offset <= source_.bytes && bytes <= source_.bytes - offset);
  if (source_.view.data() != nullptr) return source_.view.data() + offset;
  const bool held = offset >= first_ && offset - first_ + bytes <= buffer_.size();
  if (!held && !slide(offset, bytes)) return nullptr;
  return buffer_.data() + (offset - first_);
}

bool SourceWindow::slide(std::uint64_t offset, std::size_t bytes) {
  if (error_) return false;
  const bool overlaps = offset >= first_ && offset - first_ < buffer_.size();
  buffer_.erase(0, overlaps ? static_cast<std::size_t>(offset - first_) : buffer_.size());
  first_ = offset;
  const std::size_t kept = buffer_.size();
  const std::uint64_t wanted = std::max<std::uint64_t>(bytes, kReadAheadBytes);
  buffer_.resize(static_cast<std::size_t>(std::min(wanted, source_.bytes - offset)));
  const Status status = read_exactly(source_.read, offset + kept, std::span(buffer_).subspan(kept));
  if (!status) error_ = status.error(), buffer_.clear();
  return status.has_value();
}

}  // namespace syncline

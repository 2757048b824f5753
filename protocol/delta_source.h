#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// Reads up to into.size() bytes at `offset` and returns how many: fewer are allowed, 0 only at the end. With
// more than one lane (DeltaOptions) it is called from several threads at once, as pread allows.
using ReadAt = std::function<Result<std::size_t>(std::uint64_t offset, std::span<char> into)>;

// Content that may be far larger than memory. Where `view` is set it is the whole content and `read` is not
// used: a mapping is scanned without a copy. Content that changes meanwhile makes a wrong delta, which the
// receiver's hash refuses.
struct DeltaSource {
  std::uint64_t bytes = 0;
  BytesView view;
  ReadAt read;

  static DeltaSource of(BytesView content) { return {content.size(), content, nullptr}; }
  static DeltaSource from(std::uint64_t bytes, ReadAt read) { return {bytes, {}, std::move(read)}; }
};

// Fills `into` or fails; content that ends early is Error busy (somebody truncated it).
Status read_exactly(const ReadAt& read, std::uint64_t offset, std::span<char> into);

// A window that slides over a source, mostly forward, with a bounded buffer. One thread.
class SourceWindow {
 public:
  explicit SourceWindow(const DeltaSource& source) : source_(source) {}

  // The bytes [offset, offset + bytes), which must lie inside the source; valid until the next call. nullptr
  // once a read has failed, for good: error() says why.
  const char* at(std::uint64_t offset, std::size_t bytes);
  const std::optional<Error>& error() const { return error_; }

 private:
  bool slide(std::uint64_t offset, std::size_t bytes);

  const DeltaSource& source_;
  Bytes buffer_;  // the bytes from first_ on
  std::uint64_t first_ = 0;
  std::optional<Error> error_;
};

}  // namespace syncline

#include "tests/scale/shared_kv.h"

#include <algorithm>

namespace syncline::scale {
namespace {

Image::const_iterator lower_bound(const Image& image, BytesView key) {
  return std::lower_bound(image.begin(), image.end(), key,
                          [](const auto& item, BytesView k) { return BytesView(item.first) < k; });
}

// A stretch of the image, as merge_over() reads it.
struct Stretch {
  Image::const_iterator at, end;
  const std::pair<Bytes, Bytes>* peek() const { return at == end ? nullptr : &*at; }
  void next() { ++at; }
};

}  // namespace

std::optional<Bytes> SharedKv::get(BytesView key) {
  if (const auto it = changed_.find(key); it != changed_.end()) return it->second;
  const auto it = lower_bound(*base_, key);
  return it == base_->end() || it->first != key ? std::nullopt : std::optional(it->second);
}

KvItems SharedKv::range(BytesView first, BytesView last, std::size_t max_items) {
  if (!last.empty() && last <= first) return {};
  Stretch below{lower_bound(*base_, first), last.empty() ? base_->end() : lower_bound(*base_, last)};
  return merge_over(std::as_const(changed_).lower_bound(first), range_end(changed_, last), below, max_items);
}

Status SharedKv::apply(KvBatch batch) {
  if (damaged_) return fail(Error::Code::invalid, "the index was misread");
  for (auto& [key, value] : batch) changed_.insert_or_assign(std::move(key), std::move(value));
  ++applied_;
  return {};
}

}  // namespace syncline::scale

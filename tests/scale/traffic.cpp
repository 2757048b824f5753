#include "tests/scale/traffic.h"

#include <algorithm>

namespace syncline::scale {
namespace {

constexpr std::uint8_t kPacked = 0;

std::uint64_t contents_in(const Message& message) {
  if (const auto* piece = std::get_if<Piece>(&message)) return piece->bytes.size();
  std::uint64_t out = 0;
  if (const auto* entries = std::get_if<Entries>(&message)) {
    for (const auto& item : entries->items) out += item.attachment ? item.attachment->bytes.size() : 0;
  }
  return out;
}

}  // namespace

void Traffic::add(BytesView bytes) {
  auto type =
      bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes.front());  // PROTOCOL.md, "Messages"
  if (type == kPacked || type == kind_of<Entries>() + 1 || type == kind_of<Piece>() + 1) {
    const auto message = decode(bytes);
    if (!message) return;
    type = static_cast<std::uint8_t>(message->index() + 1);
    contents_bytes += std::min<std::uint64_t>(contents_in(*message), bytes.size());
  }
  kinds.at(type - 1u).messages += 1;
  kinds.at(type - 1u).bytes += bytes.size();
}

Traffic::Count Traffic::all() const {
  Count out;
  for (const Count& c : kinds) out.messages += c.messages, out.bytes += c.bytes;
  return out;
}

Traffic::Count Traffic::but_digests() const {
  Count out = all();
  const Count& digests = kinds[kind_of<Digest>()];
  out.messages -= digests.messages, out.bytes -= digests.bytes;
  return out;
}

}  // namespace syncline::scale

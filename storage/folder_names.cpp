#include "storage/folder_names.h"

#include <fmt/format.h>

#include <charconv>

#include "protocol/limits.h"

namespace syncline::folder_names {

std::string staged(const Hash128& hash) { return fmt::format("{}/{}", kStaging, to_hex(hash)); }
std::string part(const Hash128& hash) { return fmt::format("{}/{}.part", kStaging, to_hex(hash)); }
std::string progress(const Hash128& hash) { return fmt::format("{}/{}.have", kStaging, to_hex(hash)); }
std::string version(const Hash128& hash) { return fmt::format("{}/{}", kVersions, to_hex(hash)); }
std::string late(const Hash128& tag) { return fmt::format("{}/{}.late", kStaging, to_hex(tag)); }
std::string building_directory(unsigned i) { return fmt::format("{}/{:x}", kStaging, i); }
std::string building(std::uint64_t n) {
  return fmt::format("{}/{:x}/new-{:x}", kStaging, n % kBuildingDirectories, n);
}

// A path as part of a name: '/' and '%' as %2f and %25.
static std::string escape(std::string_view path) {
  std::string out;
  for (const char byte : path) {
    if (byte == '/') {
      out += "%2f";
    } else if (byte == '%') {
      out += "%25";
    } else {
      out += byte;
    }
  }
  return out;
}

static std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool slash = text.starts_with("%2f");
    const bool escaped = slash || text.starts_with("%25");
    out += slash ? '/' : text.front();
    text.remove_prefix(escaped ? 3 : 1);
  }
  return out;
}

std::string swap(const Swap& swap) {
  const std::string name = fmt::format("swap-{:x}-{}-{:x}-{}-{}-", swap.n, swap.keep_old ? 'k' : 'd',
                                       swap.new_inode, to_hex(swap.new_hash), to_hex(swap.old_hash));
  const std::string path = escape(swap.path);
  return fmt::format("{}/{}{}", kStaging, name, name.size() + path.size() <= limits::name_bytes ? path : "");
}

std::optional<Hash128> parse_hash(std::string_view hex) {
  const auto raw = from_hex(hex);
  if (!raw || raw->size() != Hash128::size) return std::nullopt;
  return Hash128::from(*raw);
}

namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The text up to the next '-', which is taken off `rest`.
std::string_view next_field(std::string_view& rest) {
  const std::size_t dash = rest.find('-');
  const std::string_view field = rest.substr(0, dash);
  rest.remove_prefix(dash == std::string_view::npos ? rest.size() : dash + 1);
  return field;
}

std::optional<Found> parse_swap(std::string_view rest) {
  const auto n = parse_number(next_field(rest));
  const std::string_view keep = next_field(rest);
  const auto inode = parse_number(next_field(rest));
  const auto new_hash = parse_hash(next_field(rest));
  const auto old_hash = parse_hash(next_field(rest));
  if (!n || (keep != "k" && keep != "d") || !inode || !new_hash || !old_hash) return std::nullopt;
  return Found{Found::What::swap, {}, {*n, keep == "k", *inode, *new_hash, *old_hash, unescape(rest)}};
}

}  // namespace

std::optional<Found> parse(std::string_view name) {
  using What = Found::What;
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  if (name.starts_with("new-")) {
    const auto n = parse_number(name.substr(4));
    if (!n) return std::nullopt;
    return Found{What::building, {}, {*n, false, 0, {}, {}, {}}};
  }
  if (name.starts_with("swap-")) return parse_swap(name.substr(5));
  const auto hash = parse_hash(name.substr(0, name.find('.')));
  if (!hash) return std::nullopt;
  const std::string_view suffix = name.substr(2 * Hash128::size);
  if (suffix.empty()) return Found{What::staged, *hash, {}};
  if (suffix == ".part") return Found{What::part, *hash, {}};
  if (suffix == ".have") return Found{What::progress, *hash, {}};
  if (suffix == ".late") return Found{What::late, *hash, {}};
  return std::nullopt;
}

}  // namespace syncline::folder_names

#include "protocol/record.h"

#include "protocol/limits.h"

namespace syncline {

bool worth_a_conflict(const Content& winner, const Content& loser) {
  if (loser.kind != Kind::file && loser.kind != Kind::symlink) return false;
  if (loser.kind != winner.kind) return true;
  if (loser.kind == Kind::symlink) return loser.target != winner.target;
  return loser.hash != winner.hash || loser.size != winner.size || loser.mode != winner.mode;
}

bool is_canonical_path(std::string_view path) {
  if (path == kRootPath) return true;
  if (path.empty() || path.size() > limits::path_bytes) return false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.size() > limits::name_bytes) return false;
    if (name.find('\0') != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string_view parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

}  // namespace syncline

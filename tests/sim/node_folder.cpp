// How a node does without the folder for a while: `syncline folder remove`, and add (node/daemon_folders.cpp).
#include <fmt/format.h>

#include "tests/sim/node.h"

namespace syncline::sim {

namespace {
constexpr std::uint64_t kBusyUs = 100'000;
constexpr std::uint32_t kSite = 33;
}  // namespace

// It knows all that is there, and of all that is not there any more.
bool Node::has_seen_all() const {
  const Tree tree = read_tree(*disk_, world_.history);
  for (const auto& [path, shown] : tree) {
    const auto entry = process_->index->get(1, path);
    if (!entry || !entry->disk || !entry->disk->state.present() || !is_told(path, shown.state)) return false;
  }
  for (const auto& [path, entry] : process_->index->below(1, "", "", SIZE_MAX)) {
    if (path != kRootPath && entry.disk && entry.disk->state.present() && !tree.contains(path)) return false;
  }
  return true;
}

void Node::give_up() {
  if (!linkable() || given_up_ || process_->paused || leaving_ || mode_ != FolderMode::send_receive || application_->holds_any() || !has_seen_all()) return;
  world_.trace(name_ + " gives the folder up");
  given_up_ = true, forgotten_ = false;
  world_.history.set_away(number_, true);
  process_->replica->remove_folder(1, now());
  feed(Tick{});
  if (process_) forget_folder();
}

// Once what was under way has ended.
void Node::forget_folder() {
  if (process_->replica->is_busy(1) || process_->under_way > 0) return later(kBusyUs, [this] { forget_folder(); });
  std::string after;
  do after = process_->replica->forget_disk(1, after);
  while (!after.empty());
  forgotten_ = true;
  left_ = read_tree(*disk_, world_.history);
  left_at_ = world_.history.writes().size();
  feed(Tick{});
}

void Node::take_up() {
  if (!given_up_ || !process_ || !forgotten_ || application_->holds_any()) return;
  Tree expected = left_;
  const auto& writes = world_.history.writes();
  for (std::size_t i = left_at_; i < writes.size(); ++i) {
    if (writes[i].node != number_) continue;
    if (writes[i].after)
      expected[writes[i].path].state = *writes[i].after;
    else
      expected.erase(writes[i].path);
  }
  const Tree tree = read_tree(*disk_, world_.history);
  for (const auto& [path, shown] : tree) {
    const auto at = expected.find(path);
    if (at == expected.end() || at->second.state != shown.state)
      world_.violation("a folder given up is left alone", fmt::format("{} shows {} at {}", name_, world_.history.describe(shown.state), path));
    world_.history.imaged_untold(path, shown.state);
  }
  for (const auto& [path, shown] : expected) {
    if (!tree.contains(path)) world_.violation("a folder given up is left alone", fmt::format("{} lacks {}", name_, path));
  }
  auto folder = Folder::open(*disk_, world_.hash_key, folder_identity());
  if (!folder) return;
  world_.trace(name_ + " takes the folder up");
  given_up_ = false;
  world_.history.set_away(number_, false);
  process_->folder = std::move(*folder);
  process_->replica->add_folder(1, mode_, now());
  feed(Tick{});
  if (process_) clean();
  if (process_) read_rules(true);
  if (process_) first_scan();
}

std::vector<std::string> Node::given_away() {
  std::vector<std::string> out;
  for (const auto& [path, shown] : read_tree(*disk_, world_.history)) {
    // Killed between making a directory for what is in it and giving it away, the node does not come back to that (ARCHITECTURE.md, Known to fail).
    if (shown.state.type == FileType::directory && world_.stats.crashes > 0) continue;
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos && disk_->app_stat(path.substr(0, slash))->uid != kSite) continue;  // as its directory
    if (world_.weather.owners != 0 && disk_->app_stat(path)->uid != kSite) out.push_back(path);
  }
  return out;
}

void Node::set_owners() {
  if (world_.weather.owners != 0) disk_->owned_by(kSite);
}

}  // namespace syncline::sim

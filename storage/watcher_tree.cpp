#include "storage/watcher_tree.h"

#include <algorithm>
#include <cassert>

namespace syncline {

WatchTree::WatchTree() : nodes_(1), places_(16, Hash{&nodes_}, Equal{&nodes_}) {}

std::size_t WatchTree::Hash::operator()(const Place& place) const {
  return std::hash<std::string_view>{}(place.name) ^ (std::size_t{place.parent} * 0x9e3779b97f4a7c15u);
}

WatchTree::Id WatchTree::find(Id parent, std::string_view name) const {
  const auto found = places_.find(Place{parent, name});
  return found == places_.end() ? none : *found;
}

WatchTree::Id WatchTree::find_watch(int watch) const {
  const auto found = watches_.find(watch);
  return found == watches_.end() ? none : found->second;
}

std::string WatchTree::path(Id id) const {
  std::vector<Id> up;
  for (Id at = id; at != root; at = nodes_[at].parent) up.push_back(at);
  std::string out;
  for (auto at = up.rbegin(); at != up.rend(); ++at) {
    if (!out.empty()) out += '/';
    out += nodes_[*at].name;
  }
  return out;
}

bool WatchTree::is_below(Id id, Id ancestor) const {
  for (Id at = id; at != none; at = nodes_[at].parent) {
    if (at == ancestor) return true;
  }
  return false;
}

void WatchTree::link(Id id, Id parent, std::string_view name) {
  assert(find(parent, name) == none);
  Node& node = nodes_[id];
  node.parent = parent;
  node.name = name;
  node.previous = none;
  node.next = nodes_[parent].first_child;
  if (node.next != none) nodes_[node.next].previous = id;
  nodes_[parent].first_child = id;
  places_.insert(id);
}

void WatchTree::unlink(Id id) {
  places_.erase(id);
  Node& node = nodes_[id];
  (node.previous == none ? nodes_[node.parent].first_child : nodes_[node.previous].next) = node.next;
  if (node.next != none) nodes_[node.next].previous = node.previous;
}

WatchTree::Id WatchTree::add(Id parent, std::string_view name) {
  Id id;
  if (free_.empty()) {
    id = static_cast<Id>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  link(id, parent, name);
  return id;
}

void WatchTree::move(Id id, Id parent, std::string_view name) {
  assert(id != root && !is_below(parent, id));
  unlink(id);
  link(id, parent, name);
}

void WatchTree::release(Id id) {
  set_watch(id, -1);
  set_walk(id, Walk::none);
  set_unwatchable(id, false);
  nodes_[id] = Node{};
  free_.push_back(id);
}

void WatchTree::remove(Id id, const std::function<void(Id, int)>& each) {
  assert(id != root);
  unlink(id);
  std::vector<Id> doomed{id};
  while (!doomed.empty()) {
    const Id at = doomed.back();
    doomed.pop_back();
    for (Id child = nodes_[at].first_child; child != none; child = nodes_[child].next) {
      places_.erase(child);
      doomed.push_back(child);
    }
    each(at, nodes_[at].watch);
    release(at);
  }
}

void WatchTree::set_watch(Id id, int watch) {
  Node& node = nodes_[id];
  if (node.watch >= 0) watches_.erase(node.watch);
  node.watch = watch;
  if (watch >= 0) watches_[watch] = id;
}

void WatchTree::set_walk(Id id, Walk walk) {
  Node& node = nodes_[id];
  if (node.walk == Walk::initial) --initial_walks_;
  node.walk = walk;
  if (walk == Walk::initial) ++initial_walks_;
}

void WatchTree::set_unwatchable(Id id, bool unwatchable) {
  Node& node = nodes_[id];
  if (node.unwatchable == unwatchable) return;
  node.unwatchable = unwatchable;
  unwatchable ? ++unwatchable_ : --unwatchable_;
}

}  // namespace syncline

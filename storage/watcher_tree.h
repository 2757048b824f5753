#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace syncline {

// The directories of a watched folder: parent and name each, no paths, so that the rename of a directory is
// one step however much is below it, and 50,000 directories are some 8 MiB. Knows nothing of the operating
// system. One thread.
class WatchTree {
 public:
  using Id = std::uint32_t;
  static constexpr Id root = 0;
  static constexpr Id none = UINT32_MAX;

  // What is still to be listed: nothing; the directory at start-up; it and all below it after events were
  // lost; a directory that is new to the watcher. A greater one replaces a lesser.
  enum class Walk : std::uint8_t { none, initial, again, fresh };

  struct Node {
    Id parent = none;
    Id first_child = none, previous = none, next = none;  // siblings are a list
    int watch = -1;                                       // the kernel's descriptor, -1 = not watched
    std::uint32_t seen = 0;                               // the number of the listing that met it last
    Walk walk = Walk::none;
    bool unwatchable = false;
    std::string name;
  };

  WatchTree();
  const Node& node(Id id) const { return nodes_[id]; }
  Id find(Id parent, std::string_view name) const;
  Id find_watch(int watch) const;
  std::string path(Id id) const;
  bool is_below(Id id, Id ancestor) const;  // true also for ancestor itself
  std::uint64_t watched() const { return watches_.size(); }
  std::uint64_t unwatchable() const { return unwatchable_; }
  std::uint64_t initial_walks() const { return initial_walks_; }

  // The place must be free.
  Id add(Id parent, std::string_view name);
  // The place must be free, and not below `id`.
  void move(Id id, Id parent, std::string_view name);
  // With all below it; `each` hears every descriptor that is no longer needed. Not for the root.
  void remove(Id id, const std::function<void(Id, int watch)>& each);
  void set_watch(Id id, int watch);  // -1 to forget it
  void set_walk(Id id, Walk walk);
  void set_seen(Id id, std::uint32_t listing) { nodes_[id].seen = listing; }
  void set_unwatchable(Id id, bool unwatchable);

 private:
  struct Place {
    Id parent;
    std::string_view name;
  };
  struct Hash {
    using is_transparent = void;
    const std::vector<Node>* nodes;
    std::size_t operator()(const Place& place) const;
    std::size_t operator()(Id id) const { return (*this)(Place{(*nodes)[id].parent, (*nodes)[id].name}); }
  };
  struct Equal {
    using is_transparent = void;
    const std::vector<Node>* nodes;
    bool operator()(Id a, Id b) const { return a == b; }
    bool operator()(const Place& place, Id id) const {
      return place.parent == (*nodes)[id].parent && place.name == (*nodes)[id].name;
    }
    bool operator()(Id id, const Place& place) const { return (*this)(place, id); }
  };

  WatchTree(const WatchTree&) = delete;  // the hash looks into nodes_
  void link(Id id, Id parent, std::string_view name);
  void unlink(Id id);
  void release(Id id);

  std::vector<Node> nodes_;
  std::vector<Id> free_;
  std::unordered_set<Id, Hash, Equal> places_;
  std::unordered_map<int, Id> watches_;
  std::uint64_t unwatchable_ = 0;
  std::uint64_t initial_walks_ = 0;
};

}  // namespace syncline

#pragma once
#include <memory>

#include "storage/disk_state.h"
#include "tests/scale/shared_kv.h"

// A tree that nobody has on a disk: what is known of it follows from names and numbers.
namespace syncline::scale {

inline constexpr std::uint64_t kEpochMs = 1'700'000'000'000;  // of the simulation; the tree is older
inline constexpr std::uint64_t kFileBytes = 4096;
inline constexpr std::size_t kFilesPerDirectory = 1000;

NodeId node_id(std::size_t node);
ActorId actor_id(std::size_t node,
                 std::size_t start);  // the one that the node takes at that start, from 0 on
std::string file_path(std::size_t number);

DiskState file_on_disk(const std::string& path, std::uint64_t version, std::uint64_t size = kFileBytes);
DiskState directory_on_disk();
// Bytes that do not shrink, a function of the hash. They do not have it: nobody looks.
Bytes content_of(const Hash128& hash, std::uint64_t offset, std::size_t size);

// The index of a node that has `records` files and directories, written in turn by all actors that `nodes`
// nodes took at `starts` starts each.
std::shared_ptr<const Image> make_image(std::size_t records, std::size_t nodes, std::size_t starts);

}  // namespace syncline::scale

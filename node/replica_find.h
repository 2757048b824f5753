#pragma once
// Fetch on miss, as the replica keeps it (replica_find.cpp): who is looked for, who was asked, what was found
// nowhere.
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "node/path_key.h"
#include "node/replica.h"
#include "protocol/messages.h"

namespace syncline {

namespace tuning {
inline constexpr std::size_t finds_max = 256;  // of this node's readers, those in the second row included
// Above what others may have asked of a peer, so that what a reader waits for is never behind them. Both
// together stay below what the daemon keeps for a full lane.
inline constexpr std::size_t sought_credit_bytes = 2 << 20;
inline constexpr std::size_t questions_max = 4096;  // of peers, waiting for a look at the disk
inline constexpr std::size_t misses_max = 4096;     // paths found nowhere lately
inline constexpr std::uint64_t miss_ms = 1000;      // how lately
// Of one path within that time; the next reader gets the answer from memory. Not the first one: who looks
// whether a name is taken, uploads to it and reads it back must not be told what was true before.
inline constexpr unsigned misses_asked = 8;
}  // namespace tuning

// A path that readers wait for. At most two of one path at a time: the one whose questions are out, and
// behind it one that all who came since share. An answer speaks of the moment at which it was given: whoever
// came later must not be told it.
struct Find {
  PathKey path{};
  FindView::State state = FindView::State::under_way;
  std::vector<NodeId> members{};  // the joined ones, this node left out
  bool second_row = false;
  bool looking = false;        // on this disk: an answer may be on its way
  bool asked = false;          // the members: the same
  bool hastened = false;       // the path's work was begun out of its turn
  std::set<NodeId> waiting{};  // no answer yet; this node itself until it has looked at its disk
  std::set<NodeId> silent{};   // could not be asked, or cannot say
  std::vector<Dot> told{};     // live versions that others have
  std::uint64_t lookup_until_ms = 0, until_ms = 0;
};

// Who wants to know what is on this node's disk.
struct DiskQuestion {
  NodeId peer{};  // zero: a find of this node's
  std::uint64_t id = 0;
};

struct Finds {
  std::map<std::uint64_t, Find> all;
  std::map<PathKey, std::uint64_t> first_row, second_row;
  std::uint64_t next_id = 1;

  // Looks at the disk, one of a path at a time; `later` came while it was under way and wants another.
  struct Looking {
    std::vector<DiskQuestion> now, later;
  };
  std::map<PathKey, Looking> looks;
  std::size_t questions = 0;  // of peers, in there
  struct Reply {
    NodeId peer;
    LookupAnswer message;
  };
  std::vector<Reply> replies;  // of this step: they leave after what it has written

  struct Miss {
    std::uint64_t since_ms = 0;
    unsigned count = 0;
  };
  std::map<PathKey, Miss> misses;
};

}  // namespace syncline

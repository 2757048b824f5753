#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

// The states in which a loss of power may leave a disk, in the manner of ALICE (Pillai et al., OSDI 2014): what was done to it is
// recorded, and of what no sync had made durable any part that the rules of file systems allow is taken away.
namespace syncline::crash {

inline constexpr std::uint64_t kSectorBytes = 512;  // a disk writes this much whole or not at all

// An object within which operations keep their order: a directory, or the metadata of one file.
using ChainId = std::uint64_t;
using FileId = std::uint64_t;

// One entry of a recording.
struct Operation {
  enum class Kind : std::uint8_t {
    names,  // of directories, and metadata: kept whole or lost whole, in the order of each of its chains
    data,   // content of one file: kept, lost, or torn between sectors, in any order
    sync,   // a barrier
    note,   // nothing on this disk: something else happened here
  };
  Kind kind = Kind::note;
  std::string what;
  std::vector<ChainId> chains;         // names
  FileId file = 0;                     // data
  std::uint64_t offset = 0, size = 0;  // data
  bool all = false;                    // sync: of everything; else of `file` (0: none) and what is in `chains`
};

// What became of one operation.
struct Fate {
  enum class Kind : std::uint8_t { lost, kept, head, holes };
  Kind kind = Kind::kept;
  std::uint64_t bytes = 0;  // head: this much is kept
  std::uint64_t seed = 0;   // holes: says which sectors are kept; the file has its size all the same
  bool keeps_sector(std::uint64_t sector) const;
};

// The disk after a crash right before operation `instant`: the fates of those before it.
struct CrashState {
  std::size_t instant = 0;
  std::vector<Fate> fates;
  std::string describe(const std::vector<Operation>& recording) const;
};

struct Bounds {
  std::uint64_t seed = 1;
  unsigned random_states = 8;  // an instant, beside those that are taken one after the other
};

// Calls `visit` for every instant of the recording with: everything kept; all data lost; everything lost that may be; each content
// lost or torn alone; each name lost alone (with what comes after it in its chains); each name kept alone (with what comes before
// it); some random ones. No state twice for one instant. Returns how many there were.
std::size_t for_each_crash(const std::vector<Operation>& recording, const Bounds& bounds,
                           const std::function<void(const CrashState&)>& visit);

// The parts of a write that are kept, in order: (offset into the data, size).
std::vector<std::pair<std::uint64_t, std::uint64_t>> kept_parts(const Operation& write, const Fate& fate);

}  // namespace syncline::crash

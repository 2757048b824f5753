#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/control_text.h"
#include "protocol/ids.h"

// What a node tells about itself: `syncline status`, GET /v1/status, GET /metrics. Plain data.
namespace syncline {

struct PeerStatus {
  std::string name;
  NodeId id;
  std::string address;  // where it is reached now, or is dialled
  bool linked = false;
  bool ready = false;        // it says that it has caught up
  std::uint64_t behind = 0;  // log entries that this node has and the peer, as far as we know, lacks
  std::uint32_t rtt_us = 0;
  std::uint64_t sent_bytes = 0;  // UDP payloads, since this node started
  std::uint64_t received_bytes = 0;
  std::uint64_t since_seconds = 0;  // linked, or not linked, for so long
  bool operator==(const PeerStatus&) const = default;
};

// Whether readers may be sent to a node: the first two say yes.
enum class NodeState : std::uint8_t { ready, draining, drained, starting, catching_up, cut_off, stopped, paused };

// paused: by `syncline folder pause`; elsewhere: the cluster has it, this node does not.
enum class FolderState : std::uint8_t { ok, scanning, catching_up, stopped, paused, elsewhere };

// A path that is not as the cluster has it, and is not to be.
struct HeldStatus {
  std::string path;
  bool here = false;  // changed on this node and not published; else changed elsewhere and not taken over
  bool operator==(const HeldStatus&) const = default;
};

struct FolderStatus {
  std::string name;
  std::string path;
  FolderState state = FolderState::ok;
  std::string reason;       // of any state but ok
  std::uint64_t files = 0;  // live, as the index has them
  std::uint64_t bytes = 0;
  std::uint64_t directories = 0;
  std::uint64_t pending = 0;    // versions known but not yet visible here
  std::uint64_t conflicts = 0;  // open
  std::uint64_t behind_seconds = 0;  // how long the oldest pending one has been, large files left out
  std::string mode{};           // send-receive, receive-only, send-only
  std::uint64_t rules = 0;      // of .synclineignore
  std::uint64_t unpublished = 0, unapplied = 0;  // paths changed here, elsewhere, that the mode keeps back
  std::vector<HeldStatus> held{};                // of these, at most limits::status_held
  bool operator==(const FolderStatus&) const = default;
};

struct TransferStatus {
  std::string folder;
  std::string path;
  std::uint64_t size = 0;
  std::uint64_t done = 0;
  std::uint64_t rate_bytes_s = 0;
  std::string peer;  // name of the one it comes from
  bool operator==(const TransferStatus&) const = default;
};

// Something an administrator should look at. Sync goes on around it.
struct ProblemStatus {
  std::string folder;   // empty: the node itself
  std::string path;     // empty: the folder itself
  std::string problem;  // one line
  WallTime since;
  bool operator==(const ProblemStatus&) const = default;
};

struct StatusTotals {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t pending = 0;
  std::uint64_t sent_bytes = 0;  // all links, closed ones included, since this node started
  std::uint64_t received_bytes = 0;
  std::uint64_t problems = 0;  // including those that the list leaves out
  bool operator==(const StatusTotals&) const = default;
};

struct StatusReply {
  std::string node;  // its name
  NodeId id;
  ClusterId cluster;
  std::string version;  // of the program
  bool ready = false;
  NodeState state = NodeState::starting;
  std::string reason;     // of any state but ready
  bool healthy = true;
  std::string unhealthy;  // why not
  std::string listen;  // really bound
  std::string http;    // really bound
  WallTime now;        // this node's clock
  std::uint64_t uptime_seconds = 0;
  std::vector<PeerStatus> peers;
  std::vector<FolderStatus> folders;
  std::vector<std::string> elsewhere;     // names of the cluster's folders that this node does not have
  std::vector<TransferStatus> transfers;  // at most limits::status_transfers
  std::vector<ProblemStatus> problems;    // at most limits::status_problems
  StatusTotals totals;
  bool operator==(const StatusReply&) const = default;
};

}  // namespace syncline

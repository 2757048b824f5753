#include "protocol/merge.h"

#include "protocol/planted_fault.h"

namespace syncline {

static bool wins(const Record& incoming, const Record& live) {
  if (planted(Fault::arrival_decides)) return true;
  if (planted(Fault::tie_not_broken)) return incoming.hlc > live.hlc;
  if (planted(Fault::mtime_decides) && incoming.content.mtime_ns != live.content.mtime_ns)
    return incoming.content.mtime_ns > live.content.mtime_ns;
  return newer(incoming, live);
}

Merged merge(const Record& live, const Record& incoming) {
  if (live.dot == incoming.dot) return {};
  const bool incoming_wins = wins(incoming, live);
  const Record& winner = incoming_wins ? incoming : live;
  const Record& loser = incoming_wins ? live : incoming;
  const bool seen = winner.context.covers(loser.dot) && !planted(Fault::dominated_listed);
  const bool listed = !seen && worth_a_conflict(winner.content, loser.content) && !planted(Fault::loser_never_listed);
  return {.incoming_wins = incoming_wins, .loser_unseen = listed};
}

}  // namespace syncline

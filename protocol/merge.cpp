#include "protocol/merge.h"

namespace syncline {

Merged merge(const Record& live, const Record& incoming) {
  if (live.dot == incoming.dot) return {};
  const bool incoming_wins = newer(incoming, live);
  const Record& winner = incoming_wins ? incoming : live;
  const Record& loser = incoming_wins ? live : incoming;
  const bool seen = winner.context.covers(loser.dot);
  return {.incoming_wins = incoming_wins, .loser_unseen = !seen && worth_a_conflict(winner.content, loser.content)};
}

}  // namespace syncline

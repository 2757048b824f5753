#pragma once
#include <cstdint>

namespace syncline {

// Faults that the simulator's checkers must find (tests/sim/fault_test.cpp): proof that they bite. Each is one
// thing that this program does right, done wrong. They exist only where SYNCLINE_PLANTED_FAULTS is defined, in
// one test's own copy of the sources concerned; everywhere else planted() is false when it is compiled.
enum class Fault : std::uint8_t {
  none,
  // which version wins, and what becomes of the other
  tie_not_broken,      // of two versions of one time the first to come stays
  arrival_decides,     // the last to come wins
  mtime_decides,       // file times are taken for the clock
  clock_behind_seen,   // a write may get an earlier time than what it overwrites
  context_forgotten,   // a write does not say what its writer had seen
  dominated_listed,    // a version is listed though its successor's writer had seen it
  loser_never_listed,  // a version that loses unseen is forgotten
  loser_bytes_lost,    // it is listed, but nobody keeps its bytes
  resolution_undone,   // of two states of a conflict the last to come stands
  // what nodes tell each other
  dot_used_again,         // two versions of one actor get the same number
  counter_restored,       // an actor lives as long as its index: a crash or a backup sets its counter back
  gap_skipped,            // what comes after a gap in a log is taken for its next part
  vector_before_records,  // a claim is committed before what it claims
  tombstone_dropped,      // a tombstone is forgotten as soon as it is carried out here
  retry_forgotten,        // what could not be done is not tried again
  credit_ignored,         // a peer is asked for everything at once
  rescan_publishes,       // a file found as it was becomes a version
  // what nodes answer when they are asked
  silence_is_no,       // a member that could not be asked counts as one without the file
  known_is_had,        // a member that knows of a version counts as one that shows it
  durable_at_once,     // what is shown counts as durable
  records_are_enough,  // who knows of all versions counts as one that has all bytes
  members_miscounted,  // who is linked is counted once, whoever becomes a member later
  departed_is_ready,   // who has left takes readers
  // what is damaged
  rot_published,      // bytes that nobody wrote are taken for somebody's work
  rot_passed_over,    // a rotten file passes for whole
  repair_forgotten,   // what was found damaged is not brought again
  owner_forgotten,    // what an apply makes stays the node's own
  // what is held back
  receiver_publishes,  // a folder that only receives publishes what is changed in it
  sender_takes_over,   // one that only sends takes over what others wrote
  ignored_is_synced,   // rules are read and not followed
  // the folder
  not_looked_again,        // what came out of an exchange is taken for what was expected
  limbo_skipped,           // a replaced file is removed though somebody may still write to it
  directory_emptied,       // a directory deleted elsewhere takes along what was put into it here
  half_written_published,  // a file is read while an application writes it
  base_not_compared,       // a delta is put on whatever is there, and the result believed
};

#ifdef SYNCLINE_PLANTED_FAULTS
inline Fault planted_fault = Fault::none;
inline bool planted(Fault fault) { return planted_fault == fault; }
#else
constexpr bool planted(Fault) { return false; }
#endif

}  // namespace syncline

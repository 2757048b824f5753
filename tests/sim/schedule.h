#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/error.h"

// What happens to the cluster from outside: applications, faults, administrators. A schedule is made from a
// seed, or read from a text file (tests/sim/scenarios/*.txt); either way it prints as text, one step a line:
//   <at ms> <node> <verb> <operands>          e.g.   1200 n1 rename a b
namespace syncline::sim {

enum class Verb : std::uint8_t {
  // the application on a node
  write,    // PATH SIZE    truncates and writes new content in place
  put,      // PATH TEXT    the same with a given content (TEXT: one word)
  save,     // PATH SIZE    writes PATH.new and renames it over
  append,   // PATH SIZE
  patch,    // PATH         overwrites some bytes
  sneak,    // PATH         the same, and sets the mtime back
  hold,     // PATH MS      writes a half, writes the rest and closes after MS
  linger,   // PATH MS      opens it, appends and closes after MS
  chmod,    // PATH MODE    octal
  touch,    // PATH
  remove,   // PATH         with everything below it
  mkdir,    // PATH         with its parents
  symlink,  // PATH TARGET
  rename,   // PATH TO      replaces a file, not a directory
  swap,     // PATH TO      the two change places, whatever they are
  to_dir,   // PATH         a file becomes a directory with a file in it
  to_file,  // PATH         a directory with all in it becomes a file
  unpack,   // PATH N       that many small files in one new directory
  ignore,   // RULES        writes the folder's ignore file; a comma ends each rule ("d/,-_*.tmp,"), _ is a space
  ambush,   // MS           the next apply within MS finds an application writing in its midst
  // the administrator
  restore,  // PATH         the first conflict of PATH
  drop,     // PATH         the first conflict of PATH
  revert,   // PATH         what was changed at and below PATH (".": anywhere) in a folder that only receives
  // the world
  cut,     // PEER         nothing passes
  mute,    // PEER         nothing passes towards PEER
  mend,    // PEER
  reset,   // PEER         the link breaks and comes back
  slow,    // PEER         the link is a hundred times slower until mended
  crash,   // OPS          kill -9 after that many more file operations, or in 50 ms
  power,   // OPS          the same by power loss
  start,   //
  image,   //              a backup of the disk, with the index
  rewind,  //              the machine is set back to its image
  clone,   // PEER         the machine becomes a copy of PEER's, under its own name
  clock,   // MS           the wall clock jumps (signed)
  lose,    // MS           watch events are lost, then the watcher says so
  full,    // MS           no space
  broken,  // PATH MS      file operations that name it fail
  rescan,  //
  glitch,  // OPS          one file operation of the node fails, that many from now
  rot,     // PATH         a bit of a file flips, if another node has it whole
  leave,   //
  give_up, //              the folder, for a while
  take_up, //
  evict,   // PEER
  verify,  //              every file is read again, and what has rotted is brought again
  // what nodes are asked
  wait,     // PATH N    the barrier for what is there: 0 all, -1 a majority, else so many; 10 more: durable
  find,     // PATH      fetch on miss
  drain,    //
  resume,   //
  pause,    //           the folder
  unpause,  //
  // scenarios
  settle,     //              runs on until nothing moves any more
  expect,     // PATH TEXT    on every node that is up; "-" for absent, "/" for a directory
  shows,      // PATH TEXT    the same on this node
  conflict,   // PATH TEXT    in every such node's list, restorable
  conflicts,  // N          that many, open
};

struct Step {
  std::uint64_t at_ms = 0;  // of the schedule; a settle stops that clock
  std::size_t node = 0;
  Verb verb = Verb::write;
  std::string path;         // PATH
  std::string to;           // TO, TARGET, TEXT
  std::int64_t number = 0;  // SIZE, MS, MODE, OPS, PEER, N
};

// How the world behaves while the steps are carried out. All times are drawn evenly from 0 to the maximum
// unless said otherwise.
struct Weather {
  std::uint64_t latency_us_min = 200,
                latency_us_max = 1000;  // one way; drawn for each message, order kept within a lane
  std::uint64_t rate_bytes_ms = 100'000;
  std::uint64_t lane_bytes_max = 4 << 20;  // of the small and bulk lanes
  std::uint64_t job_us_max = 1000;         // before, and again after, the call of a job
  std::uint64_t watch_us_max = 2000;       // from a change to its observation
  std::uint64_t skew_ms_max = 0;           // of each wall clock, either way
  std::uint64_t drift_ppm_max = 0;         // either way
  std::uint64_t ambush_per_mille = 0;      // applies that find an application at work
  std::uint64_t sync_ms = 200;             // from a change to its group commit
  std::uint64_t no_leases = 0;             // 1: the disks cannot tell whether a file is open for writing
  std::uint64_t no_exchange = 0;           // 1: nor exchange two names
  std::uint64_t late_nodes = 0;            // that many, the last, join when they are started first
  std::uint64_t receive_only = 0, send_only = 0;  // the number of the node whose folder is so, from 1
  std::uint64_t modes_end = 0;             // 1: they do both in the end
  std::uint64_t owners = 0;                // 1: the nodes may give files to others, and the folders belong to the site
  std::uint64_t one_near = 0;              // 1: what others wrote is told at once to the next node only, as among many more
};

struct Schedule {
  std::uint64_t seed = 0;
  std::size_t nodes = 3;
  Weather weather;
  std::vector<Step> steps;  // ascending by at_ms
};

// Whether members pass contents on to each other: in every other schedule, where they are too large for one message.
inline bool relays_contents(const Schedule& schedule) { return schedule.seed % 2 == 1; }

Schedule make_schedule(std::uint64_t seed);
Schedule make_wide_schedule(std::uint64_t seed);  // five to seven nodes and up to 30 steps, not three to five and 70
// The same with what is rare besides: old images, copied machines, nodes that join, disks that can do less, clocks
// years behind, slow links, errors of single files.
Schedule make_rare_schedule(std::uint64_t seed);
// The same with waits, reads of what is not there, and nodes and folders out of service.
Schedule make_asking_schedule(std::uint64_t seed);
// The same with ignore rules, and nodes that only send or only receive.
Schedule make_held_schedule(std::uint64_t seed);
// The same with files that travel as deltas, and are changed in part.
Schedule make_large_schedule(std::uint64_t seed);
// The same with files that rot, disks that fail now and then, and such without exchange.
Schedule make_frail_schedule(std::uint64_t seed);
// As make_schedule, with power that fails again and again.
Schedule make_outage_schedule(std::uint64_t seed);
// Five to seven nodes, of which some leave, are evicted, or do without the folder for a while.
Schedule make_members_schedule(std::uint64_t seed);
// Every kind of change, applied with a fault (Verb::crash or glitch) at each of its operations in turn; `exchange`: the disk can do that.
Schedule make_sweep_schedule(Verb fault, bool exchange);
// The same without loss of power and without applications that write in the midst of an apply.
Schedule make_fair(Schedule schedule);
// The text of the ignore file that a step writes.
std::string rules_of(const std::string& word);
std::string to_text(const Step& step);
std::string to_text(const Schedule& schedule);
// Lines as above; "nodes N", "seed N" and empty lines and # comments. Error::invalid names the line.
Result<Schedule> parse_schedule(std::string_view text);

}  // namespace syncline::sim

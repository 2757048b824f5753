#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/error.h"

// `syncline lb check`: a running balancer seen from outside. Uploads small probes through it, reads them back
// through it and from every server named, and says what that shows.
namespace syncline {

struct LbCheckOptions {
  std::string url;                   // of the balancer, with the uploads' prefix
  std::vector<std::string> servers;  // URLs of the app servers, with the same prefix
  std::string method = "POST";       // of an upload: POST or PUT
  std::string form;                  // POST as a form, the file in this field; empty: the bytes are the body
  std::string upload_path = "{name}";  // relative to url, or absolute
  std::string read_path = "{name}";
  std::string server_header = "X-Served-By";  // by which an answer tells its server, if it does
  std::string ready_path = "/syncline-readyz";
  std::uint32_t probes = 12;
  std::uint64_t timeout_ms = 5000;
};

// One upload and what became of it. -1: no answer.
struct LbProbe {
  std::string name;
  int upload_status = -1;
  std::string taken_by;      // by its header, or the only server that had it at once; empty: cannot be told
  int first_read = -1;       // at once, through the balancer
  bool first_right = false;  // 200 and the right bytes
  std::string read_from;
  std::vector<bool> at_once;     // by server: it had the right bytes at the first look
  std::vector<bool> in_the_end;  // by server: within the time-out
  std::optional<bool> removed;   // DELETE; nullopt: nothing to remove
};
struct LbCheckServer {
  std::string url;
  std::string name;  // by its header; else the URL
  int ready = -1;    // status of ready_path; -1: no answer
};
struct LbObservation {
  std::vector<LbCheckServer> servers;
  std::vector<LbProbe> probes;
  std::vector<std::string> readers;  // who answered reads through the balancer, by header; distinct
};

struct LbFinding {
  enum class Grade : std::uint8_t { good, unknown, bad };
  Grade grade;
  std::string text;  // one line
};

// What was seen, in words. Pure. The check has failed if any is bad.
std::vector<LbFinding> judge(const LbCheckOptions& options, const LbObservation& seen);
std::string render(const std::vector<LbFinding>& findings);
std::string lb_check_json(const LbObservation& seen, const std::vector<LbFinding>& findings);

// Does it. Error: the URLs are malformed, or nobody answers at all.
Result<LbObservation> observe(const LbCheckOptions& options);

}  // namespace syncline

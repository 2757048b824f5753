#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/error.h"

// The small private files of a home, and the home's lock. Error messages name the path. Thread-safe.
namespace syncline {

// Replaces (or makes) a file of mode 0600: whole or not at all, also across a power loss.
Status write_private(const std::string& path, BytesView content);
// Error::not_found; Error::refused when group or others may read it (a secret that leaked is no secret);
// Error::full above `limit`.
Result<Bytes> read_private(const std::string& path, std::size_t limit);

// Makes `path` and what is missing above it (those 0755), itself 0700. `made` gets what did not exist,
// outermost first. An existing directory is taken when it is empty (and becomes 0700) or when nobody else may
// enter it; Error::refused otherwise.
Status make_private_directory(const std::string& path, std::vector<std::string>& made);

// Error::refused unless it is an existing directory in which this process may make files.
Status check_writable_directory(const std::string& path);

// Lines "key value" of a private file; blank ones and those that start with '#' are left out.
struct HomeLine {
  std::uint32_t number = 0;
  std::string_view key, value;  // borrowed from the text
};
std::vector<HomeLine> home_lines(std::string_view text);

// Holds HOME/lock until destroyed: one process works with a home at a time. The system lets go of it when the
// process dies.
class HomeLock {
 public:
  // Error::busy: "another synclined (pid N) runs with this home".
  static Result<HomeLock> take(const std::string& home);
  HomeLock(HomeLock&& other) noexcept;
  HomeLock& operator=(HomeLock&& other) noexcept;
  ~HomeLock();

 private:
  explicit HomeLock(std::intptr_t handle) : handle_(handle) {}
  void release();
  std::intptr_t handle_ = -1;
};

std::string host_name();  // the machine's; empty if it has none
bool running_as_root();

// Addresses of this machine's interfaces that are up, numeric, without loopback and link-local ones.
std::vector<std::string> interface_addresses(bool ipv4, bool ipv6);

}  // namespace syncline

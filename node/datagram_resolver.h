#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/datagram_address.h"

namespace syncline {

// Host names to addresses without blocking the thread that asks. A number is answered at once; a name by a
// thread of its own, which outlives the resolver if the system's resolver hangs. One thread asks.
class Resolver {
 public:
  // nullopt: not known yet, ask again later. At most limits::resolver_queries names wait at once.
  std::optional<Result<std::vector<Endpoint>>> ask(const std::string& address);
  // Whether some answer is outstanding: ask again in a few milliseconds.
  bool busy() const;
  void forget(const std::string& address) { queries_.erase(address); }

 private:
  struct Query;
  static void start(const std::shared_ptr<Query>& query, const HostPort& host);
  std::map<std::string, std::shared_ptr<Query>> queries_;
};

}  // namespace syncline

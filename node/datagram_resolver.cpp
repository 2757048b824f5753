#include "node/datagram_resolver.h"

#include <mutex>
#include <system_error>
#include <thread>

#include "protocol/limits.h"

namespace syncline {

struct Resolver::Query {
  std::mutex mutex;
  std::optional<Result<std::vector<Endpoint>>> answer;  // guarded by mutex
};

// Detached: getaddrinfo cannot be interrupted, and a node that stops must not wait for a dead name server.
void Resolver::start(const std::shared_ptr<Query>& query, const HostPort& host) {
  try {
    std::thread([query, host] {
      auto answer = resolve(host);
      const std::lock_guard lock(query->mutex);
      query->answer = std::move(answer);
    }).detach();
  } catch (const std::system_error& error) {
    query->answer = fail(Error::Code::full, std::string("cannot start a thread: ") + error.what());
  }
}

std::optional<Result<std::vector<Endpoint>>> Resolver::ask(const std::string& address) {
  const Result<HostPort> parsed = parse_host_port(address);
  if (!parsed) return tl::unexpected(parsed.error());
  if (const auto number = numeric_endpoint(*parsed)) return std::vector<Endpoint>{*number};

  const auto found = queries_.find(address);
  if (found == queries_.end()) {
    if (queries_.size() >= limits::resolver_queries) return std::nullopt;
    start(queries_[address] = std::make_shared<Query>(), *parsed);
    return std::nullopt;
  }
  const std::shared_ptr<Query> query = found->second;
  const std::lock_guard lock(query->mutex);
  if (!query->answer) return std::nullopt;
  queries_.erase(found);  // names move: the next call asks again
  return std::move(query->answer);
}

bool Resolver::busy() const { return !queries_.empty(); }

}  // namespace syncline

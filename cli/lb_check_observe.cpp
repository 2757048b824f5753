#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "cli/lb_check.h"
#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kProbeBytes = 8 * 1024;
constexpr std::chrono::seconds kAnswer{10};  // an upload may wait for the other servers before it is answered
constexpr auto kLook = std::chrono::milliseconds(20);  // between two looks at a server that lacks a probe

struct Site {
  std::string origin;  // http://host:port
  std::string prefix;  // /uploads/
};

Result<Site> site_of(const std::string& url) {
  const auto bad = [&](const char* why) {
    return fail(Error::Code::invalid, fmt::format("{}: {}", printable(url), why));
  };
  const std::string_view scheme = url.starts_with("https://") ? "https://" : "http://";
  if (!url.starts_with(scheme)) return bad("http://HOST[:PORT]/PREFIX/ or https://... is wanted");
  const std::size_t slash = url.find('/', scheme.size());
  const std::string host = url.substr(scheme.size(), slash - scheme.size());
  if (!parse_address(host) && !parse_address(host + ":80")) return bad("no HOST or HOST:PORT behind ://");
  std::string prefix = slash == std::string::npos ? "/" : url.substr(slash);
  if (prefix.find_first_of(" ?#\r\n") != std::string::npos) return bad("the prefix must be a plain path");
  if (!prefix.ends_with('/')) prefix += '/';
  return Site{std::string(scheme) + host, prefix};
}

std::string path_of(const Site& site, const std::string& pattern, const std::string& name) {
  std::string path = pattern;
  if (const std::size_t at = path.find("{name}"); at != std::string::npos) path.replace(at, 6, name);
  return path.starts_with('/') ? path : site.prefix + path;
}

// A connection of its own for each request: a balancer may choose by connection.
httplib::Client client_of(const Site& site) {
  httplib::Client client(site.origin);
  client.set_connection_timeout(kAnswer);
  client.set_read_timeout(kAnswer);
  client.set_write_timeout(kAnswer);
  client.set_keep_alive(false);
  return client;
}

class Observer {
 public:
  Observer(const LbCheckOptions& options, Site balancer, std::vector<Site> servers)
      : o_(options),
        balancer_(std::move(balancer)),
        servers_(std::move(servers)),
        random_(std::random_device{}()) {}

  Result<LbObservation> run() {
    for (std::size_t i = 0; i < servers_.size(); ++i) look_at_server(i);
    for (std::uint32_t i = 0; i < o_.probes; ++i) probe(i);
    if (std::ranges::none_of(seen_.probes, [](const LbProbe& p) { return p.upload_status >= 0; }))
      return fail(Error::Code::io, fmt::format("nobody answers at {}", balancer_.origin));
    wait_for_all();
    for (LbProbe& p : seen_.probes) remove(p);
    return std::move(seen_);
  }

 private:
  struct Read {
    int status = -1;
    bool right = false;
    std::string server;
  };

  void look_at_server(std::size_t i) {
    LbCheckServer server{o_.servers[i], o_.servers[i], -1};
    // The name that it gives itself, from whatever it answers.
    for (const std::string& path :
         {std::string("/"), path_of(servers_[i], o_.read_path, "syncline-check"), o_.ready_path}) {
      const auto answer = client_of(servers_[i]).Get(path);
      if (!answer) continue;
      if (answer->has_header(o_.server_header)) server.name = answer->get_header_value(o_.server_header);
      if (path == o_.ready_path) server.ready = answer->status;
    }
    seen_.servers.push_back(std::move(server));
  }

  std::string bytes_of(const LbProbe& probe) const {
    std::string out;
    for (std::size_t i = 0; out.size() < kProbeBytes; ++i) out += fmt::format("{} {}\n", probe.name, i);
    return out;
  }

  Read read(const Site& site, const LbProbe& probe) const {
    const auto answer = client_of(site).Get(path_of(site, o_.read_path, probe.name));
    if (!answer) return {};
    return {answer->status, answer->status == 200 && answer->body == bytes_of(probe),
            answer->get_header_value(o_.server_header)};
  }

  Read read_through_balancer(const LbProbe& probe) {
    Read done = read(balancer_, probe);
    if (!done.server.empty() && std::ranges::find(seen_.readers, done.server) == seen_.readers.end())
      seen_.readers.push_back(done.server);
    return done;
  }

  void upload(LbProbe& probe) {
    auto client = client_of(balancer_);
    const std::string path = path_of(balancer_, o_.upload_path, probe.name);
    constexpr const char* type = "application/octet-stream";
    const httplib::MultipartFormDataItems form{{o_.form, bytes_of(probe), probe.name, type}};
    const auto answer = !o_.form.empty()     ? client.Post(path, form)
                        : o_.method == "PUT" ? client.Put(path, bytes_of(probe), type)
                                             : client.Post(path, bytes_of(probe), type);
    if (!answer) return;
    probe.upload_status = answer->status;
    probe.taken_by = answer->get_header_value(o_.server_header);
  }

  void probe(std::uint32_t i) {
    LbProbe probe;
    probe.name = fmt::format("syncline-check-{:08x}-{}.bin", random_(), i);
    upload(probe);
    const Read first = read_through_balancer(probe);
    probe.first_read = first.status, probe.first_right = first.right, probe.read_from = first.server;
    // Two requests for every probe would make each upload meet the same one of two servers in turn.
    if (i % 2 == 1) read_through_balancer(probe);
    std::size_t have = 0, last = 0;
    for (std::size_t s = 0; s < servers_.size(); ++s) {
      probe.at_once.push_back(read(servers_[s], probe).right);
      if (probe.at_once.back()) ++have, last = s;
    }
    if (probe.taken_by.empty() && have == 1) probe.taken_by = seen_.servers[last].name;
    probe.in_the_end = probe.at_once;
    seen_.probes.push_back(std::move(probe));
  }

  void wait_for_all() {
    const auto until = Clock::now() + std::chrono::milliseconds(o_.timeout_ms);
    for (bool lacking = true; lacking;) {
      lacking = false;
      for (LbProbe& p : seen_.probes) {
        if (p.upload_status < 200 || p.upload_status >= 300) continue;
        for (std::size_t s = 0; s < servers_.size(); ++s) {
          if (!p.in_the_end[s]) p.in_the_end[s] = read(servers_[s], p).right;
          lacking = lacking || !p.in_the_end[s];
          if (lacking && Clock::now() >= until) return;
        }
      }
      if (lacking) std::this_thread::sleep_for(kLook);  // nothing on the other side tells when it has come
    }
  }

  bool removed_at(const Site& site, const LbProbe& probe) const {
    const auto answer = client_of(site).Delete(path_of(site, o_.read_path, probe.name));
    return answer && answer->status >= 200 && answer->status < 300;
  }

  void remove(LbProbe& probe) const {
    if (probe.upload_status < 200 || probe.upload_status >= 300) return;
    probe.removed = removed_at(balancer_, probe) ||
                    std::ranges::any_of(servers_, [&](const Site& site) { return removed_at(site, probe); });
  }

  const LbCheckOptions& o_;
  Site balancer_;
  std::vector<Site> servers_;
  std::mt19937 random_;
  LbObservation seen_;
};

}  // namespace

Result<LbObservation> observe(const LbCheckOptions& options) {
  auto balancer = site_of(options.url);
  if (!balancer) return tl::unexpected(balancer.error());
  if (options.servers.size() > limits::lb_check_servers)
    return fail(Error::Code::invalid, fmt::format("at most {} --server", limits::lb_check_servers));
  std::vector<Site> servers;
  for (const std::string& url : options.servers) {
    auto server = site_of(url);
    if (!server) return tl::unexpected(server.error());
    servers.push_back(*std::move(server));
  }
  return Observer(options, *std::move(balancer), std::move(servers)).run();
}

}  // namespace syncline

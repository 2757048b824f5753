#include "tests/scale/points.h"

#include <fmt/format.h>

#include <stdexcept>

#include "tests/scale/tree.h"

namespace syncline::scale {
namespace {

constexpr std::uint64_t kReadyMs = 60'000, kLevelMs = 120'000;
constexpr std::uint64_t kAfterMs = 30'000;  // by then all has been said that a change is worth
constexpr std::size_t kNobody = SIZE_MAX;

double since_ms(std::uint64_t begin_us, std::uint64_t end_us) {
  return static_cast<double>(end_us - begin_us) / 1000;
}

// Of every ten changes: seven files written anew over old ones, two new ones, one deletion.
void change(Cluster& cluster, std::size_t node, std::size_t number, std::size_t records) {
  const std::size_t files = records - records / (kFilesPerDirectory + 1) - 1;
  const std::size_t old = number * 7919 % files;
  if (number % 10 < 7) return cluster.write(node, file_path(old), 1, kFileBytes);
  if (number % 10 < 9)
    return cluster.write(node, fmt::format("uploads0000/new{}.jpg", number), 1, kFileBytes);
  cluster.remove(node, file_path(old));
}

}  // namespace

std::unique_ptr<Cluster> make_cluster(std::size_t nodes, std::size_t records, std::size_t starts) {
  auto cluster = std::make_unique<Cluster>(make_image(records, nodes, starts), nodes, starts);
  cluster->link_all();
  cluster->run_ms(1'000);
  if (!cluster->run_until_ready(kReadyMs)) throw std::runtime_error("the cluster does not become ready");
  cluster->run_ms(kAfterMs / 2);
  return cluster;
}

Idle measure_idle(Cluster& cluster, std::size_t records, std::uint64_t minutes) {
  cluster.traffic = {};
  cluster.run_ms(minutes * kMinuteMs);
  const auto all = cluster.traffic.all();
  const double nodes = static_cast<double>(cluster.size()),
               node_minutes = nodes * static_cast<double>(minutes);
  return {.nodes = cluster.size(),
          .records = records,
          .vector_entries = cluster.vector_entries(0),
          .bytes_peer_minute = static_cast<double>(all.bytes) / node_minutes / (nodes - 1),
          .messages_peer_minute = static_cast<double>(all.messages) / node_minutes / (nodes - 1),
          .bytes_node_minute = static_cast<double>(all.bytes) / node_minutes};
}

Spread measure_spread(Cluster& cluster) {
  // An actor's first version comes with the word whose it is: that is told once a start.
  cluster.write(0, "uploads0000/first.jpg", 1, kFileBytes);
  cluster.run_ms(kAfterMs);
  cluster.traffic = {};
  const std::uint64_t begin = cluster.now_us(), sent = cluster.sent_by(0);
  cluster.write(0, "uploads0000/photo.jpg", 1, kFileBytes);
  Spread out{.nodes = cluster.size()};
  if (!cluster.run_until_level(kLevelMs, kNobody)) throw std::runtime_error("a change does not reach all");
  out.ms = since_ms(begin, cluster.last_apply_us());
  out.rounds = (cluster.last_apply_us() - begin) / kOneWayUs;
  out.until_all = cluster.traffic;
  out.busiest = static_cast<double>(cluster.sent_by(0) - sent);
  cluster.run_ms(kAfterMs);
  out.in_all = cluster.traffic;
  return out;
}

Death measure_death(Cluster& cluster) {
  const std::size_t nodes = cluster.size();
  for (std::size_t n = 1; n <= (nodes - 1) / 2; ++n) cluster.cut(0, n);
  cluster.traffic = {};
  cluster.write(0, "uploads0000/last.jpg", 1, kFileBytes);
  cluster.run_ms(2 * kOneWayUs / 1000);
  cluster.cut_node(0);
  const std::uint64_t begin = cluster.now_us();
  Death out{.nodes = nodes};
  out.level = cluster.run_until_level(kLevelMs, 0);
  out.ms = since_ms(begin, cluster.last_apply_us());
  cluster.run_ms(kAfterMs);
  out.in_all = cluster.traffic;
  return out;
}

CatchUp measure_catch_up(Cluster& cluster, std::size_t records, std::size_t missed) {
  const std::size_t last = cluster.size() - 1;
  cluster.cut_node(last);
  for (std::size_t i = 0; i < missed; ++i) change(cluster, i % last, i, records);
  cluster.run_ms(kAfterMs);
  cluster.traffic = {};
  const std::uint64_t begin = cluster.now_us();
  cluster.link_node(last);
  CatchUp out{.nodes = cluster.size(), .records = records, .missed = missed};
  out.level = cluster.run_until_level(kLevelMs, kNobody);
  out.ms = missed > 0 ? since_ms(begin, cluster.last_apply_us()) : 0;
  out.until_level = cluster.traffic;
  cluster.run_ms(kAfterMs);
  out.in_all = cluster.traffic;
  return out;
}

Start measure_start(Cluster& cluster) {
  const std::size_t last = cluster.size() - 1;
  cluster.cut_node(last);
  cluster.run_ms(kAfterMs);
  cluster.traffic = {};
  const std::uint64_t begin = cluster.now_us();
  cluster.restart(last);
  cluster.link_node(last);
  Start out{.nodes = cluster.size(), .vector_entries = cluster.vector_entries(0)};
  if (!cluster.run_until_ready(kReadyMs)) throw std::runtime_error("a node does not become ready again");
  out.ms = since_ms(begin, cluster.now_us());
  cluster.write(last, "uploads0000/again.jpg", cluster.now_us(), kFileBytes);
  cluster.run_ms(kAfterMs);
  out.traffic = cluster.traffic;
  return out;
}

}  // namespace syncline::scale

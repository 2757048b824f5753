// Clusters of 3 to 300 nodes and trees of up to a million records, simulated (scripts/sim-scale): one JSON
// object a line and a point.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/scale/points.h"

namespace {

using namespace syncline;
using namespace syncline::scale;

constexpr std::size_t kSmallTree = 1'000;

std::string kinds(const Traffic& traffic) {
  static constexpr const char* names[] = {
      "hello",       "announce", "digest",       "ask",     "need",   "entries",       "want",   "piece",
      "unavailable", "probe",    "probe_answer", "refusal", "lookup", "lookup_answer", "settle", "settled"};
  std::string out;
  for (std::size_t kind = 0; kind < traffic.kinds.size(); ++kind) {
    if (traffic.kinds[kind].messages == 0) continue;
    out += fmt::format("{}\"{}\": [{}, {}]", out.empty() ? "" : ", ", names[kind],
                       traffic.kinds[kind].messages, traffic.kinds[kind].bytes);
  }
  return "{" + out + "}";
}

// Of what would not have been said otherwise.
std::string text(const Traffic& traffic) {
  const auto all = traffic.but_digests();
  return fmt::format("{{\"messages\": {}, \"bytes\": {}, \"contents\": {}, \"kinds\": {}}}", all.messages,
                     all.bytes, traffic.contents_bytes, kinds(traffic));
}

template <class... Args>
void line(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  std::fflush(stdout);
}

void print(const Idle& p) {
  line(
      R"({{"what": "idle", "nodes": {}, "records": {}, "vector": {}, "bytes_peer": {:.1f}, "messages_peer": {:.2f}, "bytes_node": {:.0f}}})",
      p.nodes, p.records, p.vector_entries, p.bytes_peer_minute, p.messages_peer_minute, p.bytes_node_minute);
}

void print(const Spread& p) {
  line(
      R"({{"what": "spread", "nodes": {}, "ms": {:.1f}, "rounds": {}, "writer": {:.0f}, "until_all": {}, "in_all": {}}})",
      p.nodes, p.ms, p.rounds, p.busiest, text(p.until_all), text(p.in_all));
}

void print(const Death& p) {
  line(R"({{"what": "death", "nodes": {}, "level": {}, "ms": {:.1f}, "in_all": {}}})", p.nodes, p.level, p.ms,
       text(p.in_all));
}

void print(const CatchUp& p) {
  line(
      R"({{"what": "catch-up", "nodes": {}, "records": {}, "missed": {}, "level": {}, "ms": {:.1f}, "until_level": {}, "in_all": {}}})",
      p.nodes, p.records, p.missed, p.level, p.ms, text(p.until_level), text(p.in_all));
}

void print(const Start& p) {
  line(R"({{"what": "start", "nodes": {}, "vector": {}, "ms": {:.1f}, "in_all": {}}})", p.nodes,
       p.vector_entries, p.ms, text(p.traffic));
}

void nodes_point(std::size_t nodes) {
  const auto cluster = make_cluster(nodes, kSmallTree);
  print(measure_idle(*cluster, kSmallTree, nodes > 100 ? 1 : 5));
  print(measure_spread(*cluster));
  if (nodes > 3) print(measure_death(*cluster));  // of three, one is told: there is no half
}

void records_point(std::size_t nodes, std::size_t records) {
  const auto cluster = make_cluster(nodes, records);
  print(measure_idle(*cluster, records, 5));
  for (const std::size_t missed : {0u, 100u, 1'000u}) {
    if (missed < records) print(measure_catch_up(*cluster, records, missed));
  }
}

void starts_point(std::size_t nodes, std::size_t starts) {
  const auto cluster = make_cluster(nodes, kSmallTree + nodes * starts, starts);
  print(measure_idle(*cluster, kSmallTree, 5));
  print(measure_start(*cluster));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Cost in simulated clusters, as lines of JSON");
  std::vector<std::size_t> nodes, records, starts;
  std::size_t among = 3;
  app.add_option("--nodes", nodes, "idle traffic, one change and a writer's death among that many nodes")
      ->delimiter(',');
  app.add_option("--records", records, "idle traffic and catch-up in trees of that many records")
      ->delimiter(',');
  app.add_option("--starts", starts, "idle traffic and a restart after that many starts of each of ten nodes")
      ->delimiter(',');
  app.add_option("--among", among, "nodes that have the trees of --records");
  CLI11_PARSE(app, argc, argv);
  for (const std::size_t n : nodes) nodes_point(n);
  for (const std::size_t n : records) records_point(among, n);
  for (const std::size_t n : starts) starts_point(10, n);
  return 0;
}

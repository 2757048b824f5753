#include "tests/scale/cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/member.h"
#include "tests/scale/stub_disk.h"
#include "tests/scale/tree.h"

namespace syncline::scale {

Cluster::Cluster(std::shared_ptr<const Image> image, std::size_t nodes, std::size_t starts,
                 std::uint64_t seed)
    : random_(seed), machines_(nodes), ways_(nodes * nodes) {
  for (std::size_t n = 0; n < nodes; ++n) {
    members_.push_back(node_id(n));
    numbers_[node_id(n)] = n;
  }
  for (std::size_t n = 0; n < nodes; ++n) {
    Machine& m = machines_[n];
    m.kv = std::make_unique<SharedKv>(image);
    m.index = *Index::open(*m.kv);
    m.starts = starts;
    start(n);
  }
}

std::uint64_t Cluster::wall_ms() const { return kEpochMs + queue_.now_us() / 1000; }

void Cluster::start(std::size_t n) {
  Machine& m = machines_[n];
  ReplicaOptions options;
  options.self = node_id(n);
  options.name = fmt::format("node{}", n);
  options.actor = actor_id(n, m.starts++);
  options.actor_certificate = encode_actor(Actor{options.actor, options.self, {}});
  options.members = members_;
  options.random_seed = random_.next();
  m.replica = std::make_unique<Replica>(*m.index, options);
  ++m.life;
  m.tick_at_us = UINT64_MAX;
  feed(n, Tick{});
  feed(n, ScanFinished{kFirstFolder});
}

void Cluster::restart(std::size_t n) {
  machines_[n].replica.reset();
  start(n);
}

// ---- links

void Cluster::link(std::size_t a, std::size_t b) {
  if (a == b || way(a, b).session % 2 == 1) return;
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    ++way(from, to).session;
    way(from, to).arrives_us = {};
  }
  feed(a, LinkUp{node_id(b)});
  feed(b, LinkUp{node_id(a)});
}

void Cluster::cut(std::size_t a, std::size_t b) {
  if (a == b || way(a, b).session % 2 == 0) return;
  ++way(a, b).session, ++way(b, a).session;
  feed(a, LinkDown{node_id(b)});
  feed(b, LinkDown{node_id(a)});
}

void Cluster::link_node(std::size_t node) {
  for (std::size_t n = 0; n < size(); ++n) link(node, n);
}

void Cluster::cut_node(std::size_t node) {
  for (std::size_t n = 0; n < size(); ++n) cut(node, n);
}

void Cluster::link_all() {
  for (std::size_t a = 0; a < size(); ++a) {
    for (std::size_t b = a + 1; b < size(); ++b)
      queue_.after(random_.below(1'000'000), [this, a, b] { link(a, b); });
  }
}

// ---- events in, effects out

void Cluster::later(std::size_t n, std::uint64_t us, std::function<void()> what) {
  queue_.after(us, [this, n, life = machines_[n].life, what = std::move(what)] {
    if (machines_[n].life == life) what();
  });
}

void Cluster::feed(std::size_t n, const Event& event) {
  Machine& m = machines_[n];
  auto effects = m.replica->step(event, now());
  (void)m.index->commit();
  carry_out(n, std::move(effects));
  plan_tick(n);
}

void Cluster::carry_out(std::size_t n, std::vector<Effect> effects) {
  for (Effect& effect : effects) {
    if (auto* s = std::get_if<Send>(&effect)) {
      send(n, *s);
    } else if (const auto* job = std::get_if<StartJob>(&effect)) {
      start_job(n, job->job);
    } else if (const auto* look = std::get_if<LookAt>(&effect); look && !look->subtree) {
      Observation unchanged;
      unchanged.path = look->path;
      unchanged.state = Observation::State::unchanged;
      later(n, 0, [this, n, unchanged, folder = look->folder, asked = look->asked] {
        feed(n, Observed{folder, unchanged, UINT64_MAX, asked});
      });
    } else if (std::holds_alternative<FlushIndex>(effect)) {
      later(n, 0, [this, n] { feed(n, Durable{machines_[n].kv->applied()}); });
    }
  }
}

void Cluster::send(std::size_t from, Send& effect) {
  const std::size_t to = numbers_.at(effect.peer);
  Way& w = way(from, to);
  if (w.session % 2 == 0) return;
  traffic.add(effect.message);
  machines_[from].sent_bytes += effect.message.size();
  std::uint64_t& arrives_us = w.arrives_us[static_cast<std::size_t>(effect.lane)];
  arrives_us = std::max(arrives_us, queue_.now_us() + kOneWayUs + random_.below(kJitterUs));
  queue_.at(arrives_us, [this, from, to, session = w.session, message = std::move(effect.message)] {
    if (way(from, to).session == session) feed(to, Received{node_id(from), message});
  });
}

void Cluster::start_job(std::size_t n, const FileJob& job) {
  if (std::holds_alternative<ApplyJob>(job.work)) last_apply_us_ = queue_.now_us();
  later(n, 0, [this, n, done = FileDone{job.id, outcome_of(job)}] { feed(n, done); });
}

void Cluster::plan_tick(std::size_t n) {
  Machine& m = machines_[n];
  const std::uint64_t due = std::max(m.replica->next_tick_ms() * 1000, queue_.now_us() + 1000);
  if (due >= m.tick_at_us && m.tick_at_us > queue_.now_us()) return;
  m.tick_at_us = due;
  later(n, due - queue_.now_us(), [this, n, due] {
    if (machines_[n].tick_at_us != due) return;
    machines_[n].tick_at_us = UINT64_MAX;
    feed(n, Tick{});
  });
}

// ---- applications, and how it stands

void Cluster::write(std::size_t node, const std::string& path, std::uint64_t version, std::uint64_t size) {
  Observation seen;
  seen.state = Observation::State::present;
  seen.path = path;
  seen.disk = file_on_disk(path, version, size);
  if (size <= limits::inline_content_bytes)
    seen.content = std::make_shared<const Bytes>(content_of(seen.disk.content.hash, 0, size));
  feed(node, Observed{kFirstFolder, std::move(seen)});
}

void Cluster::remove(std::size_t node, const std::string& path) {
  Observation seen;
  seen.path = path;
  feed(node, Observed{kFirstFolder, std::move(seen)});
}

bool Cluster::is_level(std::size_t silent) const {
  const Machine& first = machines_[silent == 0 ? 1 : 0];
  for (std::size_t n = 0; n < size(); ++n) {
    const Machine& m = machines_[n];
    if (n == silent) continue;
    if (m.index->vector() != first.index->vector() || m.index->counts(kFirstFolder).pending > 0) return false;
  }
  return true;
}

bool Cluster::run_until_level(std::uint64_t ms_max, std::size_t silent) {
  for (const std::uint64_t end = now_us() + ms_max * 1000; !is_level(silent); run_ms(1)) {
    if (now_us() >= end) return false;
  }
  return true;
}

bool Cluster::run_until_ready(std::uint64_t ms_max) {
  const auto ready = [](const Machine& m) { return m.replica->readiness().takes_readers(); };
  for (const std::uint64_t end = now_us() + ms_max * 1000;
       !std::all_of(machines_.begin(), machines_.end(), ready); run_ms(100)) {
    if (now_us() >= end) return false;
  }
  return true;
}

}  // namespace syncline::scale

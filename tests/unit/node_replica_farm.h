#pragma once
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/file_jobs.h"
#include "node/replica.h"
#include "protocol/member.h"
#include "protocol/messages.h"
#include "storage/file_system_memory.h"
#include "storage/folder.h"
#include "storage/index.h"

namespace syncline::testing {

// Some replicas with disks in memory. Nothing happens by itself: messages and looks at disks wait in queues
// until the test lets them go, so that it decides what comes before what.
class ReplicaFarm {
 public:
  struct Packet {
    std::size_t from = 0, to = 0;
    Lane lane = Lane::control;
    Bytes message;
    template <class M>
    bool is() const {
      const auto m = decode(message);
      return m && std::holds_alternative<M>(*m);
    }
  };
  struct Machine {
    std::unique_ptr<MemoryFileSystem> disk;
    std::unique_ptr<MemoryKv> kv = make_memory_kv();
    std::unique_ptr<Folder> folder;
    std::unique_ptr<Index> index;
    std::unique_ptr<Replica> replica;
    std::deque<LookAt> looks;
    std::deque<FileDone> done;
    std::set<std::uint64_t> over;
    std::size_t asked_looks = 0;
    bool blind = false;  // looks are not made
    bool slow = false;   // what jobs did is not told
  };

  // With `members` each knows all the others from the start.
  // Those in `without` do not have the folder.
  explicit ReplicaFarm(std::size_t count, bool members = false, const std::map<std::size_t, FolderMode>& modes = {},
                       const std::set<std::size_t>& without = {})
      : machines(count), key_(Key32{}), members_(members), modes_(modes), without_(without) {
    for (std::size_t n = 0; n < count; ++n) {
      Machine& m = machines[n];
      m.disk = std::make_unique<MemoryFileSystem>(
          [this] { return static_cast<std::int64_t>(now().wall_ms) * 1'000'000; });
      EXPECT_TRUE(Folder::create_marker(*m.disk, {}));
      m.folder = *Folder::open(*m.disk, key_, {});
      m.index = *Index::open(*m.kv);
      make_replica(n);
    }
  }

  static NodeId node(std::size_t n) {
    NodeId id;
    id.bytes.fill(static_cast<std::uint8_t>(n + 1));
    return id;
  }
  std::vector<NodeId> all_but(std::size_t n) const {
    std::vector<NodeId> out;
    for (std::size_t i = 0; i < machines.size(); ++i)
      if (i != n) out.push_back(node(i));
    return out;
  }
  Now now() const { return {now_ms, 1'700'000'000'000 + now_ms}; }

  void feed(std::size_t n, const Event& event) { carry_out(n, machines[n].replica->step(event, now())); }

  void link(std::size_t a, std::size_t b) {
    linked_.insert({a, b}), linked_.insert({b, a});
    feed(a, LinkUp{node(b)}), feed(b, LinkUp{node(a)});
  }
  void link_all() {
    for (std::size_t a = 0; a < machines.size(); ++a)
      for (std::size_t b = a + 1; b < machines.size(); ++b) link(a, b);
    run();
  }
  void cut(std::size_t a, std::size_t b) {
    linked_.erase({a, b}), linked_.erase({b, a});
    std::erase_if(packets,
                  [&](const Packet& p) { return (p.from == a && p.to == b) || (p.from == b && p.to == a); });
    feed(a, LinkDown{node(b)}), feed(b, LinkDown{node(a)});
  }

  // The process ends and begins anew, with the index and the disk that it had; its links are gone.
  void restart(std::size_t n) {
    for (std::size_t other = 0; other < machines.size(); ++other)
      if (linked_.contains({n, other})) cut(n, other);
    Machine& m = machines[n];
    m.looks.clear(), m.done.clear(), m.replica.reset();
    make_replica(n);
  }

  // Until nothing is left but what `held` keeps back and the blind do not see.
  void run() {
    for (bool more = true; more;) {
      more = false;
      for (auto it = packets.begin(); it != packets.end();) {
        if (held && held(*it)) {
          ++it;
          continue;
        }
        const Packet packet = std::move(*it);
        packets.erase(it);
        if (linked_.contains({packet.from, packet.to}))
          feed(packet.to, Received{node(packet.from), packet.message});
        it = packets.begin();
        more = true;
      }
      for (std::size_t n = 0; n < machines.size(); ++n) {
        while (!machines[n].slow && !machines[n].done.empty()) {
          const FileDone done = std::move(machines[n].done.front());
          machines[n].done.pop_front();
          feed(n, done);
          more = true;
        }
        while (!machines[n].blind && !machines[n].looks.empty()) more = true, look_once(n);
      }
    }
  }
  void advance(std::uint64_t ms) {
    now_ms += ms;
    for (std::size_t n = 0; n < machines.size(); ++n) feed(n, Tick{});
    run();
  }

  // The first look that waits is made.
  void look_once(std::size_t n) {
    const LookAt at = std::move(machines[n].looks.front());
    machines[n].looks.pop_front();
    observe(n, at.path, at.asked);
  }
  // What the watcher would cause.
  void observe(std::size_t n, const std::string& path, bool asked = false) {
    const auto entry = machines[n].index->get(1, path);
    Observation o =
        machines[n].folder->observe(path, entry && entry->disk ? entry->disk->state : DiskState{}, !asked);
    if (o.state == Observation::State::busy && !asked) return;
    feed(n, Observed{1, std::move(o), UINT64_MAX, asked});
  }
  void upload(std::size_t n, const std::string& path, const std::string& bytes) {
    machines[n].disk->app_write(path, bytes);
    observe(n, path);
  }

  std::uint64_t find(std::size_t n, const std::string& path) {
    const auto id = machines[n].replica->start_find(1, path, all_but(n), now());
    EXPECT_TRUE(id) << id.error().message;
    feed(n, Tick{});
    return id.value_or(0);
  }
  FindView view(std::size_t n, std::uint64_t find) { return machines[n].replica->find_state(find); }
  FindView::State state(std::size_t n, std::uint64_t find) { return view(n, find).state; }
  bool over(std::size_t n, std::uint64_t find) const { return machines[n].over.contains(find); }
  std::string shown(std::size_t n, const std::string& path) {
    return machines[n].disk->app_read(path).value_or("(nothing)");
  }

  std::vector<Machine> machines;
  std::deque<Packet> packets;
  std::function<bool(const Packet&)> held;
  std::size_t lookups = 0;  // sent so far
  std::uint64_t now_ms = 1'000'000;

 private:
  void make_replica(std::size_t n) {
    ReplicaOptions options;
    options.self = node(n);
    options.name = "n" + std::to_string(n);
    options.actor.bytes.fill(static_cast<std::uint8_t>(++actors_));
    options.actor_certificate = encode_actor(Actor{options.actor, options.self, {}});
    if (members_) options.members = all_but(machines.size());
    if (modes_.contains(n)) options.modes[1] = modes_.at(n);
    if (without_.contains(n)) options.folders.clear();
    machines[n].replica = std::make_unique<Replica>(*machines[n].index, options);
  }

  void carry_out(std::size_t n, std::vector<Effect> effects) {
    Machine& m = machines[n];
    ASSERT_TRUE(m.index->commit());
    for (Effect& effect : effects) {
      if (auto* send = std::get_if<Send>(&effect)) {
        std::size_t to = 0;
        while (node(to) != send->peer) ++to;
        packets.push_back({n, to, send->lane, std::move(send->message)});
        lookups += packets.back().is<Lookup>();
      } else if (auto* job = std::get_if<StartJob>(&effect)) {
        m.done.push_back({job->job.id, run_job(*m.folder, job->job)});
      } else if (auto* look = std::get_if<LookAt>(&effect)) {
        m.asked_looks += look->asked;
        if (!look->subtree) m.looks.push_back(std::move(*look));
      } else if (auto* over = std::get_if<FindOver>(&effect)) {
        m.over.insert(over->find);
      }
    }
  }

  HashKey key_;
  bool members_;
  std::map<std::size_t, FolderMode> modes_;
  std::set<std::size_t> without_;
  std::uint8_t actors_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> linked_;
};

}  // namespace syncline::testing

#include "node/daemon.h"

#include <fmt/format.h>
#include <sodium.h>
#include <spdlog/spdlog.h>

#include "node/file_jobs.h"
#include "node/local_time.h"
#include "node/run.h"

namespace syncline {

namespace {

constexpr std::size_t kEventsPerCommit = 512;
constexpr std::chrono::seconds kRateCheck{10};
constexpr std::size_t kOverflowBytes = 16 << 20;  // a lane: above the credit that a peer has with us
constexpr std::size_t kPushedBytes = 6 << 20;     // of it for what nobody has asked for

std::uint64_t ms_since_epoch() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

// What a job comes to while the folder is not there.
struct Unavailable {
  static constexpr const char* kWhy = "the folder is not available";
  FileOutcome operator()(const ApplyJob&) const {
    ApplyResult result;
    result.problem = kWhy;
    return result;
  }
  FileOutcome operator()(const ReadJob&) const { return Result<Bytes>(fail(Error::Code::io, kWhy)); }
  FileOutcome operator()(const MakeDeltaJob&) const { return Result<Bytes>(fail(Error::Code::io, kWhy)); }
  FileOutcome operator()(const StageProgressJob&) const { return StageProgress{}; }
  FileOutcome operator()(const HasVersionJob&) const { return true; }
  FileOutcome operator()(const RestoreTimeJob&) const {
    return Result<Fingerprint>(fail(Error::Code::io, kWhy));
  }
  template <class Stage>
  FileOutcome operator()(const Stage&) const {
    return Result<Staged>(fail(Error::Code::io, kWhy));
  }
};

}  // namespace

Daemon::Daemon(Home home)
    : home_(std::move(home)),
      hash_key_(home_.cluster.hash_key),
      executor_(std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 8) + 1) {}

Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::create(Home home) {
  std::unique_ptr<Daemon> d(new Daemon(std::move(home)));
  if (Status s = d->open_index(); !s) return tl::unexpected(s.error());
  if (Status s = d->open_links(); !s) return tl::unexpected(s.error());
  return d;
}

Status Daemon::open_index() {
  KvOptions options;
  options.directory = home_.path + "/index";
  options.sync_files = [folders = open_folders_] { return folders->sync(); };  // until the last group, when their runners have gone
  options.on_durable = [this](std::uint64_t batch) { loop_.post([this, batch] { tell(Durable{batch}); }); };
  for (int attempt = 0;; ++attempt) {
    auto kv = open_lmdb_kv(options);
    Error why;
    if (kv) {
      auto index = Index::open(**kv);
      if (index) {
        kv_ = std::move(*kv);
        index_ = std::move(*index);
        break;
      }
      why = index.error();
    } else {
      why = kv.error();
    }
    if (why.code != Error::Code::invalid || attempt > 0) return tl::unexpected(why);
    kv = tl::unexpected(why);  // closed before it is moved
    const auto name = set_aside(options.directory);
    if (!name) return tl::unexpected(name.error());
    spdlog::warn("{}; the index was moved to {} and is made anew from the folder and the other members",
                 why.message, *name);
  }
  open_replica();
  return {};
}

void Daemon::open_replica() {
  ReplicaOptions replica;
  replica.self = home_.identity.node;
  replica.name = home_.config.name;
  randombytes_buf(replica.actor.bytes.data(), replica.actor.bytes.size());
  Actor actor{replica.actor, home_.identity.node, {}};
  sign(actor, home_.cluster.cluster, home_.identity.signing);
  replica.actor_certificate = encode_actor(actor);
  for (const Member& member : home_.members) {
    if (member.state == MemberState::joined) replica.members.push_back(member.node);
  }
  replica.folders.clear();
  for (const HomeFolder& folder : home_.folders) {
    if (folder.removing) continue;
    replica.folders.push_back(folder.id);
    replica.modes[folder.id] = folder.config.mode;
  }
  randombytes_buf(&replica.random_seed, sizeof replica.random_seed);
  replica.limits = {home_.config.balancer.changes_behind, home_.config.balancer.seconds_behind * 1000,
                    home_.config.ready_without_majority};
  replica_ = std::make_unique<Replica>(*index_, std::move(replica));

  for (const HomeFolder& folder : home_.folders) open_folder(folder);
}

Status Daemon::open_links() {
  auto invites = Invites::load(home_.path + "/invites");
  if (!invites) return tl::unexpected(invites.error());
  invites_ = std::move(*invites);
  auto transport = Transport::create(
      {home_.config.listen, home_.cluster.cluster, home_.cluster.psk, home_.identity.link}, *this);
  if (!transport) return tl::unexpected(transport.error());
  transport_ = std::move(*transport);
  auto control = ControlServer::start(loop_.uv(), home_.path + "/control.sock", *this);
  if (!control) return tl::unexpected(control.error());
  control_ = std::move(*control);
  const auto token = http_token(home_.path);
  if (!token) return tl::unexpected(token.error());
  auto http = HttpServer::start({home_.config.http, *token}, *this,
                                [this](std::function<void()> fn) { loop_.post(std::move(fn)); }, this);
  if (!http) return tl::unexpected(http.error());
  http_ = std::move(*http);
  if (home_.config.balancer.agent.empty()) return {};
  auto agent = AgentServer::start(loop_.uv(), home_.config.balancer.agent, [this] { return agent_line(); });
  if (!agent) return tl::unexpected(agent.error());
  agent_ = std::move(*agent);
  return {};
}

Now Daemon::now() const {
  return {static_cast<std::uint64_t>(
              std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count()),
          ms_since_epoch()};
}

Status Daemon::run() {
  tick_ = &loop_.alarm([this] { tell_paths(), tell(Tick{}); });
  service_ = &loop_.alarm([] {});  // waking up is enough: cycle() services
  retry_commit_ = &loop_.alarm([] {});
  wait_alarm_ = &loop_.alarm([this] { check_wait_deadlines(); });
  rate_alarm_ = &loop_.alarm([this] { apply_rate(); });
  apply_rate();
  drain_alarm_ = &loop_.alarm([this] { check_drains(); });
  resume_alarm_ = &loop_.alarm([] {});  // cycle() looks
  leave_alarm_ = &loop_.alarm([] {});
  verify_alarm_ = &loop_.alarm([] {});
  loop_.watch(transport_->fd(), [] {});
  loop_.on_stop_signal([this] {
    stopping_ = true;
    loop_.stop();
  });
  loop_.before_wait([this] { cycle(); });
  publish_self();
  for (const auto& f : folders_) {
    if (f->runner) f->runner->start();
  }
  spdlog::info("node {} serves {}; links on {}, HTTP on {}", home_.config.name, first_folder().path(),
               transport_->local_address(), http_->local_address());
  loop_.run();
  http_.reset();
  agent_.reset();
  control_.reset();
  for (const auto& f : folders_) f->runner.reset();
  if (end_) kv_->flush_wait();
  return end_;
}

// By the clock on the wall, which may be set: it is looked at now and then.
void Daemon::apply_rate() {
  rate_alarm_->set(Clock::now() + kRateCheck);
  const std::uint64_t rate = home_.config.bandwidth.rate_at(local_minute_of_day());
  if (rate_ == rate) return;
  if (rate > 0 || rate_) spdlog::info("uploads: {}", rate == 0 ? "no limit" : fmt::format("at most {} bytes/s", rate));
  rate_ = rate;
  transport_->set_upload_rate(rate);
}

// Once each turn of the loop, before it waits: hear the links, let the replica work, carry out what it wants.
void Daemon::cycle() {
  if (commit_blocked_ && !commit()) return;
  const auto next = transport_->service(Clock::now());
  process();
  if (commit_blocked_) return;
  for (const PathKey& key : std::exchange(applied_, {})) {
    if (FolderRunner* r = runner(key.folder)) r->applied(key.path);
  }
  check_drains();
  check_resumes();
  check_leaves();
  check_verify();
  check_removals();
  transport_->flush();
  service_->set(next);
  const Now at = now();
  const std::uint64_t due = replica_->next_tick_ms();
  tick_->set(Clock::now() + std::chrono::milliseconds(due > at.mono_ms ? due - at.mono_ms : 0));
}

void Daemon::process() {
  while (!events_.empty() || members_changed_) {
    if (members_changed_) update_members();
    for (std::size_t n = 0; n < kEventsPerCommit && !events_.empty(); ++n) {
      const Event event = std::move(events_.front());
      events_.pop_front();
      auto effects = replica_->step(event, now());
      std::move(effects.begin(), effects.end(), std::back_inserter(effects_));
    }
    if (!commit()) return;
  }
}

// Makes the index's changes safe from the death of the process, then lets the effects out.
bool Daemon::commit() {
  const auto batch = index_->commit();
  if (!batch) {
    if (batch.error().code == Error::Code::invalid) {
      end_ = tl::unexpected(batch.error());
      loop_.stop();
    } else if (!commit_blocked_) {
      spdlog::error("{}; the node pauses until it can write its index", batch.error().message);
    }
    commit_blocked_ = true;
    retry_commit_->set(Clock::now() + std::chrono::seconds(1));
    return false;
  }
  if (commit_blocked_) spdlog::info("the index can be written again");
  commit_blocked_ = false;
  replica_->committed(*batch);
  std::vector<Effect> effects;
  effects.swap(effects_);
  for (Effect& effect : effects) execute(effect);
  return true;
}

void Daemon::execute(Effect& effect) {
  struct Visitor {
    Daemon& d;
    void operator()(Send& e) {
      d.send(e);
    }
    void operator()(StartJob& e) { d.start_job(std::move(e.job)); }
    void operator()(LookAt& e) {
      FolderRunner* r = d.runner(e.folder);
      if (r) e.asked ? r->look_asked(e.path) : r->look(e.path, e.subtree);
    }
    void operator()(FlushIndex&) {
      d.kv_->flush();
      if (d.kv_->durable() >= d.kv_->applied()) d.tell(Durable{d.kv_->durable()});
    }
    void operator()(MembersChanged&) { d.members_changed_ = true; }
    void operator()(WaitOver& e) { d.end_wait(e.wait); }
    void operator()(FindOver& e) { d.end_find(e.find); }
    void operator()(LogLine& e) { e.warning ? spdlog::warn(e.text) : spdlog::info(e.text); }
  };
  std::visit(Visitor{*this}, effect);
}

// What a full lane does not take waits here, in order, up to the bound: pieces that were asked for must not be lost.
void Daemon::send(Send& message) {
  Overflow& waiting = overflow_[{message.peer, message.lane}];
  if (waiting.messages.empty() && transport_->send(message.peer, message.lane, message.message)) return;
  if (!link_up_.contains(message.peer)) return;
  const std::size_t most = message.asked_for ? kOverflowBytes : kPushedBytes;
  if (waiting.bytes + message.message.size() > most) return tell(SendRefused{message.peer, message.lane});
  waiting.bytes += message.message.size();
  waiting.messages.push_back(std::move(message.message));
}

void Daemon::send_waiting(const NodeId& peer, Lane lane) {
  const auto it = overflow_.find({peer, lane});
  if (it == overflow_.end()) return;
  auto& [messages, bytes] = it->second;
  while (!messages.empty() && transport_->send(peer, lane, messages.front())) {
    bytes -= messages.front().size();
    messages.pop_front();
  }
  if (messages.empty()) tell(LaneWritable{peer, lane});
}

void Daemon::start_job(FileJob job) {
  FolderRunner* const r = runner(job.folder);
  const auto folder = r ? r->open() : nullptr;
  if (!folder) {
    tell(FileDone{job.id, std::visit(Unavailable{}, job.work)});
    return;
  }
  const std::string strand = job.strand;
  const bool bulk = job.bulk;
  PathKey applied{job.folder, ""};
  if (const auto* apply = std::get_if<ApplyJob>(&job.work)) r->applying(applied.path = apply->request.path);
  executor_.run(strand, bulk, [this, folder, applied = std::move(applied), job = std::move(job)]() mutable {
    FileOutcome outcome = run_job(*folder->folder, job);
    loop_.post([this, id = job.id, applied = std::move(applied), outcome = std::move(outcome)]() mutable {
      tell(FileDone{id, std::move(outcome)});
      if (!applied.path.empty()) applied_.push_back(std::move(applied));
    });
  });
}

// ---- what the links say
// -----------------------------------------------------------------------------------------------------

void Daemon::link_up(const NodeId& peer) {
  link_since_[peer] = Clock::now();
  link_up_.insert(peer);
  spdlog::info("linked to {} ({})", name_of(peer), transport_->stats(peer).address);
  tell(LinkUp{peer});
}

// How far the members are, once a second where it has changed.
void Daemon::tell_paths() {
  constexpr std::chrono::seconds every{1};
  if (Clock::now() < paths_due_) return;
  paths_due_ = Clock::now() + every;
  const std::set<NodeId> linked = link_up_;
  for (const NodeId& peer : linked) {
    const std::uint32_t rtt_ms = transport_->stats(peer).rtt_us / 1000;
    const auto [told, fresh] = told_rtt_ms_.try_emplace(peer, rtt_ms);
    if (!fresh && std::exchange(told->second, rtt_ms) == rtt_ms) continue;
    tell(LinkPath{peer, rtt_ms});
  }
}

void Daemon::link_down(const NodeId& peer, const std::string& reason) {
  link_since_[peer] = Clock::now();
  link_up_.erase(peer);
  told_rtt_ms_.erase(peer);
  if (const Member* m = member(peer); m && m->state == MemberState::left) members_changed_ = true;  // it has hung up
  std::erase_if(overflow_, [&](const auto& o) { return o.first.first == peer; });
  spdlog::info("link to {} is down: {}", name_of(peer), reason);
  tell(LinkDown{peer});
}

void Daemon::received(const NodeId& peer, Lane, BytesView message) { tell(Received{peer, Bytes(message)}); }
void Daemon::writable(const NodeId& peer, Lane lane) { send_waiting(peer, lane); }

// ---- the program
// ------------------------------------------------------------------------------------------------------------

int run_node(const RunOptions& options) {
  const auto refuse = [](const Error& e) {
    fmt::print(stderr, "synclined: {}\n", e.message);
    return 1;
  };
  auto home = load_home(options.home);
  if (!home) return refuse(home.error());
  auto lock = HomeLock::take(home->path);
  if (!lock) return refuse(lock.error());
  static constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info,
                                                         spdlog::level::warn, spdlog::level::err};
  spdlog::set_level(levels[static_cast<int>(home->config.log)]);
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  auto daemon = Daemon::create(std::move(*home));
  if (!daemon) return refuse(daemon.error());
  const Status ended = (*daemon)->run();
  return ended ? 0 : refuse(ended.error());
}

}  // namespace syncline

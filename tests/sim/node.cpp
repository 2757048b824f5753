#include "tests/sim/node.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/file_jobs.h"
#include "tests/sim/trace.h"

namespace syncline::sim {
namespace {

constexpr std::uint64_t kEpochMs = 1'700'000'000'000;
constexpr std::int64_t kJumpBearableMs = 30'000;

std::int64_t either_way(Random& random, std::uint64_t max) {
  return static_cast<std::int64_t>(random.below(2 * max + 1)) - static_cast<std::int64_t>(max);
}

}  // namespace

NodeId node_id(std::size_t number) {
  NodeId out;
  out.bytes[0] = static_cast<std::uint8_t>(number / 256);
  out.bytes[1] = static_cast<std::uint8_t>(number % 256);
  out.bytes[31] = 1;
  return out;
}

Node::Node(World& world, std::size_t number, Network& network)
    : world_(world),
      number_(number),
      name_(fmt::format("n{}", number)),
      network_(network),
      random_(world.schedule.seed, 100 + number),
      kv_(make_memory_kv()) {
  skew_ms_ = either_way(random_, world.weather.skew_ms_max);
  drift_ppm_ = either_way(random_, world.weather.drift_ppm_max);
  if (world.weather.send_only == number + 1) mode_ = FolderMode::send_only;
  if (world.weather.receive_only == number + 1) mode_ = FolderMode::receive_only;
  if (mode_ == FolderMode::receive_only && world.weather.modes_end == 0) world.history.set_receive_only(number);
  set_up_disk(std::make_unique<MemoryFileSystem>(disk_clock()));
  set_owners();
  const Status marked = Folder::create_marker(*disk_, folder_identity());
  if (!marked) world.violation("setup", marked.error().message);
  (void)disk_->sync_all();
}

Node::~Node() = default;

std::uint64_t Node::wall_ms() const {
  const auto ms = static_cast<std::int64_t>(world_.queue.now_us() / 1000);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(kEpochMs) + skew_ms_ + jump_ms_ + ms +
                                    ms * drift_ppm_ / 1'000'000);
}

void Node::later(std::uint64_t us, std::function<void()> what) {
  world_.queue.after(us, [this, id = processes_, what = std::move(what)] {
    if (process_ && process_->id == id) what();
  });
}

void Node::before_operation(const MemoryFileSystem::Access& access) {
  if (!in_call_ || in_hook_ || halted_) return;
  in_hook_ = true;
  if (!applying_.empty()) check_shown(applying_);
  if (glitch_in_ > 0 && --glitch_in_ == 0) {
    world_.trace(fmt::format("{}   {} {} fails", name_, access.operation, access.path));
    disk_->fail_at(access.index);
  }
  if (ambush_in_ > 0 && --ambush_in_ == 0 && !leaving_ && !touches_rot(applying_) && !touches_rot("c")) {
    ++world_.stats.ambushes;
    world_.trace(
        fmt::format("{}   an application comes in before {} {}", name_, access.operation, access.path));
    notice(application_->interfere(applying_, world_.queue.now_us()));
  }
  if (crash_armed_ && crash_operations_-- <= 1) {
    halted_ = true;
    world_.trace(fmt::format("{}   dies before {} {}", name_, access.operation, access.path));
    disk_->halt_at(access.index);
  }
  in_hook_ = false;
}

void Node::check_shown(const std::string& path) {
  const auto bytes = disk_->app_bytes(path);
  if (!bytes) return;
  const State state{FileType::file, world_.history.content(bytes), 0, {}};
  if (!world_.history.may_show(number_, path, state)) {
    world_.violation("no mixed content",
                     fmt::format("{} shows {} at {}", name_, world_.history.describe(state), path));
  }
}

// ---- events in, effects out

void Node::feed(const Event& event) {
  Process& p = *process_;
  ++world_.stats.steps;
  world_.mix(number_ * 16 + event.index());
  if (world_.trace_on) world_.trace(fmt::format("{} <- {}", name_, to_text(event, world_)));
  std::vector<Effect> effects = p.replica->step(event, now());
  const auto batch = p.index->commit();
  if (!batch) return world_.violation("index", batch.error().message);
  p.replica->committed(*batch);
  if (crash_armed_ && random_.chance(100)) return die();  // between the commit and the effects
  if (kv_->applied() > kv_->durable()) plan_group(world_.weather.sync_ms * 1000);
  carry_out(std::move(effects));
  plan_tick();
}

void Node::carry_out(std::vector<Effect> effects) {
  for (Effect& effect : effects) {
    if (world_.trace_on) world_.trace(fmt::format("{} -> {}", name_, to_text(effect, world_)));
    if (auto* s = std::get_if<Send>(&effect))
      send(*s);
    else if (auto* job = std::get_if<StartJob>(&effect))
      start_job(std::move(job->job));
    else if (auto* at = std::get_if<LookAt>(&effect))
      at->subtree ? look_below(at->path) : look(at->path, !at->asked, 0, false, 0, at->asked);
    else if (std::holds_alternative<FlushIndex>(effect))
      plan_group(1000);
    else if (std::holds_alternative<WaitOver>(effect) || std::holds_alternative<FindOver>(effect))
      later(0, [this, effect] { answered(effect); });
  }
}

void Node::send(Send& effect) {
  for (std::size_t peer = 0; peer < world_.schedule.nodes; ++peer) {
    if (node_id(peer) != effect.peer) continue;
    if (network_.send(number_, peer, effect.lane, std::move(effect.message))) return;
    later(0, [this, to = effect.peer, lane = effect.lane] { feed(SendRefused{to, lane}); });
  }
}

void Node::plan_tick() {
  Process& p = *process_;
  const std::uint64_t due = std::max(p.replica->next_tick_ms() * 1000, world_.queue.now_us() + 1000);
  if (due >= p.tick_at_us && p.tick_at_us > world_.queue.now_us()) return;
  p.tick_at_us = due;
  later(due - world_.queue.now_us(), [this, due] {
    if (process_->tick_at_us != due) return;
    process_->tick_at_us = UINT64_MAX;
    feed(Tick{});
  });
}

void Node::plan_group(std::uint64_t within_us) {
  if (process_->group_planned) return;
  process_->group_planned = true;
  later(within_us, [this] { group_commit(); });
}

void Node::group_commit() {
  Process& p = *process_;
  p.group_planned = false;
  const std::uint64_t applied = kv_->applied();
  in_call_ = true;
  const Status synced = p.folder->sync();
  in_call_ = false;
  if (died_in_call()) return;
  if (!synced) return plan_group(100'000);
  kv_->make_durable();
  feed(Durable{applied});
}

void Node::on_strand(const std::string& strand, std::uint64_t delay_us,
                     std::function<std::function<void()>()> work) {
  Process& p = *process_;
  Strand& s = p.strands[strand.empty() ? fmt::format("//{}", p.under_way) : strand];
  const std::uint64_t now_us = world_.queue.now_us();
  s.free_us = std::max(s.free_us, now_us + delay_us + draw(world_.weather.job_us_max));
  s.told_us = std::max(s.told_us, s.free_us + draw(world_.weather.job_us_max));
  ++p.under_way;
  later(s.free_us - now_us, [this, told_us = s.told_us, work = std::move(work)] {
    in_call_ = true;
    auto tell = work();
    in_call_ = false;
    if (died_in_call()) return;
    later(told_us - world_.queue.now_us(), [this, tell = std::move(tell)] {
      --process_->under_way;
      tell();
    });
  });
}

void Node::start_job(FileJob job) {
  ++world_.stats.jobs;
  world_.last_activity_us = world_.queue.now_us();
  const std::string strand = job.strand;
  on_strand(strand, job.bulk ? draw(5 * world_.weather.job_us_max) : 0, [this, job = std::move(job)] {
    const auto* apply = std::get_if<ApplyJob>(&job.work);
    if (apply) {
      ++world_.stats.applies;
      applying_ = apply->request.path;
      const bool armed = world_.queue.now_us() < ambush_until_us_;
      // Drawn for this apply alone, so that a schedule can be shrunk without moving every later ambush.
      Random here(world_.schedule.seed * 1000 + number_,
                  text_number(applying_) + apply->request.content.size);
      if (here.chance(armed ? 1000 : world_.weather.ambush_per_mille)) ambush_in_ = 1 + here.below(12);
      if (armed) ambush_until_us_ = 0;
    }
    FileOutcome outcome = run_job(*process_->folder, job);
    if (apply && !halted_) check_shown(applying_);
    if (world_.trace_on) world_.trace(fmt::format("{} job {} done: {}", name_, job.id, to_text(outcome)));
    applying_.clear();
    ambush_in_ = 0;
    const bool rules = apply && apply->request.path == kIgnoreFile;
    return [this, rules, id = job.id, outcome = std::move(outcome)] {
      feed(FileDone{id, outcome});
      if (rules && process_) read_rules(false);
    };
  });
}

// ---- the world

void Node::run_application(const Step& step) {
  if (!powered_ || (leaving_ && !gone_) || touches_rot(step.path) || touches_rot(step.to)) return;
  world_.history.set_unwatched(!process_ || process_->paused || mode_ == FolderMode::receive_only);
  notice(application_->run(step, world_.queue.now_us()));
  world_.history.set_unwatched(false);
  if (step.verb != Verb::hold && step.verb != Verb::linger) return;
  world_.queue.after(static_cast<std::uint64_t>(step.number) * 1000, [this, path = step.path] {
    if (powered_) notice(application_->finish_hold(path, world_.queue.now_us()));
  });
}

void Node::finish_holds() { notice(application_->finish_all(world_.queue.now_us())); }

void Node::disk_full(std::uint64_t ms) {
  disk_->space_left(0);
  world_.queue.after(ms * 1000, [this] { heal_disk(); });
}

void Node::disk_broken(std::uint64_t ms, const std::string& path) {
  disk_->io_error_on(path);
  world_.queue.after(ms * 1000, [this] { heal_disk(); });
}

void Node::heal_disk() {
  disk_->heal();
  set_disk_abilities();
}

void Node::set_disk_abilities() {
  if (world_.weather.no_leases != 0) disk_->without_leases();
  if (world_.weather.no_exchange != 0) disk_->without_exchange();
}

void Node::heal() {
  heal_disk();
  if (std::abs(jump_ms_) > kJumpBearableMs) jump_ms_ = 0;  // the others refuse to follow; somebody sets the clock
  ambush_until_us_ = 0;
  finish_holds();
  take_up();
  glitch_in_ = 0;
  if (std::exchange(glitched_, false) && process_) {  // what lies aside, and could not be put back, is seen to at the start
    crash_by_power_ = false;
    die();
  }
  start();
}

// What an administrator does about the first open conflict of a path, once the node has settled enough for
// him to have seen it.
void Node::resolve(const std::string& path, bool restore) {
  if (!process_ || given_up_ || process_->paused || !idle()) return;
  for (const Conflict& c : process_->index->conflicts_of(1, path)) {
    if (c.resolved || c.loser.content.kind != Kind::file) continue;
    const auto bytes = process_->folder->read_version(c.loser.content.hash, 0, c.loser.content.size);
    if (c.loser.content.size > 0 && !bytes) return;
    const State state{FileType::file,
                      world_.history.content(c.loser.content.size > 0 ? *bytes : Bytes()),
                      c.loser.content.mode,
                      {}};
    world_.trace(fmt::format("{} {} conflict of {}: {}", name_, restore ? "restores" : "drops", path,
                             world_.history.describe(state)));
    if (!restore) {
      if (process_->replica->drop_conflict(1, path, c.loser.dot, now())) world_.history.let_go(path, state);
    } else {
      const auto shown = read_path(*disk_, world_.history, path);
      if (shown && !is_told(path, shown->state)) return;  // he does not see what nobody has looked at
      if (process_->replica->restore_conflict(1, path, c.loser.dot, "", now())) {
        world_.history.wrote(world_.queue.now_us(), number_, path,
                             shown ? std::optional(shown->state) : std::nullopt, state);
      }
    }
    return feed(Tick{});
  }
}

void Node::revert(const std::string& asked) {
  const std::string path = asked == "." ? "" : asked;
  if (!process_ || mode_ != FolderMode::receive_only || !process_->scanned || process_->paused) return;
  for (const HeldView& held : process_->replica->held(1, SIZE_MAX)) {
    if (held.held == Held::unpublished && is_below(held.path, path)) world_.history.reverted(number_, held.path);
  }
  if (process_->replica->revert(1, path, now())) feed(Tick{});
}

void Node::end_mode() {
  if (mode_ == FolderMode::send_receive) return;
  mode_ = FolderMode::send_receive;
  crash_by_power_ = false;
  if (process_) die();
}

bool Node::idle() const {
  return process_ && process_->scanned && process_->under_way == 0 && process_->folder->limbo_size() == 0 &&
         process_->replica->idle();
}
std::uint64_t Node::pending() const { return process_->index->counts(1).pending; }
const VersionVector& Node::vector() const { return process_->index->vector(); }

std::string Node::why_busy() const {
  if (!process_) return name_ + " is down";
  std::string paths;
  for (const std::string& path : process_->index->pending(1, "", 5)) paths += " " + path;
  std::string problems;
  for (const ProblemView& problem : process_->replica->problems())
    problems += "; " + problem.path + ": " + problem.text;
  for (const Conflict& c : process_->index->conflicts(1, false, SIZE_MAX)) {
    if (!has_bytes(c)) problems += fmt::format("; no bytes for the conflict of {}: {}", c.loser.path, to_hex(c.loser.content.hash).substr(0, 8));
  }
  return fmt::format("{}: scanned {}, {} under way, replica {}, pending{}{}", name_, process_->scanned,
                     process_->under_way, process_->replica->idle() ? "idle" : "busy", paths, problems);
}

}  // namespace syncline::sim

// How a node starts, dies, and comes back.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/limits.h"
#include "protocol/member.h"
#include "protocol/planted_fault.h"
#include "tests/sim/node.h"

namespace syncline::sim {
namespace {

constexpr std::uint64_t kCrashSoonUs = 50'000;
constexpr std::uint64_t kSettleUs = 1'000'000;

}  // namespace

Folder::Identity folder_identity() {
  Folder::Identity out;
  out.cluster.bytes[0] = 1;
  return out;
}

void Node::start() {
  powered_ = true;
  if (process_) return;
  world_.history.killed(number_, {});
  auto p = std::make_unique<Process>();
  p->id = ++processes_;
  auto index = Index::open(*kv_);
  if (!index) return world_.violation("restart", fmt::format("{}: {}", name_, index.error().message));
  p->index = std::move(*index);
  // An apply whose end the index has not heard of, and an application that removed what it made before the process died.
  world_.history.removed_unknown(number_, [&](const std::string& path, const State& before) {
    const auto entry = p->index->get(1, path);
    if (!entry || !entry->live) return true;  // a loss of power took even the news of it
    if (entry->disk && entry->disk->state.present()) return false;
    const Content& live = entry->live->content;
    if (before.type == FileType::symlink) return live.kind == Kind::symlink && live.target == before.target;
    return before.type == FileType::file && live.kind == Kind::file && live.hash == world_.hash_key.hash(world_.history.bytes(before.content));
  });
  auto folder = Folder::open(*disk_, world_.hash_key, folder_identity());
  if (!folder) return world_.queue.after(1'000'000, [this] { start(); });  // a fault of the disk: try again
  p->folder = std::move(*folder);
  ReplicaOptions options;
  options.self = node_id(number_);
  options.name = name_;
  Random actor(world_.schedule.seed, 1'000'000 + number_ * 1000 + (planted(Fault::counter_restored) ? 0 : processes_));
  for (auto& byte : options.actor.bytes) byte = static_cast<std::uint8_t>(actor.next());
  options.actor_certificate = encode_actor({options.actor, options.self, {}});
  options.random_seed = actor.next();
  if (relays_contents(world_.schedule)) options.relay_from_bytes = 0;
  options.modes[1] = mode_;
  if (given_up_) options.folders.clear();
  if (world_.weather.one_near != 0) options.gossip = {.all_up_to = 0, .factor = limits::members};
  p->replica = std::make_unique<Replica>(*p->index, options);
  process_ = std::move(p);
  world_.trace(fmt::format("{} starts as {}", name_, to_hex(options.actor).substr(0, 8)));
  if (number_ == 0 && process_->replica->values("members").size() < world_.schedule.nodes) {  // the founder, whose home knows them whatever power took
    for (std::size_t n = 0; n < world_.schedule.nodes; ++n) {
      process_->replica->put_value("members/" + to_hex(node_id(n)), Bytes("member"), now());
    }
  }
  feed(Tick{});
  if (process_) clean();
  if (process_) read_rules(true);
  if (process_) first_scan();
  if (process_) later(kSettleUs, [this] { settle_limbo(); });
}

// What a crash left in .syncline: partial contents stay where a pending path may go on with them, kept
// versions are reported.
void Node::clean() {
  if (given_up_) return;
  Process& p = *process_;
  std::set<Hash128> wanted;
  for (const std::string& path : p.index->pending(1, "", SIZE_MAX))
    wanted.insert(p.index->get(1, path)->live->content.hash);
  const bool recovering = p.replica->recovering();
  p.folder->clean_staging([&](const Hash128& hash) { return wanted.contains(hash); }, p.index->after_power_loss());
  KeptFound found{1, {}};
  for (const Hash128& hash : p.folder->versions().value_or(std::vector<Hash128>{})) {
    if (p.index->conflict_needs(hash)) continue;
    if (p.index->paths_with(1, hash, 1).empty() && p.folder->has_version(hash, recovering))
      found.contents.push_back(hash);
    else
      (void)p.folder->drop_version(hash);
  }
  if (!found.contents.empty()) feed(found);
}

// Once a second, as long as something that was replaced may still be written to.
void Node::settle_limbo() {
  if (!given_up_ && process_->folder->limbo_size() > 0) {
    in_call_ = true;
    const auto late = process_->folder->settle_limbo();
    in_call_ = false;
    if (died_in_call()) return;
    for (const LateWrite& l : late) {
      if (process_) feed(WroteLate{1, l});
    }
  }
  if (process_) later(kSettleUs, [this] { settle_limbo(); });
}

void Node::crash(bool power, std::uint64_t operations) {
  if (!process_) {
    if (power && powered_) lose_power();
    return;
  }
  if (crash_armed_) return;
  crash_armed_ = true;
  crash_by_power_ = power;
  crash_operations_ = operations;
  if (operations == 0) return die();
  later(draw(kCrashSoonUs), [this] {
    if (crash_armed_) die();
  });
}

void Node::die() {
  ++world_.stats.crashes;
  world_.trace(fmt::format("{} {}", name_, crash_by_power_ ? "loses power" : "is killed"));
  std::set<std::string> untold;
  for (const auto& [path, shown] : read_tree(*disk_, world_.history)) {
    const auto entry = process_->index->get(1, path);
    if (shown.state.type != FileType::directory && !(entry && entry->disk)) untold.insert(path);
  }
  world_.history.killed(number_, std::move(untold));
  disk_->halt_at(0);  // what destructors do to the disk, a dead process would not
  process_.reset();
  disk_->restart();
  crash_armed_ = halted_ = false;
  network_.node_down(number_);
  if (crash_by_power_)
    lose_power();
  else
    kv_->crash(kv_->applied(), false);
}

void Node::lose_power() {
  powered_ = false;
  ++power_losses_;
  const Tree before = read_tree(*disk_, world_.history);
  const std::vector<std::string> held = application_->held();
  application_->lose_power();
  kv_->crash(random_.between(kv_->durable(), kv_->applied()), true);
  disk_->crash([this] { return random_.next(); });
  const Tree after = read_tree(*disk_, world_.history);
  std::set<std::string> paths(held.begin(), held.end());
  for (const auto& [path, shown] : before) paths.insert(path);
  for (const auto& [path, shown] : after) paths.insert(path);
  for (const std::string& path : paths) {
    const auto x = before.find(path), y = after.find(path);
    const auto was = x == before.end() ? std::nullopt : std::optional(x->second.state);
    const auto is = y == after.end() ? std::nullopt : std::optional(y->second.state);
    if (was == is && std::find(held.begin(), held.end(), path) == held.end()) continue;
    world_.trace(fmt::format("{}   the disk has {} at {} where {} was", name_, world_.history.describe(is),
                             path, world_.history.describe(was)));
    world_.history.lost_power(world_.queue.now_us(), number_, path, was, is);
  }
  on_power_loss();
}

MemoryFileSystem::ClockNs Node::disk_clock() {
  return [this] {
    return static_cast<std::int64_t>(wall_ms()) * 1'000'000 +
           static_cast<std::int64_t>(world_.queue.now_us() % 1000) * 1000;
  };
}

void Node::set_up_disk(std::unique_ptr<MemoryFileSystem> disk) {
  application_.reset();
  disk_ = std::move(disk);
  application_ = std::make_unique<Application>(number_, *disk_, world_.history,
                                               Random(world_.schedule.seed, 200 + number_ + 1000 * disks_++));
  set_disk_abilities();
  disk_->before_each([this](const MemoryFileSystem::Access& access) { before_operation(access); });
}

std::optional<Node::Image> Node::make_image() {
  if (!linkable() || !idle() || application_->holds_any()) return std::nullopt;
  Image image{disk_->copy(), kv_->copy(), world_.history.writes().size(), {}};
  image.kv->make_durable();
  for (const auto& [path, shown] : read_tree(*disk_, world_.history)) {
    if (!is_told(path, shown.state)) image.untold.emplace_back(path, shown.state);
  }
  return image;
}

bool Node::is_told(const std::string& path, const State& state) const {
  if (state.type != FileType::file) return true;
  const auto entry = process_->index->get(1, path);
  return entry && entry->disk && entry->disk->state.content.hash == world_.hash_key.hash(world_.history.bytes(state.content));
}

void Node::take_image() {
  if (auto image = make_image()) image_ = std::move(image);
}

void Node::return_to_image(const Elsewhere& elsewhere) {
  if (image_) put_image(*image_, image_->writes, elsewhere);
}

void Node::become_copy_of(Node& other, const Elsewhere& elsewhere) {
  if (&other == this) return;
  if (const auto image = other.make_image()) put_image(*image, 0, elsewhere);
}

void Node::put_image(const Image& image, std::size_t since, const Elsewhere& elsewhere) {
  crash_armed_ = true;
  crash_by_power_ = false;
  if (process_) die();
  crash_armed_ = false;
  world_.history.set_back(number_, since, elsewhere);
  for (const auto& [path, state] : image.untold) world_.history.imaged_untold(path, state);
  world_.history.killed(number_, {});
  set_up_disk(image.disk->copy(disk_clock()));
  kv_ = image.kv->copy();
  kv_->crash(kv_->applied(), true);
  world_.queue.after(kSettleUs / 10, [this] { start(); });
}

void Node::put_departure(const Departure& departure) {
  process_->replica->put_value(departure_path(departure.node), encode_departure(departure), now());
}

std::optional<MemberState> Node::departure() const {
  const auto gone = process_->replica->values("gone");
  const auto own = gone.find(departure_path(node_id(number_)));
  if (own == gone.end()) return std::nullopt;
  const auto decoded = decode_departure(own->second);
  return decoded ? std::optional(decoded->state) : std::nullopt;
}

bool Node::lists(std::size_t peer) const {
  return process_ && !process_->replica->values("gone").contains(departure_path(node_id(peer)));
}

bool Node::keeps_links() const {
  const auto own = departure();
  return !own || (*own == MemberState::left && !told_);
}

bool Node::died_in_call() {
  if (!halted_) return false;
  die();
  return true;
}

}  // namespace syncline::sim

#include "node/folder_runner.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <set>

#include "protocol/limits.h"
#include "storage/ignore_file.h"

namespace syncline {

namespace {
constexpr std::size_t kLooksInFlight = 32;
constexpr std::size_t kPlacesLookedAt = 4;
constexpr std::size_t kDrainBudget = 4096;
constexpr std::chrono::seconds kReopen{3}, kReopenMissing{60};  // the second reads the whole folder
constexpr const char* kPaused = "by an administrator; to go on: syncline folder resume";
constexpr std::chrono::seconds kOverdue{1};
constexpr std::chrono::milliseconds kCloseAgain{50};

Look forced(const std::string& path) {
  Look look;
  look.path = path;
  look.force = true;
  return look;
}
}  // namespace

FolderRunner::FolderRunner(Options options, Loop& loop, Executor& executor, Index& index, Kv& kv,
                           std::function<void(Event)> tell)
    : options_(std::move(options)),
      loop_(loop),
      executor_(executor),
      index_(index),
      reader_(kv),
      tell_(std::move(tell)),
      self_(std::make_shared<FolderRunner*>(this)),
      alarm_(loop.alarm([this] { pump(); })),
      settle_alarm_(loop.alarm([this] { settle(); })),
      periodic_(loop.alarm([this] {
        if (paused_) return close();
        if (!stopped_.empty()) {
          if (try_open()) request_scan("", "");
        } else {
          if (watcher_) watcher_->refresh(), drain_watcher();
          request_scan("", "");
        }
        periodic_.set(Clock::now() + (stopped_.empty() ? options_.rescan : reopen_));
      })),
      paused_(options_.paused) {}

FolderRunner::~FolderRunner() {
  *self_ = nullptr;
  if (watcher_) loop_.unwatch(watcher_->fd());
  for (Loop::Alarm* alarm : {&alarm_, &settle_alarm_, &periodic_}) alarm->set(TimePoint::max());
  {
    const std::lock_guard lock(scan_mutex_);
    quit_ = true;
  }
  scan_wake_.notify_all();
  if (scan_worker_.joinable()) scan_worker_.join();
}

void FolderRunner::start() {
  scan_worker_ = std::thread([this] { scan_thread(); });
  settle();
  if (paused_) return pause();
  if (try_open()) request_scan("", "");
  periodic_.set(Clock::now() + (stopped_.empty() ? options_.rescan : kReopen));
}

void FolderRunner::pause() {
  paused_ = true, resuming_ = false;
  if (watcher_) loop_.unwatch(watcher_->fd());
  watcher_.reset();
  intake_.clear();
  stop(kPaused);
  close();
}

// What jobs have written counts as durable with the index: they end first, then it is synced, then closed.
void FolderRunner::close() {
  periodic_.set(TimePoint::max());
  const auto folder = options_.slot->get();
  if (!folder) return;
  if (folder.use_count() > 2) return periodic_.set(Clock::now() + kCloseAgain);  // more than the slot's and this one; no other begins
  executor_.run("", true, [&loop = loop_, alive = std::weak_ptr(self_), folder] {
    loop.post([alive, folder, synced = folder->folder->sync()] {
      const auto self = alive.lock();
      if (!self || !*self || !(*self)->paused_ || (*self)->options_.slot->get() != folder) return;
      if (synced) return (*self)->options_.slot->put(nullptr);
      spdlog::warn("{} cannot be closed: {}", (*self)->options_.path, synced.error().message);
      (*self)->periodic_.set(Clock::now() + kReopen);
    });
  });
}

void FolderRunner::resume(bool accept_deletions) {
  accept_deletions_ = accept_deletions;
  resuming_ |= std::exchange(paused_, false);
  if (stopped_.empty()) return request_scan("", "");
  if (resuming_) {
    stopped_ = "the scan after its pause is under way";
    tell_(FolderStopped{options_.id, stopped_, true});
    reopen_ = kReopen;
  }
  if (try_open()) request_scan("", "");
  periodic_.set(Clock::now() + reopen_);
}

// Opens the folder (again): marker, watcher, everything. False: stopped, with the reason told.
bool FolderRunner::try_open() {
  auto opened = std::make_shared<OpenFolder>();
  auto fs = open_file_system(options_.path);
  if (!fs) return stop(fs.error().message), false;
  opened->fs = std::move(*fs);
  auto folder = Folder::open(*opened->fs, *options_.key, options_.identity);
  if (!folder) return stop(folder.error().message), false;
  opened->folder = std::move(*folder);
  opened->folder->sync_before_showing(options_.strict);
  if (!open_rules(*opened)) return false;
  options_.slot->put(opened);
  clean(*opened->folder);
  intake_.clear();
  // Not the one of before: the path may be another directory by now.
  if (watcher_) loop_.unwatch(watcher_->fd());
  watcher_.reset();
  if (auto watcher = open_watcher(options_.path)) {
    watcher_ = std::move(*watcher);
    loop_.watch(watcher_->fd(), [this] { drain_watcher(); });
  } else {
    watch_error_ = watcher.error().message;
  }
  drain_watcher();
  return true;
}

// Once a second while something that was replaced may still be written to.
void FolderRunner::settle() {
  settle_alarm_.set(Clock::now() + std::chrono::seconds(1));
  const auto folder = open();
  if (!folder || settling_ || folder->folder->limbo_size() == 0) return;
  settling_ = true;
  executor_.run("", true, [&loop = loop_, alive = std::weak_ptr(self_), folder] {  // it may outlive this runner
    loop.post([alive, late = folder->folder->settle_limbo()] {
      const auto self = alive.lock();
      if (!self || !*self) return;
      (*self)->settling_ = false;
      for (const LateWrite& l : late) (*self)->tell_(WroteLate{(*self)->options_.id, l});
    });
  });
}

// What a crash left: partial contents stay only where a pending path may go on with them.
void FolderRunner::clean(Folder& folder) {
  std::set<Hash128> wanted;
  for (const std::string& path : index_.pending(options_.id, "", limits::staged_parts)) {
    const auto entry = index_.get(options_.id, path);
    if (entry && entry->live) wanted.insert(entry->live->content.hash);
  }
  const bool recovering = options_.recovering();
  folder.clean_staging([&](const Hash128& hash) { return wanted.contains(hash); }, index_.after_power_loss());
  const auto kept = folder.versions();
  if (!kept) return;
  std::vector<Hash128> strays;
  for (const Hash128& hash : *kept) {
    if (index_.conflict_needs(hash)) continue;
    if (!recovering && is_in_tree(folder, hash)) folder.drop_version(hash);
    else if (folder.has_version(hash, recovering)) strays.push_back(hash);
  }
  if (strays.empty()) return;
  spdlog::info("{} files in .syncline/versions belong to no open conflict; they are kept", strays.size());
  tell_(KeptFound{options_.id, std::move(strays)});
}

// Not only the index says so: a loss of power may have taken the bytes of what it calls whole.
bool FolderRunner::is_in_tree(Folder& folder, const Hash128& hash) const {
  if (index_.after_power_loss()) return false;
  for (const std::string& path : index_.paths_with(options_.id, hash, kPlacesLookedAt)) {
    const auto entry = index_.get(options_.id, path);
    if (entry && entry->disk && folder.is_unchanged(path, entry->disk->state)) return true;
  }
  return false;
}

// `much_missing`: whether it is back takes more than a glance.
void FolderRunner::stop(const std::string& reason, bool much_missing) {
  if (paused_ && reason != kPaused) return;
  reopen_ = much_missing ? kReopenMissing : kReopen;
  resuming_ = false;
  if (stopped_ == reason) return;
  if (paused_)
    spdlog::info("{} is paused", options_.path);
  else
    spdlog::warn("{} has stopped: {}", options_.path, reason);
  stopped_ = reason;
  ++stops_;
  scan_awaited_ = true;
  accept_deletions_ = false;
  forget_scan_looks();
  tell_(FolderStopped{options_.id, reason, paused_});
  periodic_.set(Clock::now() + reopen_);
}

void FolderRunner::drain_watcher() {
  if (!watcher_) return;
  const bool more = watcher_->drain([this](WatchEvent&& e) { event(std::move(e)); }, kDrainBudget);
  if (more) {
    loop_.post([alive = std::weak_ptr(self_)] {
      if (const auto self = alive.lock(); self && *self) (*self)->drain_watcher();
    });
  }
  pump();
}

std::string FolderRunner::watch_problem() const {
  if (watcher_) return watcher_->health().problem;
  return open() ? "changes are found by scans only: " + watch_error_ : "";
}

std::string FolderRunner::blind() const {
  return watcher_ && watcher_->health().unwatched == 0 ? "" : watch_problem();
}

bool FolderRunner::overdue() const {
  const auto due = intake_.next_deadline();
  return due && *due + kOverdue < Clock::now();
}

void FolderRunner::event(WatchEvent e) {
  if (e.kind == WatchEvent::Kind::root_lost) return stop(e.reason);
  if (is_noticed(e)) intake_.on_event(e, Clock::now());
}

// False: it is about ignored paths only. What comes out from among them is new, and what goes there is gone.
bool FolderRunner::is_noticed(WatchEvent& e) const {
  using Kind = WatchEvent::Kind;
  if (rules_->empty()) return true;
  const bool ignored = rules_->ignores(e.path, e.directory);
  const bool from_ignored = e.kind == Kind::moved && rules_->ignores(e.from, e.directory);
  if (e.kind == Kind::vanished && ignored) return index_.get(options_.id, e.path).has_value();  // it may have kept out a version of others
  if (e.kind != Kind::moved || ignored == from_ignored) return !ignored;
  if (ignored) {
    e.kind = Kind::vanished;
    e.path = e.from;
  } else {
    e.kind = e.directory ? Kind::rescan : Kind::arrived;
    e.reason = "moved from an ignored path";
  }
  e.from.clear();
  return true;
}

// ---- ignore rules
// ---------------------------------------------------------------------------------------------------------

// Before anything in the folder is looked at. False: they cannot be read, and the folder is stopped: they may say what not to touch.
bool FolderRunner::open_rules(OpenFolder& folder) {
  const auto text = read_ignore_file(*folder.fs);
  if (!text) return stop(fmt::format("{}: {}", kIgnoreFile, text.error().message)), false;
  take_rules(std::make_shared<IgnoreRules>(IgnoreRules::parse(*text)));
  return true;
}

void FolderRunner::read_rules() {
  const auto folder = open();
  if (!folder) return;
  executor_.run(std::string(kIgnoreFile), false, [&loop = loop_, alive = std::weak_ptr(self_), folder] {
    const auto text = read_ignore_file(*folder->fs);
    if (!text) return;  // its look says what is wrong; the rules stay as they are
    loop.post([alive, rules = std::make_shared<IgnoreRules>(IgnoreRules::parse(*text))] {
      const auto self = alive.lock();
      if (!self || !*self || (*self)->rules_->text() == rules->text()) return;
      (*self)->take_rules(rules);
      (*self)->request_scan("", "");
    });
  });
}

// A scan must follow.
void FolderRunner::take_rules(std::shared_ptr<const IgnoreRules> rules) {
  if (!rules->empty() || !rules_->empty())
    spdlog::info("{}: {} rules say what is not synced", kIgnoreFile, rules->size());
  for (const IgnoreProblem& problem : rules->problems()) spdlog::warn("{}: {}", kIgnoreFile, problem.text);
  {
    const std::lock_guard lock(rules_mutex_);
    rules_ = rules;
  }
  scan_awaited_ = true;
  tell_(IgnoreChanged{options_.id, std::move(rules)});
}

void FolderRunner::look(const std::string& path, bool subtree) {
  if (subtree) {
    scan_awaited_ |= path.empty();
    return request_scan(path, "");
  }
  dispatch(forced(path), Why::noticed);
}

void FolderRunner::look_asked(const std::string& path) {
  Look look;
  look.path = path;
  dispatch(std::move(look), Why::asked);
}

void FolderRunner::cannot_say(const std::string& path) {
  Observation o;
  o.state = Observation::State::busy;
  o.path = path;
  tell_(Observed{options_.id, std::move(o), UINT64_MAX, true});
}

void FolderRunner::look_now(const std::string& path, std::function<void()> done) {
  dispatch(forced(path), Why::noticed, std::move(done));
}

// Hands out looks: what the watcher saw first, then what a scan found.
void FolderRunner::pump() {
  const TimePoint now = Clock::now();
  std::size_t own = 0;  // looks that cost this thread a stat; the alarm brings the rest
  while (in_flight_ < kLooksInFlight && own < kLooksInFlight) {
    const auto due = intake_.take(now, kLooksInFlight - in_flight_);
    if (due.empty()) break;
    for (const Look& look : due) {
      if (look.subtree)
        request_scan(look.path, look.moved_from);
      else if (is_own_change(look))
        ++own;
      else
        dispatch(look, Why::noticed);
    }
  }
  std::size_t taken = 0;
  while (in_flight_ < kLooksInFlight && !scan_looks_.empty()) {
    Look look = std::move(scan_looks_.front());
    scan_looks_.pop_front();
    ++taken;
    dispatch(std::move(look), Why::scan);
  }
  if (taken > 0) {
    const std::lock_guard lock(scan_mutex_);
    scan_credit_ -= taken;
    scan_wake_.notify_all();
  }
  const auto next = intake_.next_deadline();
  alarm_.set(next && in_flight_ < kLooksInFlight ? *next : TimePoint::max());
}

// Whether what the watcher reports of a path is what this node has done there itself, or is about to.
bool FolderRunner::is_own_change(const Look& look) {
  if (own_changes_.puts_off(look)) return true;
  if (!own_changes_.take_recent(look.path) || look.force) return false;
  const auto folder = open();
  const auto entry = index_.get(options_.id, look.path);
  return folder && entry && entry->disk && folder->folder->is_unchanged(look.path, entry->disk->state);
}

void FolderRunner::applied(const std::string& path) {
  if (path == kIgnoreFile) read_rules();
  auto look = own_changes_.end(path);
  if (look && !is_own_change(*look)) dispatch(*std::move(look), Why::noticed);
}

void FolderRunner::dispatch(Look look, Why why, std::function<void()> done) {
  const auto folder = open();
  if (!folder || (!stopped_.empty() && why != Why::scan)) {
    if (why == Why::asked) cannot_say(look.path);
    if (done) done();
    return;
  }
  if (look.path.empty()) look.path = kRootPath;
  const auto entry = index_.get(options_.id, look.path);
  const DiskState known = entry && entry->disk ? entry->disk->state : DiskState{};
  ++in_flight_;
  scan_in_flight_ += why == Why::scan;
  const std::string strand = look.path;
  const std::uint64_t as_of = options_.looks_as_of();
  const bool marks = options_.recovering();
  executor_.run(strand, false,
                [&loop = loop_, alive = std::weak_ptr(self_), folder, look = std::move(look), known, why, as_of, marks,
                 done = std::move(done)] {
                  Observation o = folder->folder->observe(look.path, known, look.force, marks);
                  o.written = look.written;
                  std::string lost;
                  if (o.state == Observation::State::absent) {
                    if (const Status marker = folder->folder->check_marker(); !marker)
                      lost = marker.error().message;
                  }
                  loop.post([alive, look, why, as_of, done, lost, o = std::move(o)]() mutable {
                    const auto self = alive.lock();
                    if (!self || !*self) return;
                    FolderRunner& runner = **self;
                    --runner.in_flight_;
                    runner.scan_in_flight_ -= why == Why::scan;
                    if (lost.empty())
                      runner.observed(look, why, std::move(o), as_of);
                    else
                      runner.stop(lost);
                    if (!lost.empty() && why == Why::asked) runner.cannot_say(look.path);
                    if (done) done();
                    runner.pump();
                    runner.after_scan();
                  });
                });
}

void FolderRunner::observed(const Look& look, Why why, Observation observation, std::uint64_t as_of) {
  if (observation.state == Observation::State::busy) {
    intake_.again(look, Clock::now());
    if (why == Why::asked) cannot_say(look.path);
    return;
  }
  tell_(Observed{options_.id, std::move(observation), as_of, why == Why::asked});
  if (look.path == kIgnoreFile) read_rules();
}

}  // namespace syncline

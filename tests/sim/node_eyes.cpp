// How a node learns what is on its disk: looks, scans, and a watcher that may be slow or lose events.
#include <algorithm>
#include <utility>

#include "storage/ignore_file.h"
#include "tests/sim/node.h"

namespace syncline::sim {
namespace {

constexpr std::uint64_t kBusyAgainUs = 200'000;
constexpr std::uint64_t kDirectoryQuietUs = 500'000;
constexpr std::size_t kScanSlice = 20;

}  // namespace

void Node::look(const std::string& path, bool force, std::uint64_t delay_us, bool at_start,
                unsigned attempts, bool asked, bool written) {
  if (given_up_) return;
  ++world_.stats.looks;
  process_->first_looks += at_start;
  const auto entry = process_->index->get(1, path);
  const DiskState known = entry && entry->disk ? entry->disk->state : DiskState{};
  const std::uint64_t as_of = process_->replica->looks_as_of();
  on_strand(path, delay_us, [this, path, known, force, at_start, attempts, asked, written, as_of]() -> std::function<void()> {
    Observation o = process_->folder->observe(path, known, force, process_->replica->recovering());
    if (o.state == Observation::State::busy && !asked) {
      return [this, path, attempts, at_start, written] {
        process_->first_looks -= at_start;
        if (!written) process_->closed.insert(path);  // it will be
        later(kBusyAgainUs << std::min(attempts, 4u),
              [this, path, attempts] { look(path, true, 0, false, attempts + 1, false, true); });
      };
    }
    const bool lost = o.state == Observation::State::absent && !process_->folder->check_marker();
    o.written = written;
    return [this, path, at_start, lost, asked, as_of, o = std::move(o)] {
      if (o.written) process_->closed.erase(process_->closed.find(path));
      process_->first_looks -= at_start;
      if (lost) return;
      if (o.state != Observation::State::unchanged) world_.last_activity_us = world_.queue.now_us();
      feed(Observed{1, o, as_of, asked});
      if (process_ && o.path == kIgnoreFile) read_rules(false);
    };
  });
}

void Node::look_below(const std::string& path) {
  for (const std::string& p : all_paths()) {
    if (is_below(p, path)) look(p, true, 0);
  }
}

// What is on the disk, and what the index believes to be there.
std::vector<std::string> Node::all_paths() {
  std::set<std::string> out{std::string(kRootPath)};
  const IgnoreRules& rules = *process_->rules;
  for (const auto& [path, shown] : read_tree(*disk_, world_.history)) {
    if (!rules.ignores(path, shown.state.type == FileType::directory)) out.insert(path);
  }
  for (const auto& [path, entry] : process_->index->below(1, "", "", SIZE_MAX)) {
    if (entry.disk && entry.disk->state.present() && !rules.ignores(path, entry.disk->state.content.kind == Kind::directory)) out.insert(path);
  }
  return {out.begin(), out.end()};
}

bool Node::is_noticed(const std::string& path) {
  if (process_->rules->empty()) return true;
  const auto stat = disk_->app_stat(path);
  if (!stat && process_->index->get(1, path)) return true;
  return stat ? !process_->rules->ignores(path, stat->type == FileType::directory) : !process_->rules->ignores_both(path);
}

// At the start, and after every look at the file and every apply of it. A scan follows changed ones.
void Node::read_rules(bool at_start) {
  if (given_up_) return;
  in_call_ = true;
  const auto text = read_ignore_file(*disk_);
  in_call_ = false;
  if (died_in_call()) return;
  if (!text) {  // a fault of the disk
    later(kBusyAgainUs, [this] { read_rules(false); });
    return;
  }
  if (process_->rules->text() == *text) return;
  process_->rules = std::make_shared<IgnoreRules>(IgnoreRules::parse(*text));
  if (std::exchange(rules_text_, *text) != *text) rules_since_us_ = world_.queue.now_us();
  feed(IgnoreChanged{1, process_->rules});
  if (process_ && !at_start) first_scan();
}

void Node::first_scan() {
  if (given_up_) {  // nothing to look at
    process_->scanned = true;
    forgotten_ = false;
    network_.node_up(number_);
    return forget_folder();
  }
  ++process_->first_scans;
  later(draw(10'000),
        [this] { scan_slice(std::make_shared<std::vector<std::string>>(all_paths()), 0, true); });
}

void Node::rescan() {
  if (!process_ || !process_->scanned || process_->paused || given_up_) return;
  world_.trace(name_ + " scans its folder");
  scan_slice(std::make_shared<std::vector<std::string>>(all_paths()), 0, false);
}

void Node::scan_slice(std::shared_ptr<std::vector<std::string>> paths, std::size_t from, bool at_start) {
  const std::size_t end = std::min(paths->size(), from + kScanSlice);
  for (std::size_t i = from; i < end && process_; ++i) look((*paths)[i], false, 0, at_start);
  if (end < paths->size()) {
    later(1000, [this, paths, end, at_start] { scan_slice(paths, end, at_start); });
    return;
  }
  if (!at_start) return;
  first_scan_over();
}

// Once every look of the first scan has been told.
void Node::first_scan_over() {
  if (process_->first_looks > 0) return later(1000, [this] { first_scan_over(); });
  if (process_->first_scans > 0 && --process_->first_scans > 0) return;
  const bool first = !std::exchange(process_->scanned, true);
  feed(ScanFinished{1});
  if (process_ && first) network_.node_up(number_);
}

// An administrator pauses the folder: nobody looks at it. The scan at the end of that finds what was done meanwhile.
void Node::pause() {
  if (!process_ || !process_->scanned || process_->paused || given_up_) return;
  process_->paused = true;
  feed(FolderStopped{1, "by an administrator", true});
}

void Node::unpause() {
  if (!process_ || !process_->paused) return;
  process_->paused = false;
  feed(FolderStopped{1, "", false});
  if (process_) first_scan();
}

void Node::notice(const std::vector<Notice>& notices) {
  if (!process_ || process_->paused || given_up_) return;
  if (world_.queue.now_us() < events_lost_until_us_) return;
  for (const Notice& n : notices) {
    if (!is_noticed(n.path)) continue;
    const std::uint64_t delay = draw(world_.weather.watch_us_max);
    if (n.closed_write) process_->closed.insert(n.path);
    later(delay, [this, n] { look(n.path, n.closed_write, 0, false, 0, false, n.closed_write); });
    const std::size_t slash = n.path.rfind('/');
    const std::string parent = slash == std::string::npos ? std::string(kRootPath) : n.path.substr(0, slash);
    later(delay + kDirectoryQuietUs, [this, parent] { look(parent, false, 0); });
  }
}

void Node::lose_events(std::uint64_t ms) {
  events_lost_until_us_ = world_.queue.now_us() + ms * 1000;
  world_.queue.at(events_lost_until_us_, [this] { rescan(); });
}

}  // namespace syncline::sim

// The scans of a folder: asked for here, made on a thread of their own, told of here.
#include "node/folder_runner.h"

namespace syncline {

namespace {
constexpr std::size_t kScanLooksAhead = 8192;
constexpr std::size_t kScanBudget = 2000;

Look root_look() {
  Look look;
  look.path = kRootPath;
  return look;
}
}  // namespace

void FolderRunner::request_scan(const std::string& subtree, const std::string& moved_from) {
  const auto folder = open();
  if (!folder) return;
  scanning_ = true;
  dispatch(root_look(), Why::scan);
  const std::lock_guard lock(scan_mutex_);
  for (const ScanRequest& waiting : scan_requests_) {
    const bool the_same = waiting.stops == stops_ && waiting.accept_deletions == accept_deletions_;
    if (the_same && (waiting.subtree.empty() || waiting.subtree == subtree)) return;
  }
  scan_requests_.push_back({subtree, moved_from, folder, subtree.empty() && accept_deletions_, stops_});
  scan_wake_.notify_all();
}

void FolderRunner::scan_thread() {
  while (true) {
    ScanRequest request;
    {
      std::unique_lock lock(scan_mutex_);
      scan_wake_.wait(lock, [this] { return quit_ || !scan_requests_.empty(); });
      if (quit_) return;
      request = std::move(scan_requests_.front());
      scan_requests_.pop_front();
      ++scans_active_;
    }
    ScanOptions options;
    options.folder = options_.id;
    options.subtree = request.subtree;
    options.moved_from = request.moved_from;
    options.accept_deletions = request.accept_deletions;
    options.missing_percent = options_.missing_percent;
    {
      const std::lock_guard lock(rules_mutex_);
      options.ignore = rules_;
    }
    Folder& folder = *request.folder->folder;
    options.check_marker = [&folder] { return folder.check_marker(); };
    Scanner scanner(*request.folder->fs, reader_, std::move(options));
    bool more = true;
    while (more) {
      ScanSlice slice = scanner.step(kScanBudget);
      more = slice.state == ScanSlice::State::more;
      std::unique_lock lock(scan_mutex_);
      scan_wake_.wait(lock, [this] { return quit_ || scan_credit_ < kScanLooksAhead; });
      if (quit_) return;
      scan_credit_ += slice.looks.size();
      lock.unlock();
      loop_.post([alive = std::weak_ptr(self_), request, slice = std::move(slice)]() mutable {
        if (const auto self = alive.lock(); self && *self) (*self)->scanned(std::move(slice), request);
      });
    }
  }
}

void FolderRunner::scanned(ScanSlice slice, const ScanRequest& request) {
  if (slice.state != ScanSlice::State::more) {
    const std::lock_guard lock(scan_mutex_);
    --scans_active_;
  }
  if (request.stops != stops_) {  // of before the folder stopped, or was paused
    const std::lock_guard lock(scan_mutex_);
    scan_credit_ -= slice.looks.size();
    scan_wake_.notify_all();
    return;
  }
  for (Look& look : slice.looks) scan_looks_.push_back(std::move(look));
  for (ScanProblem& problem : slice.problems) {
    Observation o;
    o.state = Observation::State::unsupported;
    o.path = std::move(problem.path);
    o.problem = std::move(problem.reason);
    tell_(Observed{options_.id, std::move(o)});
  }
  switch (slice.state) {
    case ScanSlice::State::more:
      in_vain_ |= !stopped_.empty() && !slice.looks.empty();
      break;
    case ScanSlice::State::emptied:
    case ScanSlice::State::missing:
      stop(slice.reason + "; if that was on purpose: syncline folder resume --accept-deletions", slice.state == ScanSlice::State::missing);
      break;
    case ScanSlice::State::refused:
      stop(slice.reason);
      break;
    case ScanSlice::State::done:
      accept_scan_ = true;
      if (!stopped_.empty() && request.subtree.empty()) {  // it is back, and whole
        stopped_.clear();
        resuming_ = false;
        tell_(FolderStopped{options_.id, ""});
        if (in_vain_) request_scan("", "");
        in_vain_ = false;
        periodic_.set(Clock::now() + options_.rescan);
      }
      break;
  }
  pump();
  after_scan();
}

void FolderRunner::after_scan() {
  if (!scanning_ || !scan_looks_.empty() || scan_in_flight_ > 0) return;
  {
    const std::lock_guard lock(scan_mutex_);
    if (scans_active_ > 0 || !scan_requests_.empty()) return;
  }
  scanning_ = accept_deletions_ = false;
  if (!accept_scan_ || !stopped_.empty() || !scan_awaited_) return;
  scan_awaited_ = false;
  tell_(ScanFinished{options_.id});
}

void FolderRunner::forget_scan_looks() {
  const std::lock_guard lock(scan_mutex_);
  scan_credit_ -= scan_looks_.size();
  scan_looks_.clear();
  scan_wake_.notify_all();
}

}  // namespace syncline

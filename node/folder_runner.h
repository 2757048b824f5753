#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "node/events.h"
#include "node/executor.h"
#include "node/folder_slots.h"
#include "node/loop.h"
#include "node/own_changes.h"
#include "protocol/ignore.h"
#include "storage/folder.h"
#include "storage/index.h"
#include "storage/intake.h"
#include "storage/scanner.h"
#include "storage/watcher.h"

namespace syncline {

// The eyes of the node in one folder: watches it, scans it, looks at what may have changed, and tells the
// replica by Observed events. Notices when the folder is gone or emptied, stops then, and goes on by itself
// when it is back. Belongs to the loop's thread; the scan has a thread of its own.
class FolderRunner {
 public:
  struct Options {
    FolderId id = 1;
    std::string path;
    Folder::Identity identity;
    const HashKey* key = nullptr;
    bool strict = false;  // Folder::sync_before_showing()
    bool paused = false;  // begin so
    std::uint32_t missing_percent = 50;  // ScanOptions
    std::chrono::seconds rescan{3600};
    std::function<std::uint64_t()> looks_as_of;  // Replica::looks_as_of()
    std::function<bool()> recovering;            // Replica::recovering()
    std::shared_ptr<FolderSlot> slot = std::make_shared<FolderSlot>();
  };
  FolderRunner(Options options, Loop& loop, Executor& executor, Index& index, Kv& kv,
               std::function<void(Event)> tell);
  ~FolderRunner();

  void start();
  // Looks at nothing any more, and closes the folder once what is under way has ended and is durable (closed()), until resume(). That may be
  // called at any other time, too: a folder that has stopped is then tried again at once, and `accept_deletions` is of the scan that follows.
  void pause();
  void resume(bool accept_deletions);
  bool paused() const { return paused_ || resuming_; }  // until the scan after it is over
  bool closed() const { return paused_ && !options_.slot->get(); }
  void look(const std::string& path, bool subtree);  // an effect of the replica
  // For something that is begun now; null while there is nothing to begin.
  std::shared_ptr<OpenFolder> open() const { return paused_ ? nullptr : options_.slot->get(); }
  // An apply to `path` begins, has ended (the replica has been told).
  void applying(const std::string& path) { own_changes_.begin(path); }
  void applied(const std::string& path);
  // Looks at `path` and tells the replica what is there even if that is no news, or cannot be known now.
  void look_asked(const std::string& path);
  // Looks at `path` now, whatever the watcher says, and calls `done` when the replica was told.
  void look_now(const std::string& path, std::function<void()> done);
  const std::string& stopped() const { return stopped_; }  // why, or empty
  bool scanning() const { return scanning_; }
  std::size_t rules() const { return rules_->size(); }  // that say what is ignored
  // Why some changes wait for the next scan; empty: none does.
  std::string watch_problem() const;
  // The same, where it is this machine's own changes that do.
  std::string blind() const;
  // Something that was noticed should have been looked at a while ago: this machine is too busy.
  bool overdue() const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  bool try_open();
  void clean(Folder& folder);
  bool is_in_tree(Folder& folder, const Hash128& hash) const;
  void settle();
  void close();
  void stop(const std::string& reason, bool much_missing = false);
  bool open_rules(OpenFolder& folder);
  void read_rules();
  void take_rules(std::shared_ptr<const IgnoreRules> rules);
  void drain_watcher();
  void event(WatchEvent e);
  bool is_noticed(WatchEvent& e) const;
  void pump();
  enum class Why : std::uint8_t { noticed, scan, asked };
  void dispatch(Look look, Why why, std::function<void()> done = nullptr);
  bool is_own_change(const Look& look);
  void observed(const Look& look, Why why, Observation observation, std::uint64_t as_of);
  void cannot_say(const std::string& path);
  void request_scan(const std::string& subtree, const std::string& moved_from);
  struct ScanRequest {
    std::string subtree, moved_from;
    std::shared_ptr<OpenFolder> folder;
    bool accept_deletions = false;
    unsigned stops = 0;  // before it was asked for
  };
  void scan_thread();
  void scanned(ScanSlice slice, const ScanRequest& request);
  void forget_scan_looks();
  void after_scan();

  Options options_;
  Loop& loop_;
  Executor& executor_;
  Index& index_;
  IndexReader reader_;
  std::function<void(Event)> tell_;
  std::shared_ptr<FolderRunner*> self_;  // tasks under way hold it weakly

  mutable std::mutex rules_mutex_;  // the scan's thread reads them, too
  std::shared_ptr<const IgnoreRules> rules_ = std::make_shared<IgnoreRules>();
  std::unique_ptr<Watcher> watcher_;
  std::string watch_error_;  // why there is none
  bool settling_ = false;
  Intake intake_;
  OwnChanges own_changes_;
  Loop::Alarm& alarm_;
  Loop::Alarm& settle_alarm_;
  Loop::Alarm& periodic_;
  std::string stopped_;
  bool paused_ = false, resuming_ = false;
  bool accept_deletions_ = false;  // until a scan of everything is over
  std::chrono::seconds reopen_{0};  // after which one that has stopped is tried again
  unsigned stops_ = 0;
  bool scanning_ = false, accept_scan_ = false;
  bool in_vain_ = false;  // a scan that was not over told of changes while the folder still counted as stopped: another finds them
  bool scan_awaited_ = true;  // the replica waits for the end of one: the first, or by changed rules
  std::size_t in_flight_ = 0, scan_in_flight_ = 0;
  std::deque<Look> scan_looks_;

  // shared with the scan's thread
  std::mutex scan_mutex_;
  std::condition_variable scan_wake_;
  std::deque<ScanRequest> scan_requests_;
  std::size_t scan_credit_ = 0;  // looks the loop has not taken up yet
  unsigned scans_active_ = 0;  // the end of one may be told when the next has begun
  bool quit_ = false;
  std::thread scan_worker_;
};

}  // namespace syncline

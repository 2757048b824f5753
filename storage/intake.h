#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/limits.h"
#include "storage/look.h"
#include "storage/watcher.h"

namespace syncline {

// How long each kind of event waits before its path is looked at.
struct IntakeDelays {
  using Duration = std::chrono::steady_clock::duration;
  Duration created =
      std::chrono::milliseconds(50);  // no close came: a hard link, or a writer (then the look says busy)
  Duration created_without_lease =
      std::chrono::seconds(2);  // the same where the look cannot tell that a writer is at work
  Duration attributes =
      std::chrono::milliseconds(20);  // `cp -p` sets mode and times in several calls after its close
  Duration directory_quiet =
      std::chrono::milliseconds(500);                // one version of a directory for 10,000 uploads into it,
  Duration directory_max = std::chrono::seconds(5);  // but not later than this after the first
  Duration busy_first = std::chrono::milliseconds(200);  // doubling with each attempt
  Duration busy_max = std::chrono::seconds(5);
};

// Turns what a Watcher saw into looks: coalesced by path, ordered, bounded. A closed, moved or vanished path
// is due at once, so that an upload is observed as soon as it is closed; of a rename the new path comes
// before the old one, so that receivers still have the content under the old name. Deterministic: time comes
// in as arguments. One thread.
class Intake {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  // Above `paths_max` (at least 2) waiting paths all of them become one subtree look at the directory they
  // have in common.
  explicit Intake(IntakeDelays delays = {}, std::size_t paths_max = limits::intake_paths);

  void on_event(const WatchEvent& event, TimePoint now);
  // `look` found the file busy: it comes back after a back-off, or on its next event if that is earlier.
  void again(const Look& look, TimePoint now);
  // What is due at `now`, oldest first, at most `max`.
  std::vector<Look> take(TimePoint now, std::size_t max);
  // When take() will have something; in the past if it has now; nullopt if nothing waits.
  std::optional<TimePoint> next_deadline() const;

  // Whether File::open_for_writing can tell on this file system (true until told otherwise).
  void set_lease_known(bool known) { lease_known_ = known; }
  std::size_t waiting() const { return entries_.size(); }
  void clear();

 private:
  struct Entry {
    Look look;  // without its path, which is the key
    TimePoint due;
    std::uint64_t order = 0;              // among equal due times: first come, first out
    std::optional<TimePoint> lazy_since;  // a directory waiting to become quiet
  };
  struct Slot {
    TimePoint due;
    std::uint64_t order;
    const std::string* path;  // a key of entries_ (stable)
    bool operator<(const Slot& other) const {
      return due != other.due ? due < other.due : order < other.order;
    }
  };
  using Entries = std::unordered_map<std::string, Entry>;

  Look* schedule(const std::string& path, TimePoint due);
  void reschedule(Entries::value_type& item, TimePoint due);
  void touch_directory(const std::string& directory, TimePoint now);
  void touch_parent(const std::string& path, TimePoint now);
  void on_moved(const WatchEvent& event, TimePoint now);
  void on_entry(const WatchEvent& event, TimePoint now);
  bool covered(std::string_view path) const;
  void collapse();

  IntakeDelays delays_;
  std::size_t paths_max_;
  bool lease_known_ = true;
  std::uint64_t last_order_ = 0;
  Entries entries_;
  std::set<Slot> schedule_;
  std::optional<std::string> collapsed_;  // the waiting look that stands for everything below it
};

}  // namespace syncline

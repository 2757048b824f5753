#pragma once
#include <deque>
#include <mutex>
#include <vector>

#include "storage/folder.h"

namespace syncline {

// Files that are not visible any more but that an application may still hold open for writing. Thread-safe.
//
// A replaced file comes here after the look that follows the exchange. Which late writes could there be?
//  1. An application had it open for writing before: the read lease was refused, so nothing was exchanged
//  (busy).
//  2. One comes to open it between lease and exchange: it waits in open(); the apply exchanges back and says
//  busy.
//  3. One had found the inode by its name before the exchange and reaches the lease check of its open() after
//  the lease was given
//     back: microseconds. Its writes land here. So does everything where the system gives no lease.
// For 3 the file is looked at again after kAgeNs, where leases tell nothing after kBlindAgeNs; while it is
// open for writing it stays. The window that remains: no lease, and a writer that opened before the exchange
// and writes for the first time more than kBlindAgeNs later; or an application that stands still between path
// lookup and lease check for more than kAgeNs.
class Limbo {
 public:
  static constexpr std::int64_t kAgeNs = 1'000'000'000;
  static constexpr std::int64_t kBlindAgeNs = 60'000'000'000;
  static constexpr std::int64_t kNoteAgeNs = 5'000'000'000;  // the owner has been told by then, and has committed it

  struct Entry {
    std::string at;     // where it is now: in staging/, or in versions/ under the hash of `known`
    std::string path;   // where it was visible; "" unknown
    Hash128 known;      // its content when it came out
    Hash128 by;         // what took its place
    Fingerprint print;  // of then; zero: not known, compare the content
    bool keep = false;  // goes to versions/ also when it did not change
    std::int64_t since_ns = 0;
    bool blind = false;  // no lease could be had
  };

  Limbo(FileSystem& fs, const HashKey& key) : fs_(fs), key_(key) {}

  void add(Entry entry);
  void report(LateWrite late);  // by the next settle()
  std::vector<LateWrite> settle(bool at_once);
  std::size_t size() const;
  // Room for one more, after the oldest were settled if need be.
  bool has_room();
  // Moves the file `from` to versions/<hash>, by copy when applications know it under another name too.
  Status keep_version(const std::string& from, const Hash128& hash, std::uint32_t links);
  Status copy_version(const std::string& from, const Hash128& hash);  // whole or not at all
  // The same for bytes that the owner has yet to be told of: until it has been, a note beside them says what they are.
  Status keep_late(const std::string& from, const LateWrite& late, std::uint32_t links);
  void recall(const std::string& note);  // one that an earlier process left: reports what it says

 private:
  enum class Verdict { done, waits };
  bool is_whole(File& file, const FileStat& stat, const Hash128& hash) const;
  Verdict settle_one(const Entry& entry, std::vector<LateWrite>& late);
  Verdict settle_changed(const Entry& entry, File& file, const FileStat& stat, std::vector<LateWrite>& late);

  void drop_notes(std::int64_t now_ns);

  FileSystem& fs_;
  const HashKey& key_;
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;    // oldest first
  std::vector<LateWrite> late_;  // not reported yet
  struct Note {
    std::string at;
    std::int64_t since_ns = 0;
  };
  std::deque<Note> notes_;  // oldest first
};

}  // namespace syncline

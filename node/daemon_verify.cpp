#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "node/daemon.h"
#include "node/verify_file.h"
#include "protocol/limits.h"

// `syncline verify`: every file is read again, a batch at a time behind everything else, and compared with what the index says of it.
namespace syncline {

namespace {

constexpr std::size_t kBatch = 64;  // paths read in one go
constexpr std::chrono::seconds kMending{60};  // for what is fetched anew

void list(std::vector<std::string>& paths, const std::string& path) {
  if (paths.size() < limits::status_held) paths.push_back(path);
}

}  // namespace

struct Daemon::Verify {
  struct File {
    FolderId folder = 0;
    std::string path;
    DiskState known;
    Verdict verdict = Verdict::changed;
    Hash128 found{};
  };
  struct Kept {
    FolderId folder = 0;
    Hash128 hash;
    std::uint64_t size = 0;
    std::string path;
    bool good = false;
  };

  void take(Daemon& daemon, const File& file);
  void take(Daemon& daemon, const Kept& kept);

  VerifyReply so_far;
  std::vector<FolderId> folders;  // the one that is read, and those to come
  std::string cursor;
  std::vector<Conflict> conflicts;  // whose bytes are still to be read, from the end
  bool files_read = false, all_read = false;
  std::size_t reading = 0;  // under way
  std::set<PathKey> mending;
  std::multiset<std::pair<FolderId, Hash128>> mending_kept;
  Clock::time_point give_up = Clock::time_point::max();
  std::string broken_off;
};

void Daemon::verify(const VerifyRequest& request, ControlAnswer answer) {
  const bool under_way = verify_ && !verify_->so_far.done;
  if (request.run == 0) {
    if (under_way && verify_->so_far.repair != request.repair)
      return answer(fail(Error::Code::busy, fmt::format("a verify {} repair is under way", request.repair ? "without" : "with")));
    if (!under_way) {
      verify_ = std::make_shared<Verify>();
      verify_->so_far.run = ++verify_runs_;
      verify_->so_far.repair = request.repair;
      for (const auto& f : folders_) {
        if (f->runner) verify_->folders.push_back(f->id());
      }
    }
  } else if (!verify_ || verify_->so_far.run != request.run) {
    return answer(fail(Error::Code::not_found, "that verify is over"));
  }
  verifiers_.push_back({std::move(answer), Clock::now() + std::chrono::milliseconds(request.timeout_ms)});
  verify_alarm_->set(verifiers_.front().deadline);
  go_on_verifying();
}

// The next batch; reads without the loop.
void Daemon::go_on_verifying() {
  Verify& v = *verify_;
  if (v.reading > 0 || v.all_read) return;
  if (v.folders.empty()) {
    v.all_read = true;
    v.give_up = Clock::now() + kMending;
    return;
  }
  const FolderId id = v.folders.front();
  const auto folder = open_folders_->get(id);
  if (const std::string stopped = replica_->folder_stopped(id); !folder || !stopped.empty()) {
    v.broken_off = "the folder is stopped: " + (stopped.empty() ? "it is not open" : stopped);
    v.all_read = true;
    return;
  }
  std::vector<Verify::File> files;
  while (!v.files_read && files.empty()) {
    const auto entries = index_->below(id, "", v.cursor, kBatch);
    for (const auto& [path, entry] : entries) {
      if (entry.disk && entry.disk->state.content.kind == Kind::file) files.push_back({id, path, entry.disk->state});
    }
    if (!entries.empty()) v.cursor = entries.back().first;
    v.files_read = entries.empty();
    if (v.files_read) v.conflicts = index_->conflicts(id, false, SIZE_MAX);
  }
  std::vector<Verify::Kept> kept;
  for (; v.files_read && kept.size() < kBatch && !v.conflicts.empty(); v.conflicts.pop_back()) {
    const Record& loser = v.conflicts.back().loser;
    if (loser.content.kind == Kind::file && loser.content.size > 0) kept.push_back({id, loser.content.hash, loser.content.size, loser.path});
  }
  if (files.empty() && kept.empty()) {
    v.folders.erase(v.folders.begin());
    v.cursor.clear(), v.files_read = false;
    return go_on_verifying();
  }
  v.reading = files.size() + kept.size();
  const auto taken = [this, verify = verify_] {
    tell(Tick{});
    if (--verify->reading == 0) go_on_verifying();
  };
  // In the strands of the applies, so that none is under way at the same path.
  for (Verify::File& f : files) {
    const std::string strand = f.path;
    executor_.run(strand, true, [this, folder, taken, f = std::move(f)]() mutable {
      const Observation seen = folder->folder->observe(f.path, f.known, true);
      f.verdict = verdict_of(f.known, seen), f.found = seen.disk.content.hash;
      loop_.post([this, taken, f = std::move(f)] { verify_->take(*this, f), taken(); });
    });
  }
  for (Verify::Kept& k : kept) {
    const std::string strand = "#" + to_hex(k.hash);
    executor_.run(strand, true, [this, folder, taken, repair = v.so_far.repair, k = std::move(k)]() mutable {
      k.good = is_kept_whole(*folder->folder, hash_key_, k.hash, k.size);
      if (!k.good && repair) folder->folder->has_version(k.hash, true);  // takes it away
      loop_.post([this, taken, k = std::move(k)] { verify_->take(*this, k), taken(); });
    });
  }
}

// As a report names it: where there is but one folder, relative to it.
std::string Daemon::shown_path(FolderId id, const std::string& path) const {
  const LocalFolder* f = folder(id);
  return folders_.size() > 1 && f ? f->path() + "/" + path : path;
}

void Daemon::Verify::take(Daemon& d, const Kept& kept) {
  ++so_far.kept;
  if (kept.good) return;
  ++so_far.damaged_count;
  list(so_far.damaged, d.shown_path(kept.folder, kept.path));
  if (!so_far.repair) return;
  const std::pair key{kept.folder, kept.hash};
  if (!mending_kept.contains(key)) d.replica_->refetch_kept(kept.folder, kept.hash);
  mending_kept.insert(key);
}

void Daemon::Verify::take(Daemon& d, const File& file) {
  VerifyReply& r = so_far;
  switch (file.verdict) {
    case Verdict::unreadable:
      ++r.unreadable_count;
      return list(r.unreadable, d.shown_path(file.folder, file.path));
    case Verdict::changed:
      ++r.changed;
      if (FolderRunner* runner = d.runner(file.folder)) runner->look(file.path, false);
      return;
    default:
      break;
  }
  ++r.files, r.bytes += file.known.content.size;
  if (file.verdict == Verdict::whole) return;
  ++r.damaged_count;
  list(r.damaged, d.shown_path(file.folder, file.path));
  spdlog::warn("{}: its bytes are not what they were, though nobody has written to it", file.path);
  if (!r.repair) return;
  if (d.replica_->repair(file.folder, file.path, file.known, file.found, d.now()))
    mending.insert({file.folder, file.path});
}

// Answers who waits: when all is over, or with how far it is.
void Daemon::check_verify() {
  if (!verify_ || (verifiers_.empty() && verify_->so_far.done)) return;
  Verify& v = *verify_;
  const auto at = Clock::now();
  if (v.all_read && !v.so_far.done) {
    const auto is_whole = [this](const PathKey& key) {
      const auto entry = index_->get(key.folder, key.path);
      return !entry || !entry->pending();
    };
    v.so_far.repaired += std::erase_if(v.mending, is_whole);
    v.so_far.repaired += std::erase_if(v.mending_kept, [&](const auto& kept) {
      const auto folder = open_folders_->get(kept.first);
      return folder && folder->folder->has_version(kept.second);
    });
    v.so_far.done = !v.so_far.repair || (v.mending.empty() && v.mending_kept.empty()) || at >= v.give_up || !v.broken_off.empty();
    if (v.so_far.done) compare_with_peers(v.so_far);
  }
  for (const PendingWait& w : take_ended(verifiers_, v.so_far.done, *verify_alarm_, v.give_up)) {
    if (v.so_far.done && !v.broken_off.empty())
      w.answer(fail(Error::Code::refused, v.broken_off));
    else
      w.answer(v.so_far);
  }
}

void Daemon::compare_with_peers(VerifyReply& reply) const {
  const auto views = replica_->peers();
  for (const Member& m : members_) {
    if (m.node == home_.identity.node || m.state != MemberState::joined) continue;
    const auto view = std::find_if(views.begin(), views.end(), [&](const PeerView& p) { return p.node == m.node && p.linked; });
    (view == views.end()                          ? reply.absent
     : view->behind == 0 && view->ahead == 0 ? reply.agree
                                             : reply.differ)
        .push_back(m.name);
  }
  for (const auto& f : folders_) reply.pending += index_->counts(f->id()).pending;
}

}  // namespace syncline

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "node/daemon.h"
#include "protocol/limits.h"

// `syncline verify`: every file is read again, a batch at a time behind everything else, and compared with what the index says of it.
namespace syncline {

namespace {

constexpr FolderId kFolder = 1;
constexpr std::size_t kBatch = 64;  // paths read in one go
constexpr std::chrono::seconds kMending{60};  // for what is fetched anew

bool has_hash(Folder& folder, const HashKey& key, const Hash128& hash, std::uint64_t size) {
  ContentHasher hasher(key);
  for (std::uint64_t at = 0; at < size;) {
    const auto piece = folder.read_version(hash, at, std::min<std::uint64_t>(size - at, limits::range_bytes));
    if (!piece || piece->empty()) return false;
    hasher.update(*piece);
    at += piece->size();
  }
  return hasher.digest() == hash;
}

void list(std::vector<std::string>& paths, const std::string& path) {
  if (paths.size() < limits::status_held) paths.push_back(path);
}

}  // namespace

struct Daemon::Verify {
  struct File {
    std::string path;
    DiskState known;
    Observation seen{};
  };
  struct Kept {
    Hash128 hash;
    std::uint64_t size = 0;
    std::string path;
    bool good = false;
  };

  void take(Daemon& daemon, const File& file);

  VerifyReply so_far;
  std::string cursor;
  std::vector<Conflict> conflicts;  // whose bytes are still to be read, from the end
  bool files_read = false, reading = false, all_read = false;
  std::set<std::string> mending;
  std::set<Hash128> mending_kept;
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
  if (v.reading || v.all_read) return;
  const auto folder = folder_->open();
  if (const std::string stopped = replica_->folder_stopped(kFolder); !folder || !stopped.empty()) {
    v.broken_off = "the folder is stopped: " + stopped;
    v.all_read = true;
    return;
  }
  auto files = std::make_shared<std::vector<Verify::File>>();
  while (!v.files_read && files->empty()) {
    const auto entries = index_->below(kFolder, "", v.cursor, kBatch);
    for (const auto& [path, entry] : entries) {
      if (entry.disk && entry.disk->state.content.kind == Kind::file) files->push_back({path, entry.disk->state});
    }
    if (!entries.empty()) v.cursor = entries.back().first;
    v.files_read = entries.empty();
    if (v.files_read) v.conflicts = index_->conflicts(kFolder, false, SIZE_MAX);
  }
  auto kept = std::make_shared<std::vector<Verify::Kept>>();
  for (; v.files_read && kept->size() < kBatch && !v.conflicts.empty(); v.conflicts.pop_back()) {
    const Record& loser = v.conflicts.back().loser;
    if (loser.content.kind == Kind::file && loser.content.size > 0) kept->push_back({loser.content.hash, loser.content.size, loser.path});
  }
  if (files->empty() && kept->empty()) {
    v.all_read = true;
    v.give_up = Clock::now() + kMending;
    return;
  }
  v.reading = true;
  executor_.run("", true, [this, folder, files, kept, verify = verify_] {
    for (Verify::File& f : *files) f.seen = folder->folder->observe(f.path, f.known, true);
    for (Verify::Kept& k : *kept) {
      k.good = has_hash(*folder->folder, hash_key_, k.hash, k.size);
      if (!k.good && verify->so_far.repair) folder->folder->has_version(k.hash, true);  // takes it away
    }
    loop_.post([this, files, kept, verify] {
      verify->reading = false;
      for (const Verify::File& f : *files) verify->take(*this, f);
      for (const Verify::Kept& k : *kept) {
        ++verify->so_far.kept;
        if (k.good) continue;
        ++verify->so_far.damaged_count;
        list(verify->so_far.damaged, k.path);
        if (!verify->so_far.repair) continue;
        verify->mending_kept.insert(k.hash);
        replica_->refetch_kept(kFolder, k.hash);
      }
      tell(Tick{});
      go_on_verifying();
    });
  });
}

void Daemon::Verify::take(Daemon& d, const File& file) {
  VerifyReply& r = so_far;
  using State = Observation::State;
  const Observation& seen = file.seen;
  if (seen.state == State::failed) {
    ++r.unreadable_count;
    return list(r.unreadable, file.path);
  }
  // Changed by an application, or by an apply since: noticed the usual way.
  if (seen.state != State::present || !(seen.disk.print == file.known.print)) {
    ++r.changed;
    return d.folder_->look(file.path, false);
  }
  ++r.files, r.bytes += file.known.content.size;
  if (seen.disk.content.hash == file.known.content.hash) return;
  ++r.damaged_count;
  list(r.damaged, file.path);
  spdlog::warn("{}: its bytes are not what they were, though nobody has written to it", file.path);
  if (!r.repair) return;
  if (d.replica_->repair(kFolder, file.path, file.known, seen.disk.content.hash, d.now())) mending.insert(file.path);
}

// Answers who waits: when all is over, or with how far it is.
void Daemon::check_verify() {
  if (!verify_ || (verifiers_.empty() && verify_->so_far.done)) return;
  Verify& v = *verify_;
  const auto at = Clock::now();
  if (v.all_read && !v.so_far.done) {
    const auto is_whole = [this](const std::string& path) {
      const auto entry = index_->get(kFolder, path);
      return !entry || !entry->pending();
    };
    v.so_far.repaired += std::erase_if(v.mending, is_whole);
    const auto folder = folder_->open();
    v.so_far.repaired += std::erase_if(v.mending_kept, [&](const Hash128& hash) {
      return folder && folder->folder->has_version(hash);
    });
    v.so_far.done = !v.so_far.repair || (v.mending.empty() && v.mending_kept.empty()) || at >= v.give_up || !v.broken_off.empty();
    if (v.so_far.done) compare_with_peers(v.so_far);
  }
  std::vector<PendingWait> over;
  std::erase_if(verifiers_, [&](PendingWait& w) {
    const bool ends = v.so_far.done || w.deadline <= at;
    if (ends) over.push_back(std::move(w));
    return ends;
  });
  for (const PendingWait& w : over) {
    if (v.so_far.done && !v.broken_off.empty())
      w.answer(fail(Error::Code::refused, v.broken_off));
    else
      w.answer(v.so_far);
  }
  if (!verifiers_.empty()) verify_alarm_->set(std::min(verifiers_.front().deadline, v.give_up));
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
  reply.pending = index_->counts(kFolder).pending;
}

}  // namespace syncline

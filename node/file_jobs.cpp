#include "node/file_jobs.h"

namespace syncline {
namespace {

// Ends a staging: the signature of what was staged, unless it went to the kept versions, which need none.
Result<Staged> staged(Folder& folder, const Hash128& hash, bool to_version) {
  if (!to_version) return Staged{folder.staged_signature(hash)};
  return folder.stage_to_version(hash).map([] { return Staged{}; });
}

struct Runner {
  Folder& folder;

  FileOutcome operator()(const ApplyJob& job) { return folder.apply(job.request); }

  FileOutcome operator()(const ReadJob& job) {
    if (job.staged) return folder.read_staged(job.version, job.offset, job.size);
    if (job.path.empty()) return folder.read_version(job.version, job.offset, job.size);
    return folder.read(job.path, job.expect, job.offset, job.size);
  }

  FileOutcome operator()(const MakeDeltaJob& job) {
    return folder.make_delta(job.path, job.expect, *job.base, job.own.get(), job.base_hash, job.hash, job.max_bytes);
  }

  FileOutcome operator()(const StageProgressJob& job) { return folder.stage_progress(job.hash); }

  FileOutcome operator()(const StageWriteJob& job) {
    return folder.stage_write(job.hash, job.offset, *job.piece).map([] { return Staged{}; });
  }

  FileOutcome operator()(const StageFinishJob& job) {
    return folder.stage_finish(job.hash, job.size).and_then([&] {
      return staged(folder, job.hash, job.to_version);
    });
  }

  FileOutcome operator()(const StageCopyJob& job) {
    const Status copied = job.from.empty() ? folder.stage_copy_version(job.hash)
                                           : folder.stage_copy(job.hash, job.size, job.from);
    return copied.and_then([&] { return staged(folder, job.hash, job.to_version); });
  }

  FileOutcome operator()(const StageDeltaJob& job) {
    return folder.stage_delta(job.hash, job.size, job.base_path, *job.delta).and_then([&] {
      return staged(folder, job.hash, false);
    });
  }

  FileOutcome operator()(const StageVersionJob& job) {
    return folder.stage_write(job.hash, 0, *job.bytes)
        .and_then([&] { return folder.stage_finish(job.hash, job.size); })
        .and_then([&] { return staged(folder, job.hash, true); });
  }

  FileOutcome operator()(const StageDropJob& job) {
    folder.stage_drop(job.hash);
    return Result<Staged>(Staged{});
  }

  FileOutcome operator()(const HasVersionJob& job) { return folder.has_version(job.hash, job.verify); }

  FileOutcome operator()(const DropVersionJob& job) {
    return folder.drop_version(job.hash).map([] { return Staged{}; });
  }

  FileOutcome operator()(const RestoreTimeJob& job) {
    return folder.restore_directory_time(job.path, job.mtime_ns);
  }
};

}  // namespace

FileOutcome run_job(Folder& folder, const FileJob& job) { return std::visit(Runner{folder}, job.work); }

}  // namespace syncline

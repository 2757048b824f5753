#include "tests/scale/stub_disk.h"

#include <cstring>

#include "tests/scale/tree.h"

namespace syncline::scale {
namespace {

ApplyResult applied(const Content& content) {
  ApplyResult out;
  out.outcome = ApplyResult::Outcome::applied;
  out.disk.content = content;
  std::memcpy(&out.disk.print.inode, content.hash.bytes.data(), sizeof out.disk.print.inode);
  out.disk.print.size = content.size;
  out.disk.print.mtime_ns = out.disk.print.ctime_ns = content.mtime_ns;
  return out;
}

struct Answer {
  FileOutcome operator()(const ApplyJob& job) const { return applied(job.request.content); }
  FileOutcome operator()(const ReadJob& job) const {
    Hash128 seed = job.version;
    std::memcpy(seed.bytes.data(), &job.expect.inode, sizeof job.expect.inode);
    return Result<Bytes>(content_of(seed, job.offset, job.size));
  }
  FileOutcome operator()(const StageProgressJob&) const { return StageProgress{}; }
  FileOutcome operator()(const HasVersionJob&) const { return true; }
  FileOutcome operator()(const MakeDeltaJob&) const {
    return Result<Bytes>(tl::unexpected(Error{Error::Code::full, "no deltas here"}));
  }
  FileOutcome operator()(const RestoreTimeJob&) const {
    return Result<Fingerprint>(directory_on_disk().print);
  }
  template <class Staging>
  FileOutcome operator()(const Staging&) const {
    return Result<Staged>(Staged{});
  }
};

}  // namespace

FileOutcome outcome_of(const FileJob& job) { return std::visit(Answer{}, job.work); }

}  // namespace syncline::scale

#pragma once
#include "node/events.h"
#include "storage/folder.h"

namespace syncline {

// Does one job's work by calling `folder`, and returns what the replica is to be told (FileDone). By kind of
// job:
//   ApplyJob                          ApplyResult
//   ReadJob, MakeDeltaJob             Result<Bytes>
//   StageProgressJob                  StageProgress
//   StageWrite/Finish/Copy/Delta/VersionJob, DropVersionJob
//                                     Result<Staged>; the signature only of a finished file that is large
//                                     enough to have one
//   HasVersionJob                     bool
//   RestoreTimeJob                    Result<Fingerprint>
// Blocks for as long as the disk does. Thread-safe, as Folder is: the caller keeps the order of each strand.
FileOutcome run_job(Folder& folder, const FileJob& job);

}  // namespace syncline

#include "node/verify_file.h"

#include <algorithm>

#include "protocol/limits.h"
#include "protocol/planted_fault.h"

namespace syncline {

Verdict verdict_of(const DiskState& known, const Observation& seen) {
  if (seen.state == Observation::State::failed) return Verdict::unreadable;
  // A write so shortly before the last look that no stamp would tell it may be news as well as damage.
  Fingerprint print = seen.disk.print;
  const bool young = known.print.ctime_ns == 0;
  if (young) print.ctime_ns = 0;
  const bool same = seen.disk.content.hash == known.content.hash;
  if (seen.state != Observation::State::present || !(print == known.print) || (young && !same)) return Verdict::changed;
  return same || planted(Fault::rot_passed_over) ? Verdict::whole : Verdict::damaged;
}

bool is_kept_whole(Folder& folder, const HashKey& key, const Hash128& hash, std::uint64_t size) {
  ContentHasher hasher(key);
  for (std::uint64_t at = 0; at < size;) {
    const auto piece = folder.read_version(hash, at, std::min<std::uint64_t>(size - at, limits::range_bytes));
    if (!piece || piece->empty()) return false;
    hasher.update(*piece);
    at += piece->size();
  }
  return hasher.digest() == hash;
}

}  // namespace syncline

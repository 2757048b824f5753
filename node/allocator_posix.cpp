#include "node/allocator.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace syncline {

// mallopt(3). Both thresholds grow by themselves, too, but only once a mapped block is freed, and then up to
// twice its size only.
void tune_allocator() {
#ifdef __GLIBC__
  constexpr int piece_bytes = 4 << 20, kept_bytes = 64 << 20;
  ::mallopt(M_MMAP_THRESHOLD, piece_bytes);
  ::mallopt(M_TRIM_THRESHOLD, kept_bytes);
#endif
}

}  // namespace syncline

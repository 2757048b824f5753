#pragma once
#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// Compression of whole messages (PROTOCOL.md, "Packed"): records and small contents of one batch share a zstd frame (RFC 8878), so that a
// tree of many small text files shrinks as if it were one. Pure; thread-safe.

// The message itself where that is no longer: pictures and the like cost a look at a sample, not a compression.
Bytes pack(Bytes message);
bool is_packed(BytesView message);
// Error::invalid for anything that pack() cannot have made; allocates at most limits::message_bytes.
Result<Bytes> unpack(BytesView packed);

}  // namespace syncline

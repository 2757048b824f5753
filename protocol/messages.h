#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/codec.h"
#include "protocol/error.h"
#include "protocol/record.h"

// What two linked members say to each other. Each message is one type byte, then its fields in the order
// given here, in the forms of protocol/codec.h (PROTOCOL.md, "Messages"). Plain data; encode() and decode()
// are pure.
namespace syncline {

inline constexpr std::uint32_t kProtocolVersion = 1;

// How a content is sent.
enum class Encoding : std::uint8_t { raw = 0, delta = 1 };

// First message of both sides on a new link.
struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::string name;
  std::uint64_t wall_ms = 0;  // the sender's clock, so that a wrong one is noticed before it does harm
  ActorId actor;              // the sender's own; zero until it has written something
  bool ready = false;         // caught up (see Announce)
  VersionVector vector;
  bool operator==(const Hello&) const = default;
};

// "I hold at least this, without gaps": entries that rose since the last one on this link.
struct Announce {
  ActorId actor;
  bool ready = false;
  VersionVector vector;
  bool operator==(const Announce&) const = default;
};

// Sent now and then when nothing happens: a hash of the sender's whole vector. A receiver that believes
// otherwise asks by AskVector.
struct Digest {
  Hash128 vector_hash;
  bool operator==(const Digest&) const = default;
};
struct AskVector {
  bool operator==(const AskVector&) const = default;
};

// "Send me what `actor` wrote after `after`." Answered by one Entries for each.
struct Need {
  struct Item {
    ActorId actor;
    std::uint64_t after = 0;
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;
  bool operator==(const Need&) const = default;
};

// All live log entries of `actor` with after < seq <= upto, ascending. A receiver that holds less than
// `after` must not take it: there is a gap. One that takes it holds `upto`.
struct Entries {
  struct Attachment {  // a file's bytes riding with its record
    Encoding encoding = Encoding::raw;
    Bytes bytes;  // raw: the content; delta: from the record's `base` (protocol/delta.h)
    bool operator==(const Attachment&) const = default;
  };
  struct Item {
    std::variant<Record, Conflict> entry;
    std::optional<Attachment> attachment;
    bool operator==(const Item&) const = default;
  };
  ActorId actor;
  std::uint64_t after = 0;
  std::uint64_t upto = 0;
  std::vector<Item> items;
  bool operator==(const Entries&) const = default;
};

// "Send me these bytes." Outstanding wants are the credit: nothing is sent that was not wanted.
struct Want {
  struct Item {
    std::uint64_t id = 0;  // chosen by the sender, unique on the link
    FolderId folder = 0;
    std::string path;  // where the content is likely to be found
    Hash128 hash;
    std::uint64_t size = 0;  // of the whole content
    Hash128 base;            // delta: what the asker has
    Encoding encoding = Encoding::raw;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;  // 1..limits::range_bytes
    bool operator==(const Item&) const = default;
  };
  std::vector<Item> items;
  bool operator==(const Want&) const = default;
};

struct Piece {
  std::uint64_t id = 0;     // of the Want item
  std::uint64_t total = 0;  // bytes of the whole content, or of the whole delta
  Bytes bytes;
  bool operator==(const Piece&) const = default;
};
struct Unavailable {
  std::uint64_t id = 0;
  bool operator==(const Unavailable&) const = default;
};

// "Tell me once you show this version of the path, or a later one": the barrier behind `wait`.
struct Probe {
  std::uint64_t id = 0;
  FolderId folder = 0;
  std::string path;
  Dot dot;
  Hlc hlc;
  bool durable = false;
  bool operator==(const Probe&) const = default;
};
struct ProbeAnswer {
  std::uint64_t id = 0;
  bool never = false;  // it will not be shown: the path is ignored there, or the node does not take over what others write
  bool operator==(const ProbeAnswer&) const = default;
};

// "Do you know a live version of this path?": asked before a reader is told that there is none. The answer is
// about the moment at which the question is taken up: what is on the disk by then counts, noticed or not.
struct Lookup {
  std::uint64_t id = 0;  // chosen by the sender, unique on the link
  FolderId folder = 0;
  std::string path;
  bool operator==(const Lookup&) const = default;
};
struct LookupAnswer {
  enum class What : std::uint8_t {
    none = 0,    // never heard of, or deleted
    live = 1,    // `dot` is the live version's, and its record can be had by Need
    unsure = 2,  // cannot say now: being written, the disk does not answer, the folder is stopped
  };
  std::uint64_t id = 0;  // of the Lookup
  What what = What::unsure;
  Dot dot{};  // live
  bool operator==(const LookupAnswer&) const = default;
};

// "I do not take what you wrote": the origin's clock is too far ahead of the sender's.
struct Refusal {
  ActorId actor;
  std::uint64_t ahead_ms = 0;
  bool operator==(const Refusal&) const = default;
};

// "Tell me once all that my last Announce named is on your disk, contents included": asked before a node is
// taken out of service. The next one takes the place of one that has not been answered.
struct Settle {
  std::uint64_t id = 0;           // chosen by the sender, unique on the link
  std::vector<FolderId> folders{};  // whose contents are meant: those that the sender has; at most limits::folders
  bool operator==(const Settle&) const = default;
};
struct Settled {
  std::uint64_t id = 0;  // of the Settle
  bool operator==(const Settled&) const = default;
};

using Message = std::variant<Hello, Announce, Digest, AskVector, Need, Entries, Want, Piece, Unavailable,
                             Probe, ProbeAnswer, Refusal, Lookup, LookupAnswer, Settle, Settled>;

Bytes encode(const Message& message);
// Also of what pack() (protocol/packing.h) made of it. Error::invalid with the kind of message and what is wrong with it.
Result<Message> decode(BytesView bytes);

}  // namespace syncline

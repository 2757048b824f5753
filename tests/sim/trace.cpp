#include "tests/sim/trace.h"

#include <fmt/format.h>

#include "protocol/messages.h"

namespace syncline::sim {
namespace {

std::string dot_text(const Dot& dot) { return fmt::format("{}:{}", to_hex(dot.actor).substr(0, 4), dot.seq); }

std::string vector_text(const VersionVector& v) {
  std::string out;
  for (const auto& e : v.entries()) out.append(out.empty() ? "" : " ").append(dot_text({e.actor, e.seq}));
  return fmt::format("{{{}}}", out);
}

std::string short_hash(const Hash128& hash) { return to_hex(hash).substr(0, 8); }

std::string peer_text(const NodeId& node) { return fmt::format("n{}", node.bytes[0] * 256 + node.bytes[1]); }

std::string state_text(Observation::State state) {
  constexpr const char* names[] = {"unchanged", "present", "absent", "busy", "unsupported", "failed"};
  return names[static_cast<std::size_t>(state)];
}

struct MessageText {
  std::string operator()(const Hello& m) const {
    return fmt::format("Hello {} ready {}", vector_text(m.vector), m.ready);
  }
  std::string operator()(const Announce& m) const {
    return fmt::format("Announce {} ready {}", vector_text(m.vector), m.ready);
  }
  std::string operator()(const Digest&) const { return "Digest"; }
  std::string operator()(const AskVector&) const { return "AskVector"; }
  std::string operator()(const Need& m) const {
    std::string out = "Need";
    for (const auto& i : m.items) out += " after " + dot_text({i.actor, i.after});
    return out;
  }
  std::string operator()(const Entries& m) const {
    std::string out = fmt::format("Entries {} ({}..{}]", to_hex(m.actor).substr(0, 4), m.after, m.upto);
    for (const auto& i : m.items) {
      out += "; " + std::visit([](const auto& e) { return to_text(e); }, i.entry);
      if (i.attachment) out += fmt::format(" +{}", i.attachment->bytes.size());
    }
    return out;
  }
  std::string operator()(const Want& m) const {
    std::string out = "Want";
    for (const auto& i : m.items)
      out += fmt::format(" #{} {} {} at {}+{}", i.id, i.path, short_hash(i.hash), i.offset, i.length);
    return out;
  }
  std::string operator()(const Piece& m) const {
    return fmt::format("Piece #{} {} of {}", m.id, m.bytes.size(), m.total);
  }
  std::string operator()(const Unavailable& m) const { return fmt::format("Unavailable #{}", m.id); }
  std::string operator()(const Refusal& m) const { return fmt::format("Refusal, ahead {} ms", m.ahead_ms); }
  template <class M>
  std::string operator()(const M&) const {
    return "other message";
  }
};

struct JobText {
  std::string operator()(const ApplyJob& j) const {
    return fmt::format("apply {} {} expecting {}", j.request.path, to_text(j.request.content),
                       to_text(j.request.expect.content));
  }
  std::string operator()(const ReadJob& j) const {
    return fmt::format("read {} {}+{}", j.path, j.offset, j.size);
  }
  std::string operator()(const StageProgressJob& j) const { return "stage progress " + short_hash(j.hash); }
  std::string operator()(const StageWriteJob& j) const {
    return fmt::format("stage {} at {}", short_hash(j.hash), j.offset);
  }
  std::string operator()(const StageFinishJob& j) const { return "stage finish " + short_hash(j.hash); }
  std::string operator()(const StageCopyJob& j) const {
    return fmt::format("stage copy {} from \"{}\"", short_hash(j.hash), j.from);
  }
  std::string operator()(const StageDeltaJob& j) const { return "stage delta " + short_hash(j.hash); }
  std::string operator()(const StageVersionJob& j) const { return "keep version " + short_hash(j.hash); }
  std::string operator()(const StageDropJob& j) const { return "drop staged " + short_hash(j.hash); }
  std::string operator()(const HasVersionJob& j) const { return "has version " + short_hash(j.hash); }
  std::string operator()(const DropVersionJob& j) const { return "drop version " + short_hash(j.hash); }
  std::string operator()(const MakeDeltaJob& j) const { return "make delta " + j.path; }
  std::string operator()(const RestoreTimeJob& j) const {
    return fmt::format("restore time {} {}", j.path, j.mtime_ns);
  }
};

std::string error_text(const Error& e) {
  return fmt::format("error {} ({})", static_cast<int>(e.code), e.message);
}

}  // namespace

std::string to_text(const Content& c) {
  switch (c.kind) {
    case Kind::deleted:
      return "deleted";
    case Kind::file:
      return fmt::format("file {} {}B {:o} t{}", short_hash(c.hash), c.size, c.mode, c.mtime_ns);
    case Kind::directory:
      return fmt::format("dir {:o} t{}", c.mode, c.mtime_ns);
    case Kind::symlink:
      return "-> " + c.target;
    case Kind::value:
      return "value";
  }
  return "?";
}

std::string to_text(const Record& r) {
  return fmt::format("{} {} = {} hlc {}.{} ctx {}", dot_text(r.dot), r.path, to_text(r.content),
                     r.hlc.ms() % 100'000'000, r.hlc.value & 0xffff, vector_text(r.context));
}

std::string to_text(const Conflict& c) {
  return fmt::format("{} conflict{} [{}] winner {}", dot_text(c.dot), c.resolved ? " resolved" : "",
                     to_text(c.loser), dot_text(c.winner));
}

std::string message_text(BytesView message) {
  const auto m = decode(message);
  return m ? std::visit(MessageText{}, *m) : m.error().message;
}

std::string to_text(const FileOutcome& outcome) {
  struct Text {
    std::string operator()(const ApplyResult& r) const {
      constexpr const char* names[] = {"applied",    "changed", "busy",        "not_empty", "blocked",
                                       "no_content", "full",    "unsupported", "failed"};
      std::string out =
          fmt::format("{} {}", names[static_cast<std::size_t>(r.outcome)], to_text(r.disk.content));
      if (r.displaced) out += ", displaced " + to_text(r.displaced->content);
      for (const std::string& parent : r.made_parents) out += ", made " + parent;
      return out + (r.problem.empty() ? "" : ": " + r.problem);
    }
    std::string operator()(const Result<Bytes>& r) const {
      return r ? fmt::format("{} bytes", r->size()) : error_text(r.error());
    }
    std::string operator()(const StageProgress& r) const { return fmt::format("{} staged", r.have_bytes); }
    std::string operator()(const Result<Staged>& r) const { return r ? "ok" : error_text(r.error()); }
    std::string operator()(bool r) const { return r ? "yes" : "no"; }
    std::string operator()(const Result<Fingerprint>& r) const {
      return r ? fmt::format("mtime {}", r->mtime_ns) : error_text(r.error());
    }
  };
  return std::visit(Text{}, outcome);
}

std::string to_text(const Event& event, const World&) {
  struct Text {
    std::string operator()(const LinkUp& e) const { return "link up " + peer_text(e.peer); }
    std::string operator()(const LinkPath& e) const { return fmt::format("{} is {} ms away", peer_text(e.peer), e.rtt_ms); }
    std::string operator()(const LinkDown& e) const { return "link down " + peer_text(e.peer); }
    std::string operator()(const Received& e) const {
      return fmt::format("{}: {}", peer_text(e.peer), message_text(e.message));
    }
    std::string operator()(const SendRefused& e) const { return "send refused " + peer_text(e.peer); }
    std::string operator()(const LaneWritable& e) const { return "lane writable " + peer_text(e.peer); }
    std::string operator()(const Observed& e) const {
      const Observation& o = e.observation;
      return fmt::format("observed {} {} {} inode {} ctime {} {}", o.path,
                         state_text(o.state),
                         o.state == Observation::State::present ? to_text(o.disk.content) : "",
                         o.disk.print.inode, o.disk.print.ctime_ns, o.problem);
    }
    std::string operator()(const FileDone& e) const {
      return fmt::format("done {}: {}", e.id, to_text(e.outcome));
    }
    std::string operator()(const Durable& e) const { return fmt::format("durable {}", e.batch); }
    std::string operator()(const FolderStopped& e) const { return "folder stopped: " + e.reason; }
    std::string operator()(const ScanFinished&) const { return "scan finished"; }
    std::string operator()(const IgnoreChanged& e) const { return fmt::format("{} ignore rules", e.rules->size()); }
    std::string operator()(const WroteLate& e) const {
      return fmt::format("wrote late \"{}\" {}", e.late.path, to_text(e.late.disk.content));
    }
    std::string operator()(const KeptFound& e) const {
      return fmt::format("kept versions found: {}", e.contents.size());
    }
    std::string operator()(const Tick&) const { return "tick"; }
  };
  return std::visit(Text{}, event);
}

std::string to_text(const Effect& effect, const World&) {
  struct Text {
    std::string operator()(const Send& e) const {
      return fmt::format("{}: {}", peer_text(e.peer), message_text(e.message));
    }
    std::string operator()(const StartJob& e) const {
      return fmt::format("job {} {}", e.job.id, std::visit(JobText{}, e.job.work));
    }
    std::string operator()(const LookAt& e) const {
      return fmt::format("look at {}{}", e.path, e.subtree ? " and below" : "");
    }
    std::string operator()(const LogLine& e) const { return "log: " + e.text; }
    std::string operator()(const FlushIndex&) const { return "flush"; }
    std::string operator()(const MembersChanged&) const { return "members changed"; }
    std::string operator()(const WaitOver& e) const { return fmt::format("wait {} over", e.wait); }
    std::string operator()(const FindOver& e) const { return fmt::format("find {} over", e.find); }
  };
  return std::visit(Text{}, effect);
}

}  // namespace syncline::sim

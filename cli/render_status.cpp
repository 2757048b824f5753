#include <fmt/format.h>

#include <algorithm>

#include "cli/render.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr auto kLeft = Table::Align::left, kRight = Table::Align::right;

std::string folders(const StatusReply& s) {
  Table table({{"folder", kLeft},
               {"state", kLeft},
               {"files", kRight},
               {"size", kRight},
               {"directories", kRight},
               {"pending", kRight},
               {"behind", kRight},
               {"conflicts", kRight},
               {"path", kLeft}});
  for (const FolderStatus& f : s.folders)
    table.row({f.name, std::string(state_name(f.state)), human_count(f.files), human_size(f.bytes),
               human_count(f.directories), human_count(f.pending),
               f.behind_seconds == 0 ? "-" : human_duration(f.behind_seconds), human_count(f.conflicts), f.path});
  for (const std::string& name : s.elsewhere) table.row({name, "elsewhere", "-", "-", "-", "-", "-", "-", "-"});
  std::string out = table.text();
  for (const FolderStatus& f : s.folders)
    if (!f.reason.empty())
      out += fmt::format("  {}: {}: {}\n", printable(f.name), state_name(f.state), printable(f.reason));
  for (const FolderStatus& f : s.folders) {
    if (f.rules > 0) out += fmt::format("  {}: {} rules in .synclineignore\n", printable(f.name), f.rules);
    if (!f.mode.empty() && f.mode != "send-receive")
      out += fmt::format("  {}: {}: {} paths changed here and not published, {} changed elsewhere and not taken over: "
                         "syncline folder list\n",
                         printable(f.name), printable(f.mode), human_count(f.unpublished), human_count(f.unapplied));
  }
  return out;
}

std::string held(const FolderStatus& f) {
  Table table({{"kept back", kLeft}, {"path", kLeft}});
  for (const HeldStatus& h : f.held) table.row({h.here ? "changed here" : "changed elsewhere", h.path});
  std::string out = table.text();
  const std::uint64_t all = f.unpublished + f.unapplied;
  if (all > f.held.size()) out += fmt::format("and {} more\n", human_count(all - f.held.size()));
  return out;
}

std::string peers(const StatusReply& s) {
  if (s.peers.empty()) return "no peers yet: `syncline cluster invite` prints a token for another machine\n";
  Table table({{"peer", kLeft},
               {"link", kLeft},
               {"state", kLeft},
               {"behind", kRight},
               {"rtt", kRight},
               {"sent", kRight},
               {"received", kRight},
               {"address", kLeft}});
  for (const PeerStatus& p : s.peers)
    table.row({p.name, fmt::format("{} {}", p.linked ? "up" : "DOWN", human_duration(p.since_seconds)),
               !p.linked ? "-"
               : p.ready ? "ready"
                         : "not ready",
               human_count(p.behind), p.linked ? human_rtt(p.rtt_us) : "-", human_size(p.sent_bytes),
               human_size(p.received_bytes), p.address});
  return table.text();
}

std::string transfers(const StatusReply& s) {
  Table table({{"transfer", kLeft},
               {"done", kRight},
               {"of", kRight},
               {"rate", kRight},
               {"left", kRight},
               {"from", kLeft}});
  for (const TransferStatus& t : s.transfers) {
    const std::uint64_t missing = t.size - std::min(t.done, t.size);
    const double share =
        t.size == 0 ? 100 : 100.0 * static_cast<double>(t.size - missing) / static_cast<double>(t.size);
    table.row({t.path, fmt::format("{:.0f} %", share), human_size(t.size), human_size(t.rate_bytes_s) + "/s",
               t.rate_bytes_s == 0 ? "-" : human_duration(missing / t.rate_bytes_s), t.peer});
  }
  return table.text();
}

std::string problems(const StatusReply& s) {
  Table table({{"since", kLeft}, {"problem", kLeft}, {"path", kLeft}});
  for (const ProblemStatus& p : s.problems)
    table.row({iso8601(p.since), p.problem,
               p.path.empty()     ? p.folder
               : p.folder.empty() ? p.path
                                  : fmt::format("{}: {}", p.folder, p.path)});
  std::string out = table.text();
  if (s.totals.problems > s.problems.size())
    out += fmt::format("and {} more\n", human_count(s.totals.problems - s.problems.size()));
  return out;
}

std::string readiness(bool ready, NodeState state, const std::string& reason) {
  if (state == NodeState::ready) return "ready";
  std::string out = ready ? std::string(state_name(state)) : fmt::format("NOT READY: {}", state_name(state));
  return reason.empty() ? out : out + ": " + printable(reason);
}

std::string name_line(const char* head, const std::vector<std::string>& names) {
  return names.empty() ? std::string()
                       : fmt::format("{}: {}\n", head, printable(fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

std::string render(const ReadyReply& r) { return readiness(r.ready, r.state, r.reason) + "\n"; }

std::string render_folders(const StatusReply& s) {
  std::string out = folders(s);
  for (const FolderStatus& f : s.folders)
    if (!f.held.empty()) out += "\n" + held(f);
  return out;
}

std::string render(const StatusReply& s) {
  std::string out = fmt::format("{}: {}", printable(s.node), readiness(s.ready, s.state, s.reason));
  out += fmt::format("\nversion {}, up {}, cluster {}, udp {}, http {}\n\n", printable(s.version),
                     human_duration(s.uptime_seconds), to_hex(s.cluster).substr(0, 12), printable(s.listen),
                     printable(s.http));
  out += folders(s) + "\n" + peers(s);
  if (!s.transfers.empty()) out += "\n" + transfers(s);
  if (!s.problems.empty()) out += "\n" + problems(s);
  if (s.totals.conflicts > 0)
    out += fmt::format("\n{} open conflict{}: syncline conflicts\n", human_count(s.totals.conflicts),
                       s.totals.conflicts == 1 ? "" : "s");
  return out;
}

std::string render(const MembersReply& reply) {
  Table table({{"member", kLeft},
               {"state", kLeft},
               {"link", kLeft},
               {"addresses", kLeft},
               {"admitted by", kLeft},
               {"id", kLeft}});
  for (const MemberStatus& m : reply.members)
    table.row({m.name, m.state,
               m.self     ? "this node"
               : m.linked ? "up"
                          : "DOWN",
               fmt::format("{}", fmt::join(m.addresses, " ")),
               m.admitted_by.empty() ? "(founder)" : m.admitted_by, to_hex(m.id).substr(0, 16)});
  return table.text();
}

// The token alone on standard output, so that it can be piped.
std::string render(const InviteReply& invite) { return printable(invite.token) + "\n"; }

std::string render(const WaitReply& wait) {
  return name_line("have it", wait.have) + name_line("lack it", wait.lacking) + name_line("absent", wait.absent);
}

std::string render(const DrainReply& drain) {
  const bool left = drain.state == NodeState::stopped;
  return name_line(left ? "left the cluster; have everything" : "drained; have everything", drain.have) + name_line("may lack something", drain.lacking) +
         name_line("absent", drain.absent);
}

std::string render(const VerifyReply& v) {
  std::string out = fmt::format("read {} file{} ({}) and {} kept version{}\n", human_count(v.files), v.files == 1 ? "" : "s",
                                human_size(v.bytes), human_count(v.kept), v.kept == 1 ? "" : "s");
  if (v.changed > 0) out += fmt::format("passed over, for they are being changed: {}\n", human_count(v.changed));
  if (v.pending > 0) out += fmt::format("on their way to this node: {}\n", human_count(v.pending));
  for (const std::string& path : v.damaged) out += fmt::format("damaged: {}\n", printable(path));
  for (const std::string& path : v.unreadable) out += fmt::format("cannot be read: {}\n", printable(path));
  if (v.repair && v.damaged_count > 0)
    out += fmt::format("repaired: {} of {}\n", human_count(v.repaired), human_count(v.damaged_count));
  return out + name_line("with the same versions", v.agree) + name_line("with others, at this moment", v.differ) +
         name_line("not linked", v.absent);
}

}  // namespace syncline

#include <fmt/format.h>

#include "node/http_server.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : as_utf8(value)) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// One family: its head, then its samples.
class Family {
 public:
  Family(std::string& out, std::string_view name, std::string_view type, std::string_view help)
      : out_(out), name_(name) {
    out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <class T>
  Family& add(const std::string& labels, T value) {
    out_ += fmt::format("{}{} {}\n", name_, labels, value);
    return *this;
  }

 private:
  std::string& out_;
  std::string_view name_;
};

// Names may be given twice by accident (two nodes admitting at once): the id keeps the series apart.
std::string labels(const PeerStatus& peer) {
  return fmt::format("{{peer=\"{}\",id=\"{}\"}}", escaped(peer.name), to_hex(peer.id).substr(0, 16));
}
std::string labels(const FolderStatus& folder) {
  return fmt::format("{{folder=\"{}\"}}", escaped(folder.name));
}

template <class Items, class Value>
void each(std::string& out, const Items& items, std::string_view name, std::string_view type,
          std::string_view help, Value value) {
  Family family(out, name, type, help);
  for (const auto& item : items) family.add(labels(item), value(item));
}

}  // namespace

std::string metrics_text(const StatusReply& s) {
  std::string out;
  using P = const PeerStatus&;
  using F = const FolderStatus&;
  Family(out, "syncline_info", "gauge", "Always 1; the labels say what runs here.")
      .add(fmt::format("{{node=\"{}\",version=\"{}\"}}", escaped(s.node), escaped(s.version)), 1);
  Family(out, "syncline_ready", "gauge", "1 when /readyz answers 200.").add("", s.ready ? 1 : 0);
  Family(out, "syncline_healthy", "gauge", "1 when /healthz answers 200.").add("", s.healthy ? 1 : 0);
  Family(out, "syncline_state", "gauge", "Always 1; the label says in which state the node is.")
      .add(fmt::format("{{state=\"{}\"}}", state_name(s.state)), 1);
  Family(out, "syncline_uptime_seconds", "gauge", "Since this process started.").add("", s.uptime_seconds);
  Family(out, "syncline_transfers", "gauge", "Large contents on their way here.").add("", s.transfers.size());
  Family(out, "syncline_problems", "gauge", "Things an administrator should look at.")
      .add("", s.totals.problems);
  Family(out, "syncline_sent_bytes_total", "counter", "UDP payload sent to all peers.")
      .add("", s.totals.sent_bytes);
  Family(out, "syncline_received_bytes_total", "counter", "UDP payload received from all peers.")
      .add("", s.totals.received_bytes);

  each(out, s.peers, "syncline_peer_linked", "gauge", "1 while a link is up.",
       [](P p) { return p.linked ? 1 : 0; });
  each(out, s.peers, "syncline_peer_ready", "gauge", "1 when the peer says it has caught up.",
       [](P p) { return p.ready ? 1 : 0; });
  each(out, s.peers, "syncline_peer_behind_entries", "gauge", "Log entries the peer is known to lack.",
       [](P p) { return p.behind; });
  each(out, s.peers, "syncline_peer_rtt_seconds", "gauge", "Round-trip time of the link.",
       [](P p) { return p.rtt_us / 1e6; });
  each(out, s.peers, "syncline_peer_sent_bytes_total", "counter", "UDP payload sent.",
       [](P p) { return p.sent_bytes; });
  each(out, s.peers, "syncline_peer_received_bytes_total", "counter", "UDP payload received.",
       [](P p) { return p.received_bytes; });

  each(out, s.folders, "syncline_folder_ok", "gauge", "0 while scanning, catching up or stopped.",
       [](F f) { return f.state == FolderState::ok ? 1 : 0; });
  each(out, s.folders, "syncline_folder_stopped", "gauge", "1 when the node refuses to sync this folder.",
       [](F f) { return f.state == FolderState::stopped ? 1 : 0; });
  each(out, s.folders, "syncline_folder_files", "gauge", "Live files.", [](F f) { return f.files; });
  each(out, s.folders, "syncline_folder_bytes", "gauge", "Bytes of live files.", [](F f) { return f.bytes; });
  each(out, s.folders, "syncline_folder_directories", "gauge", "Live directories.",
       [](F f) { return f.directories; });
  each(out, s.folders, "syncline_folder_pending", "gauge", "Versions known but not yet visible.",
       [](F f) { return f.pending; });
  each(out, s.folders, "syncline_folder_behind_seconds", "gauge",
       "How long the oldest of them has been known, large files on their way left out.",
       [](F f) { return f.behind_seconds; });
  each(out, s.folders, "syncline_folder_conflicts", "gauge", "Open conflicts.",
       [](F f) { return f.conflicts; });
  return out;
}

}  // namespace syncline

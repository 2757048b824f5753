#pragma once
#include <array>

#include "protocol/control.h"
#include "protocol/control_json.h"
#include "protocol/limits.h"

// Private to protocol/control*.cpp: the fields of every request and reply, by their names in JSON.
namespace syncline {

using Words = std::string_view;

inline const auto& names(FolderState) {
  static constexpr std::array<Words, 6> words{"ok", "scanning", "catching up", "stopped", "paused", "elsewhere"};
  return words;
}
inline const auto& names(NodeState) {
  static constexpr std::array<Words, 8> words{"ready",       "draining", "drained", "starting",
                                              "catching up", "cut off",  "stopped", "paused"};
  return words;
}
inline const auto& names(Kind) {
  static constexpr std::array<Words, 5> words{"deleted", "file", "directory", "symlink", "value"};
  return words;
}
inline const auto& names(Error::Code) {
  static constexpr std::array<Words, 9> words{"refused", "invalid",     "not_found", "exists",   "busy",
                                              "full",    "unsupported", "io",        "timed_out"};
  return words;
}

template <class Io, json::Is<Done> T>
void fields(Io&, T&) {}

template <class Io, json::Is<PeerStatus> T>
void fields(Io& io, T& v) {
  io("name", v.name, limits::node_name_bytes), io("id", v.id),
      io("address", v.address, limits::address_bytes);
  io("linked", v.linked), io("ready", v.ready), io("behind", v.behind), io("rtt_us", v.rtt_us);
  io("sent_bytes", v.sent_bytes), io("received_bytes", v.received_bytes),
      io("since_seconds", v.since_seconds);
}

template <class Io, json::Is<HeldStatus> T>
void fields(Io& io, T& v) {
  io("path", v.path, limits::path_bytes), io("changed_here", v.here);
}

template <class Io, json::Is<FolderStatus> T>
void fields(Io& io, T& v) {
  io("name", v.name), io("path", v.path), io("state", v.state), io("reason", v.reason);
  io("files", v.files), io("bytes", v.bytes), io("directories", v.directories);
  io("pending", v.pending), io("behind_seconds", v.behind_seconds), io("conflicts", v.conflicts);
  io("mode", v.mode), io("rules", v.rules), io("unpublished", v.unpublished), io("unapplied", v.unapplied);
  io("held", v.held, limits::status_held);
}

template <class Io, json::Is<TransferStatus> T>
void fields(Io& io, T& v) {
  io("folder", v.folder), io("path", v.path), io("size", v.size), io("done", v.done);
  io("rate_bytes_s", v.rate_bytes_s), io("peer", v.peer);
}

template <class Io, json::Is<ProblemStatus> T>
void fields(Io& io, T& v) {
  io("folder", v.folder), io("path", v.path, limits::control_path_bytes), io("problem", v.problem);
  io("since", v.since);
}

template <class Io, json::Is<StatusTotals> T>
void fields(Io& io, T& v) {
  io("files", v.files), io("bytes", v.bytes), io("conflicts", v.conflicts), io("pending", v.pending);
  io("sent_bytes", v.sent_bytes), io("received_bytes", v.received_bytes), io("problems", v.problems);
}

template <class Io, json::Is<StatusReply> T>
void fields(Io& io, T& v) {
  io("node", v.node, limits::node_name_bytes), io("id", v.id), io("cluster", v.cluster);
  io("version", v.version), io("ready", v.ready), io("state", v.state), io("reason", v.reason);
  io("healthy", v.healthy), io("unhealthy", v.unhealthy);
  io("listen", v.listen), io("http", v.http), io("now", v.now), io("uptime_seconds", v.uptime_seconds);
  io("peers", v.peers, limits::members), io("folders", v.folders, limits::folders);
  io("elsewhere", v.elsewhere, limits::folders);
  io("transfers", v.transfers, limits::status_transfers), io("problems", v.problems, limits::status_problems);
  io("totals", v.totals);
}

template <class Io, json::Is<FolderBehind> T>
void fields(Io& io, T& v) {
  io("name", v.name), io("changes", v.changes), io("seconds", v.seconds);
}
template <class Io, json::Is<ReadyReply> T>
void fields(Io& io, T& v) {
  io("ready", v.ready), io("state", v.state), io("reason", v.reason);
  io("healthy", v.healthy), io("unhealthy", v.unhealthy);
  io("missing", v.missing), io("folders", v.folders, limits::folders);
}

template <class Io, json::Is<DrainReply> T>
void fields(Io& io, T& v) {
  io("done", v.done), io("state", v.state), io("have", v.have, limits::members);
  io("lacking", v.lacking, limits::members), io("absent", v.absent, limits::members);
}

template <class Io, json::Is<MemberStatus> T>
void fields(Io& io, T& v) {
  io("name", v.name, limits::node_name_bytes), io("id", v.id), io("state", v.state), io("self", v.self);
  io("linked", v.linked), io("addresses", v.addresses, limits::addresses);
  io("http", v.http, limits::address_bytes), io("admitted_by", v.admitted_by);
}
template <class Io, json::Is<MembersReply> T>
void fields(Io& io, T& v) {
  io("members", v.members, limits::members);
}

template <class Io, json::Is<InviteReply> T>
void fields(Io& io, T& v) {
  io("token", v.token, limits::token_bytes), io("expires", v.expires), io("uses", v.uses);
}

template <class Io, json::Is<ConflictSide> T>
void fields(Io& io, T& v) {
  io("node", v.node), io("time", v.time), io("kind", v.kind), io("size", v.size), io("mode", v.mode, 07777);
  io("mtime", v.mtime), io("hash", v.hash), io("target", v.target, limits::symlink_target_bytes);
}
template <class Io, json::Is<ConflictEntry> T>
void fields(Io& io, T& v) {
  io("id", v.id), io("folder", v.folder), io("path", v.path, limits::path_bytes), io("winner", v.winner);
  io("loser", v.loser), io("detected", v.detected);
}
template <class Io, json::Is<ConflictsReply> T>
void fields(Io& io, T& v) {
  io("conflicts", v.conflicts, limits::conflicts_listed), io("total", v.total);
}
template <class Io, json::Is<ConflictShowReply> T>
void fields(Io& io, T& v) {
  io("conflict", v.conflict), io("winner_file", v.winner_file, limits::control_path_bytes);
  io("loser_file", v.loser_file, limits::control_path_bytes);
}
template <class Io, json::Is<RestoreReply> T>
void fields(Io& io, T& v) {
  io("path", v.path, limits::control_path_bytes);
}

template <class Io, json::Is<RevertReply> T>
void fields(Io& io, T& v) {
  io("paths", v.paths);
}

template <class Io, json::Is<SetupReport> T>
void fields(Io& io, T& v) {
  io("node", v.node), io("id", v.id), io("cluster", v.cluster), io("home", v.home), io("folder", v.folder);
  io("listen", v.listen), io("http", v.http);
}

template <class Io, json::Is<WaitReply> T>
void fields(Io& io, T& v) {
  io("done", v.done), io("have", v.have, limits::members), io("lacking", v.lacking, limits::members);
  io("absent", v.absent, limits::members);
}

template <class Io, class T>
requires json::Is<T, StatusRequest> || json::Is<T, ReadyRequest> || json::Is<T, MembersRequest> ||
    json::Is<T, ResumeRequest>
void fields(Io&, T&) {}
template <class Io, json::Is<InviteRequest> T>
void fields(Io& io, T& v) {
  io("uses", v.uses, limits::invite_uses), io("ttl_ms", v.ttl_ms, limits::invite_ttl_ms);
}
template <class Io, class T>
requires json::Is<T, DrainRequest> || json::Is<T, LeaveRequest>
void fields(Io& io, T& v) {
  io("timeout_ms", v.timeout_ms, limits::wait_timeout_ms);
}
template <class Io, json::Is<VerifyRequest> T>
void fields(Io& io, T& v) {
  io("repair", v.repair), io("run", v.run), io("timeout_ms", v.timeout_ms, limits::wait_timeout_ms);
}
template <class Io, json::Is<VerifyReply> T>
void fields(Io& io, T& v) {
  io("run", v.run), io("done", v.done), io("repair", v.repair), io("files", v.files), io("bytes", v.bytes);
  io("kept", v.kept), io("changed", v.changed), io("pending", v.pending), io("damaged_count", v.damaged_count);
  io("unreadable_count", v.unreadable_count), io("repaired", v.repaired), io("damaged", v.damaged, limits::status_held);
  io("unreadable", v.unreadable, limits::status_held), io("agree", v.agree, limits::members);
  io("differ", v.differ, limits::members), io("absent", v.absent, limits::members);
}
template <class Io, json::Is<EvictRequest> T>
void fields(Io& io, T& v) {
  io("node", v.node, limits::name_bytes);
}
template <class Io, json::Is<EvictReply> T>
void fields(Io& io, T& v) {
  io("name", v.name, limits::node_name_bytes), io("id", v.id);
}
template <class Io, json::Is<ConflictsRequest> T>
void fields(Io& io, T& v) {
  io("folder", v.folder, limits::name_bytes);
}
template <class Io, class T>
requires json::Is<T, ConflictShowRequest> || json::Is<T, ConflictDropRequest>
void fields(Io& io, T& v) { io("id", v.id, limits::name_bytes); }
template <class Io, json::Is<ConflictRestoreRequest> T>
void fields(Io& io, T& v) {
  io("id", v.id, limits::name_bytes), io("as", v.as, limits::control_path_bytes);
}
template <class Io, json::Is<RevertRequest> T>
void fields(Io& io, T& v) {
  io("folder", v.folder, limits::name_bytes), io("path", v.path, limits::control_path_bytes);
}
template <class Io, json::Is<FolderAddRequest> T>
void fields(Io& io, T& v) {
  io("path", v.path, limits::control_path_bytes), io("name", v.name, limits::name_bytes), io("mode", v.mode, limits::name_bytes);
  io("durability", v.durability, limits::name_bytes);
}
template <class Io, class T>
requires json::Is<T, FolderRemoveRequest> || json::Is<T, FolderPauseRequest>
void fields(Io& io, T& v) { io("name", v.name, limits::name_bytes); }
template <class Io, json::Is<FolderResumeRequest> T>
void fields(Io& io, T& v) {
  io("name", v.name, limits::name_bytes), io("accept_deletions", v.accept_deletions);
}
template <class Io, json::Is<FolderReply> T>
void fields(Io& io, T& v) {
  io("name", v.name, limits::name_bytes), io("path", v.path, limits::control_path_bytes), io("founded", v.founded);
}
template <class Io, json::Is<WaitRequest> T>  // without "nodes", which is a word or a number
void fields(Io& io, T& v) {
  io("folder", v.folder, limits::name_bytes), io("path", v.path, limits::control_path_bytes);
  io("durable", v.durable), io("timeout_ms", v.timeout_ms, limits::wait_timeout_ms);
}

}  // namespace syncline

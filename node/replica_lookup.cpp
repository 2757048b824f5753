#include <algorithm>

#include "node/replica_impl.h"
#include "protocol/planted_fault.h"

namespace syncline {

using What = LookupAnswer::What;

// ---- asking
// ------------------------------------------------------------------------------------------------------------------------------------

void Replica::Impl::ask_members(std::uint64_t id, Find& find) {
  find.asked = true;
  find.lookup_until_ms = now.mono_ms + limits::lookup_timeout_ms;
  for (const NodeId& member : find.members) {
    const auto link = links.find(member);
    if (link == links.end() || !link->second.greeted) {
      if (!planted(Fault::silence_is_no)) find.silent.insert(member);
      continue;
    }
    find.waiting.insert(member);
    send(member, Lane::control, Lookup{id, find.path.folder, find.path.path});
  }
}

// A member that becomes linked while somebody waits is asked, too.
void Replica::Impl::ask_finds(const NodeId& node) {
  for (const auto& [key, id] : finds.first_row) {
    Find& find = finds.all.at(id);
    if (!find.asked || find.silent.erase(node) == 0) continue;
    find.waiting.insert(node);
    send(node, Lane::control, Lookup{id, key.folder, key.path});
  }
}

// Its link is down: it answers nothing any more, and its own questions are void (their numbers may come
// again).
void Replica::Impl::silence_finds(const NodeId& node) {
  for (auto& [key, looking] : finds.looks) {
    for (auto* questions : {&looking.now, &looking.later})
      finds.questions -= std::erase_if(*questions, [&](const DiskQuestion& q) { return q.peer == node; });
  }
  std::vector<std::uint64_t> ids;
  for (const auto& [key, id] : finds.first_row) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    Find& find = finds.all.at(id);
    if (find.waiting.erase(node) == 0) continue;
    find.silent.insert(node);
    judge_find(id, find);
  }
}

void Replica::Impl::on(Peer& peer, LookupAnswer& m) {
  if (peer.echo_id != 0 && m.id == peer.echo_id) return on_echo(peer);
  const auto it = finds.all.find(m.id);
  if (it == finds.all.end() || it->second.waiting.erase(peer.node) == 0) return;
  Find& find = it->second;
  const bool refused = refused_until.contains(m.dot.actor) &&
                       now.mono_ms < refused_until.at(m.dot.actor);  // its clock is wrong
  if (m.what == What::unsure || (m.what == What::live && refused)) {
    find.silent.insert(peer.node);
  } else if (m.what == What::live) {
    find.told.push_back(m.dot);
    if (!index.vector().covers(m.dot) && m.dot.actor != options.actor) {
      heard(peer, m.dot.actor, m.dot.seq);
      need(peer, m.dot.actor);
    }
  }
  judge_find(m.id, find);
}

// ---- answering
// ---------------------------------------------------------------------------------------------------------------------------------

void Replica::Impl::on(Peer& peer, Lookup& m) {
  const PathKey key{m.folder, std::move(m.path)};
  const DiskQuestion question{peer.node, m.id};
  if (finds.questions >= tuning::questions_max) return answer_question(question, {.id = m.id, .what = What::unsure});
  const auto entry = index.get(key.folder, key.path);
  if (entry && entry->live && entry->live->content.kind != Kind::deleted)
    return answer_question(question, {.id = m.id, .what = What::live, .dot = entry->live->dot});
  if (!owns(key.folder)) return answer_question(question, {.id = m.id, .what = What::none});
  if (is_withheld(key, entry)) return answer_question(question, {.id = m.id, .what = What::none});
  want_look(key, question);
}

// One look of a path at a time. Whoever comes while it is under way may be told what it finds, but not that
// it finds nothing: it may have looked before the question came.
void Replica::Impl::want_look(const PathKey& key, const DiskQuestion& question) {
  finds.questions += !question.peer.is_zero();
  const auto [it, idle] = finds.looks.try_emplace(key);
  (idle ? it->second.now : it->second.later).push_back(question);
  if (idle) effects.push_back(LookAt{key.folder, key.path, false, true});
}

void Replica::Impl::looked(FolderId folder, const Observation& observation) {
  const PathKey key{folder, observation.path};
  const auto it = finds.looks.find(key);
  if (it == finds.looks.end()) return;
  const Finds::Looking looking = std::move(it->second);
  finds.looks.erase(it);
  for (const auto* questions : {&looking.now, &looking.later}) {
    finds.questions -= static_cast<std::size_t>(
        std::count_if(questions->begin(), questions->end(), [](const auto& q) { return !q.peer.is_zero(); }));
  }
  const LookupAnswer answer = judge_disk(key, observation);
  for (const DiskQuestion& question : looking.now) answer_question(question, answer);
  for (const DiskQuestion& question : looking.later) {
    if (answer.what == What::live)
      answer_question(question, answer);
    else
      want_look(key, question);
  }
}

// After observed(): what was new on the disk is a version by now.
LookupAnswer Replica::Impl::judge_disk(const PathKey& key, const Observation& o) const {
  using Seen = Observation::State;
  const auto entry = index.get(key.folder, key.path);
  if (entry && entry->live && entry->live->content.kind != Kind::deleted)
    return {.what = What::live, .dot = entry->live->dot};
  if (stopped.contains(key.folder)) return {.what = What::unsure};
  switch (o.state) {
    case Seen::absent:
    case Seen::unsupported:
      return {.what = What::none};
    case Seen::busy:
    case Seen::failed:
      return {.what = What::unsure};
    case Seen::unchanged:
    case Seen::present:
      break;
  }
  // What its tombstone has yet to remove is none; anything else is a version that could not be made of it
  // just now.
  const bool to_go =
      entry && entry->disk && entry->disk->state.content == o.disk.content && !works.contains(key);
  return {.what = to_go ? What::none : What::unsure};
}

void Replica::Impl::answer_question(const DiskQuestion& question, const LookupAnswer& answer) {
  if (!question.peer.is_zero()) {
    finds.replies.push_back({question.peer, answer});
    finds.replies.back().message.id = question.id;
    return;
  }
  const auto it = finds.all.find(question.id);
  if (it == finds.all.end() || it->second.waiting.erase(options.self) == 0) return;
  if (answer.what == What::unsure) it->second.silent.insert(options.self);
  judge_find(question.id, it->second);
}

// Behind what this step has written: the asker then has the version already, most times, when it learns of
// it.
void Replica::Impl::flush_replies() {
  for (const Finds::Reply& reply : std::exchange(finds.replies, {})) {
    if (links.contains(reply.peer)) send(reply.peer, Lane::control, reply.message);
  }
}

}  // namespace syncline

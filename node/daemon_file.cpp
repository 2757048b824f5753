#include <fmt/format.h>

#include "node/daemon.h"
#include "node/file_open.h"

namespace syncline {

Result<OpenedFile> Daemon::open(const std::string& name, std::string& path) {
  FolderId id = kFirstFolder;
  {
    const std::lock_guard lock(names_mutex_);
    const auto known = names_.find(name);
    if (known == names_.end()) return fail(Error::Code::refused, "no folder of this name");
    id = known->second;
  }
  const auto folder = open_folders_->get(id);
  if (!folder) return fail(Error::Code::busy, "the folder is not available");
  const IndexReader index(*kv_);
  const FileOpener opener{folder->folder->file_system(), [&index, id](const std::string& p) { return index.get(id, p); },
                          home_.cluster.hash_key};
  return opener.open(path);
}

void Daemon::find(const std::string& name, const std::string& path, FindAnswer answer) {
  const auto place = folder_or_error(name);
  if (!place) return answer({FoundFile::Where::nowhere, ""});
  std::vector<NodeId> joined;
  for (const Member& m : members_) {
    if (m.node != home_.identity.node && m.state == MemberState::joined) joined.push_back(m.node);
  }
  const auto id = replica_->start_find((*place)->id(), path, std::move(joined), now());
  if (!id) return answer({FoundFile::Where::unavailable, id.error().message});
  finds_[*id].push_back(std::move(answer));
  tell(Tick{});  // carries out what it started
}

void Daemon::end_find(std::uint64_t id) {
  const FindView view = replica_->find_state(id);
  replica_->end_find(id);
  FoundFile found;
  if (view.state == FindView::State::here) {
    found.where = FoundFile::Where::here;
  } else if (view.state == FindView::State::nowhere) {
    found.where = FoundFile::Where::nowhere;
  } else {
    std::string names;
    for (const NodeId& node : view.silent) names += (names.empty() ? "" : ", ") + name_of(node);
    found.reason =
        names.empty() ? "its bytes have not come in time" : names + " could not be asked, or cannot say now";
  }
  auto waiting = finds_.extract(id);
  if (waiting.empty()) return;
  for (const FindAnswer& answer : waiting.mapped()) answer(found);
}

}  // namespace syncline

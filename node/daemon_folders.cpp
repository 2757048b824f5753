#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "node/daemon.h"
#include "node/home_folders.h"
#include "protocol/limits.h"

// The folders that this node has, and `syncline folder`.
namespace syncline {

// ---- which is which
// -----------------------------------------------------------------------------------------------------------

LocalFolder* Daemon::folder(FolderId id) const {
  const auto it = std::ranges::find_if(folders_, [id](const auto& f) { return f->id() == id; });
  return it == folders_.end() ? nullptr : it->get();
}

LocalFolder* Daemon::folder_named(const std::string& name) const {
  const auto it = std::ranges::find_if(folders_, [&](const auto& f) { return f->home.name == name && !f->home.removing; });
  return it == folders_.end() ? nullptr : it->get();
}

std::string Daemon::folder_name(FolderId id) const {
  const LocalFolder* f = folder(id);
  return f ? f->home.name : "";
}

FolderRunner* Daemon::runner(FolderId id) const {
  const LocalFolder* f = folder(id);
  return f ? f->runner.get() : nullptr;
}

Result<LocalFolder*> Daemon::folder_or_error(const std::string& name) const {
  LocalFolder* const f = name.empty() ? &first_folder() : folder_named(name);
  if (!f) return fail(Error::Code::not_found, "this node has no folder named " + name + "; see: syncline folder list");
  return f;
}

static bool is_below(const std::string& path, const std::string& root) { return path.starts_with(root + "/"); }

Result<Daemon::Place> Daemon::place_of(const std::string& name, const std::string& given) const {
  const auto named = folder_or_error(name);
  if (!named) return tl::unexpected(named.error());
  Place place{*named, given};
  if (given.starts_with('/')) {
    const auto holds = [&](const auto& f) { return !f->home.removing && is_below(given, f->path()); };
    const auto it = std::ranges::find_if(folders_, holds);
    if (name.empty() && it != folders_.end()) place.folder = it->get();
    const std::string& root = place.folder->path();
    if (!is_below(given, root))
      return fail(Error::Code::not_found, given + " is not inside " + (name.empty() && folders_.size() > 1 ? "a folder of this node" : root));
    place.path.erase(0, root.size() + 1);
  }
  std::string& path = place.path;
  while (path.starts_with("./")) path.erase(0, 2);
  while (path.ends_with('/')) path.pop_back();
  if (!is_canonical_path(path) || path == kRootPath || path == ".syncline" || path.starts_with(".syncline/"))
    return fail(Error::Code::invalid, given + " is not a path of a file in the folder");
  return place;
}

// Those beyond the first that some member has, or had.
std::vector<ClusterFolder> Daemon::cluster_folders() const {
  std::vector<ClusterFolder> out;
  for (const auto& [path, value] : replica_->values("folders")) {
    auto known = decode_folder(value);
    if (known && folder_path(known->id) == path && out.size() < limits::folders) out.push_back(*std::move(known));
  }
  return out;
}

FolderStatus Daemon::folder_status(const LocalFolder& local) const {
  FolderStatus f;
  const FolderId id = local.id();
  f.name = local.home.name;
  f.path = local.path();
  const IndexCounts c = index_->counts(id);
  f.files = c.files, f.bytes = c.bytes, f.directories = c.directories, f.pending = c.pending,
  f.conflicts = c.open_conflicts;
  f.mode = mode_name(local.home.config.mode);
  f.rules = local.runner->rules();
  f.unpublished = c.unpublished, f.unapplied = c.unapplied;
  for (HeldView& held : replica_->held(id, limits::status_held))
    f.held.push_back({std::move(held.path), held.held == Held::unpublished});
  const std::string stopped = replica_->folder_stopped(id);
  const auto is = [&f](FolderState state, std::string reason) { f.state = state, f.reason = std::move(reason); };
  if (commit_blocked_)
    is(FolderState::stopped, "no space left for the index");
  else if (!stopped.empty())
    is(local.runner->paused() ? FolderState::paused : FolderState::stopped, stopped);
  else if (local.runner->scanning())
    is(FolderState::scanning, "comparing the folder with the index");
  else if (c.pending > 0)
    is(FolderState::catching_up, fmt::format("{} files on their way", c.pending));
  return f;
}

Status Daemon::save_folders() const {
  std::vector<HomeFolder> list;
  for (const auto& f : folders_) list.push_back(f->home);
  return syncline::save_folders(home_.path, list);
}

// ---- add
// -----------------------------------------------------------------------------------------------------------------------

// Not started yet.
LocalFolder& Daemon::open_folder(HomeFolder home) {
  LocalFolder& f = *folders_.emplace_back(std::make_unique<LocalFolder>());
  f.home = std::move(home);
  if (f.home.removing) return f;
  {
    const std::lock_guard lock(names_mutex_);
    names_[f.home.name] = f.id();
    names_.try_emplace("", f.id());
  }
  open_folders_->put(f.id(), f.slot);
  FolderRunner::Options options;
  options.id = f.id();
  options.path = f.path();
  options.identity = {home_.cluster.cluster, f.id()};
  options.key = &hash_key_;
  options.strict = f.home.config.durability == Durability::strict;
  options.paused = f.home.paused;
  options.missing_percent = static_cast<std::uint32_t>(home_.config.mass_delete_percent);
  options.rescan = std::chrono::seconds(home_.config.rescan_seconds);
  options.looks_as_of = [this] { return replica_->looks_as_of(); };
  options.recovering = [this] { return replica_->recovering(); };
  options.slot = f.slot;
  f.runner = std::make_unique<FolderRunner>(std::move(options), loop_, executor_, *index_, *kv_, [this](Event e) { tell(std::move(e)); });
  return f;
}

// What is to be added, if it can be.
Result<HomeFolder> Daemon::new_folder(const FolderAddRequest& request) const {
  std::vector<HomeFolder> others;
  for (const auto& f : folders_) others.push_back(f->home);
  const auto path = usable_folder(request.path, home_.path, others);
  if (!path) return tl::unexpected(path.error());
  HomeFolder add;
  add.name = request.name.empty() ? path->substr(path->rfind('/') + 1) : request.name;
  if (!valid_folder_name(add.name)) return fail(Error::Code::invalid, "\"" + printable(add.name) + "\" is no name for a folder");
  const auto same = std::ranges::find(others, add.name, &HomeFolder::name);
  if (same != others.end())
    return same->removing ? fail(Error::Code::busy, add.name + " is still being removed; try again")
                          : fail(Error::Code::exists, fmt::format("this node has a folder named {} already, {}; choose another with --name", add.name,
                                                                  same->config.path));
  add.id = folder_id_of(add.name);
  const auto taken = std::ranges::find(others, add.id, &HomeFolder::id);
  if (taken != others.end()) return fail(Error::Code::refused, fmt::format("{} and {} cannot be told apart; choose another name", add.name, taken->name));
  if (others.size() >= limits::folders) return fail(Error::Code::full, "too many folders");
  const auto mode = mode_named(request.mode.empty() ? mode_name({}) : request.mode);
  const auto durability = durability_named(request.durability.empty() ? durability_name({}) : request.durability);
  if (!mode || !durability) return fail(Error::Code::invalid, "no such mode or durability; see config.toml");
  add.config = {*path, *durability, *mode};
  return add;
}

Result<ControlReply> Daemon::on(const FolderAddRequest& request) {
  auto add = new_folder(request);
  if (!add) return tl::unexpected(add.error());
  auto files = open_file_system(add->config.path);
  if (!files) return tl::unexpected(files.error());
  if (const Status marked = Folder::create_marker(**files, {home_.cluster.cluster, add->id}); !marked)
    return fail(marked.error().code, fmt::format("folder {}: {}", add->config.path, marked.error().message));
  // A loss of power may have taken from the index that it was removed.
  for (std::string at = replica_->forget_disk(add->id, ""); !at.empty();) at = replica_->forget_disk(add->id, at);
  LocalFolder& f = open_folder(*std::move(add));
  if (const Status saved = save_folders(); !saved) {
    const std::lock_guard lock(names_mutex_);
    names_.erase(f.home.name), open_folders_->erase(f.id()), folders_.pop_back();
    return tl::unexpected(saved.error());
  }
  const ClusterFolder known{f.id(), f.home.name};
  FolderReply reply{f.home.name, f.path(), !replica_->values("folders").contains(folder_path(f.id()))};
  replica_->put_value(folder_path(f.id()), encode_folder(known), now());
  replica_->add_folder(f.id(), f.home.config.mode, now());
  f.runner->start();
  spdlog::info("folder {} is {} from now on", f.home.name, f.path());
  tell(Tick{});
  return reply;
}

// ---- pause, resume, remove, revert
// -----------------------------------------------------------------------------------------------------------

// The folder, for what a start after this one is to know, too.
Result<LocalFolder*> Daemon::set_paused(const std::string& name, bool paused) {
  const auto f = folder_or_error(name);
  if (!f) return f;
  const bool before = std::exchange((*f)->home.paused, paused);
  if (const Status saved = save_folders(); !saved) {
    (*f)->home.paused = before;
    return tl::unexpected(saved.error());
  }
  return f;
}

Result<ControlReply> Daemon::on(const FolderPauseRequest& request) {
  const auto f = set_paused(request.name, true);
  if (!f) return tl::unexpected(f.error());
  (*f)->runner->pause();
  return FolderReply{(*f)->home.name, (*f)->path(), false};
}

Result<ControlReply> Daemon::on(const FolderResumeRequest& request) {
  const auto f = set_paused(request.name, false);
  if (!f) return tl::unexpected(f.error());
  (*f)->runner->resume(request.accept_deletions);
  return FolderReply{(*f)->home.name, (*f)->path(), false};
}

// Answered when nothing of this node works in it any more, and the index has been told that nothing of it is on disk here.
void Daemon::remove_folder(const FolderRemoveRequest& request, ControlAnswer answer) {
  const auto named = folder_or_error(request.name);
  if (!named) return answer(tl::unexpected(named.error()));
  LocalFolder& f = **named;
  if (&f == &first_folder())
    return answer(fail(Error::Code::refused, fmt::format("{} is the folder that this node was made with: pause it (syncline folder pause), "
                                                         "or take the node out of the cluster (syncline cluster leave)", f.home.name)));
  f.home.removing = true;
  if (const Status saved = save_folders(); !saved) {
    f.home.removing = false;
    return answer(tl::unexpected(saved.error()));
  }
  {
    const std::lock_guard lock(names_mutex_);
    names_.erase(f.home.name);
  }
  f.runner->pause();
  replica_->remove_folder(f.id(), now());
  removals_.emplace(f.id(), std::move(answer));
  tell(Tick{});
}

void Daemon::check_removals() {
  const auto leaving = std::ranges::find_if(folders_, [](const auto& f) { return f->home.removing; });
  if (leaving == folders_.end()) return;
  LocalFolder& f = **leaving;
  if (f.runner && (replica_->is_busy(f.id()) || !f.runner->closed())) return;
  if (f.runner) {
    f.runner.reset();
    open_folders_->erase(f.id());
    if (const auto files = open_file_system(f.path())) Folder::remove_marker(**files, {home_.cluster.cluster, f.id()});
  }
  f.forgotten = replica_->forget_disk(f.id(), f.forgotten);
  tell(Tick{});  // commits
  if (!f.forgotten.empty()) return loop_.post([] {});
  spdlog::info("folder {}: {} is not synced any more", f.home.name, f.path());
  const FolderReply reply{f.home.name, f.path(), false};
  const auto [first, last] = removals_.equal_range(f.id());
  for (auto it = first; it != last; ++it) it->second(reply);
  removals_.erase(first, last);
  folders_.erase(leaving);
  if (const Status saved = save_folders(); !saved) spdlog::error("{}", saved.error().message);
}

Result<ControlReply> Daemon::on(const RevertRequest& request) {
  std::string path;
  auto f = folder_or_error(request.folder);
  if (!f) return tl::unexpected(f.error());
  if (!request.path.empty()) {
    const auto place = place_of(request.folder, request.path);
    if (!place) return tl::unexpected(place.error());
    f = place->folder, path = place->path;
  }
  const auto reverted = replica_->revert((*f)->id(), path, now());
  if (!reverted) return tl::unexpected(reverted.error());
  tell(Tick{});
  return RevertReply{*reverted};
}

}  // namespace syncline

// A restart after a crash, as the node does it, and the judgement of what is then there.
#include <algorithm>

#include <fmt/format.h>

#include "protocol/codec.h"
#include "storage/folder_names.h"
#include "storage/scanner.h"
#include "tests/crash/machine.h"

namespace syncline::crash {

namespace names = folder_names;

namespace {
constexpr FolderId kFolder = 1;
constexpr const char* kIntent = "apply/0";
}  // namespace

class Recovery {
 public:
  Recovery(Machine& machine, const Machine::Crash& crash)
      : m_(machine), crash_(crash), disk_(m_.disk_.copy()), kv_(m_.moment(crash.state.instant).kv->copy()) {
    disk_->become(m_.recorder_->after(crash.state));
    kv_->crash(crash.batches, crash.power);
  }

  Verdict run() {
    if (crash_.killed_again_at) {
      disk_->halt_at(disk_->operations() + *crash_.killed_again_at);
      (void)restart();
      folder_.reset();
      index_.reset();
      disk_->restart();
    }
    if (const Status started = restart(); !started) {
      fault(started.error().message);
      return verdict_;
    }
    scan();
    for (const auto& [path, versions] : m_.shown_) judge_path(path, versions);
    judge_claims();
    judge_late_writes();
    judge_versions();
    judge_strays();
    for (const auto& [path, versions] : m_.shown_) go_on(path, versions);
    return verdict_;
  }

 private:
  using Shown = Machine::Shown;

  void fault(std::string what) { verdict_.faults.push_back(std::move(what)); }

  Status restart() {
    auto index = Index::open(*kv_);
    if (!index) return tl::unexpected(index.error());
    index_ = std::move(*index);
    auto folder = Folder::open(*disk_, m_.key_, m_.identity_);
    if (!folder) return tl::unexpected(folder.error());
    folder_ = std::move(*folder);
    for (const std::string& path : index_->pending(kFolder, "", SIZE_MAX))
      wanted_.insert(index_->get(kFolder, path)->live->content.hash);
    folder_->clean_staging([this](const Hash128& hash) { return wanted_.contains(hash); }, index_->after_power_loss());
    late_ = folder_->settle_limbo(true);
    return {};
  }

  void scan() {
    const IndexReader reader(*kv_);
    ScanOptions options;
    options.folder = kFolder;
    options.check_marker = [this] { return folder_->check_marker(); };
    options.accept_deletions = true;
    Scanner scanner(*disk_, reader, std::move(options));
    while (true) {
      ScanSlice slice = scanner.step(1000);
      for (Look& look : slice.looks) looks_[look.path] = look;
      if (slice.state == ScanSlice::State::more) continue;
      if (slice.state != ScanSlice::State::done) fault("the scan ended: " + slice.reason);
      return;
    }
  }

  // The version that was durable, and those that came after it, up to the crash.
  struct Legal {
    std::optional<std::string> durable;
    std::vector<Shown> since;
    bool may_be_no_file = false;
  };
  Legal legal(const std::vector<Shown>& versions) const {
    std::size_t group = 0;
    for (const std::size_t g : m_.groups_) group = g <= crash_.state.instant ? g : group;
    Legal out;
    for (const Shown& version : versions) {
      if (version.from < group) {
        out.durable = version.bytes;
      } else if (version.from < crash_.state.instant) {
        out.since.push_back(version);
      }
    }
    out.may_be_no_file = !out.durable || std::any_of(out.since.begin(), out.since.end(), [](const Shown& v) { return !v.bytes; });
    return out;
  }

  bool is_marked(const std::string& path) const {
    if (index_->is_distrusted(kFolder, path)) return true;
    const auto intent = index_->meta(kIntent);
    if (!intent || intent->empty()) return false;
    Reader r(*intent);
    return read_record(r).path == path;
  }

  void judge_path(const std::string& path, const std::vector<Shown>& versions) {
    const Legal legal = this->legal(versions);
    const auto bytes = disk_->app_read(path);
    if (!bytes) {
      const bool half_written = path.ends_with(".upload");
      if (!legal.may_be_no_file && !half_written) fault(path + " is gone or no file");
      return;
    }
    if (bytes == legal.durable) return;
    const auto whole = std::find_if(legal.since.begin(), legal.since.end(), [&](const Shown& v) { return v.bytes == bytes; });
    if (whole != legal.since.end()) return;
    const auto torn = std::find_if(legal.since.begin(), legal.since.end(), [&](const Shown& v) {
      return v.bytes && bytes->size() <= v.bytes->size();
    });
    if (torn == legal.since.end() || (!crash_.power && !torn->by_application))
      return fault(fmt::format("{} holds {} bytes that nobody wrote", path, bytes->size()));
    if (torn->by_application) return;  // it did not sync: its own affair
    if (is_marked(path)) return;
    const auto entry = index_->get(kFolder, path);
    const bool known = entry && entry->live && std::any_of(legal.since.begin(), legal.since.end(), [&](const Shown& v) {
                         return v.bytes && m_.hash(*v.bytes) == entry->live->content.hash;
                       });
    if (known) fault(path + " is torn, and the index that knows the new version does not mark it");
    if (!known) ++verdict_.torn_unknown;
  }

  // What the index says is on disk is there, or the next scan looks and sees a difference.
  void judge_claims() {
    std::string after;
    for (const auto& [path, entry] : index_->below(kFolder, "", after, SIZE_MAX)) {
      if (!entry.disk || !entry.disk->state.present() || is_true(path, entry.disk->state)) continue;
      const auto look = looks_.find(path);
      if (look == looks_.end()) {
        fault("the index claims of " + path + " what is not there, and the scan passes over it");
      } else if (folder_->observe(path, entry.disk->state, look->second.force).state == Observation::State::unchanged) {
        fault("the index claims of " + path + " what is not there, and a look finds it unchanged");
      }
    }
  }

  bool is_true(const std::string& path, const DiskState& claim) const {
    const auto stat = disk_->stat(path);
    const Content& content = claim.content;
    if (!stat) return false;
    if (content.kind == Kind::directory) return stat->type == FileType::directory && stat->mode == content.mode;
    if (content.kind == Kind::symlink) return disk_->read_link(path) == content.target;
    const auto bytes = disk_->app_read(path);
    return bytes && m_.key_.hash(*bytes) == content.hash && stat->mode == content.mode;
  }

  void judge_late_writes() {
    for (const LateWrite& late : late_) {
      if (!m_.by_application_.contains(late.disk.content.hash))
        fault("bytes that no application wrote count as written late to " + late.path);
    }
  }

  void judge_versions() {
    for (const Conflict& conflict : index_->conflicts(kFolder, false, SIZE_MAX)) {
      const Hash128& hash = conflict.loser.content.hash;
      if (folder_->has_version(hash, index_->after_power_loss())) {
        const auto bytes = folder_->read_version(hash, 0, 1 << 20);
        if (!bytes || m_.key_.hash(*bytes) != hash) fault("a kept version is torn and passes for whole");
        continue;
      }
      const auto durable = durable_conflicts();
      const bool was_durable = std::find(durable.begin(), durable.end(), hash) != durable.end();
      if (was_durable || !crash_.power) fault("a kept version is gone that an open conflict needs");
    }
  }

  std::vector<Hash128> durable_conflicts() const {
    const auto& moment = m_.moment(crash_.state.instant);
    auto kv = moment.kv->copy();
    kv->crash(0);
    std::vector<Hash128> out;
    const auto index = Index::open(*kv);
    for (const Conflict& conflict : (*index)->conflicts(kFolder, false, SIZE_MAX)) out.push_back(conflict.loser.content.hash);
    return out;
  }

  void judge_strays() {
    std::set<std::string> own{std::string(kOwnDirectory), std::string(names::kMarker), std::string(names::kStaging),
                              std::string(names::kVersions)};
    for (unsigned i = 0; i < names::kBuildingDirectories; ++i) own.insert(names::building_directory(i));
    for (const std::string& path : disk_->app_paths()) {
      if (own.contains(path)) continue;
      const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
      if (path.starts_with(names::kStaging)) {
        const auto found = names::parse(name);
        const bool content = found && (found->what == names::Found::What::staged || found->what == names::Found::What::part ||
                                       found->what == names::Found::What::progress);
        if (!content || !wanted_.contains(found->hash)) fault("left behind: " + path);
      } else if (path.starts_with(names::kVersions)) {
        if (!names::parse_hash(name)) fault("left behind: " + path);
      } else if (!m_.shown_.contains(path)) {
        fault("stray: " + path);
      }
    }
  }

  // The newest version can be applied to what is there.
  void go_on(const std::string& path, const std::vector<Shown>& versions) {
    const auto& newest = versions.back();
    const Observation seen = folder_->observe(path, {});
    if (!newest.bytes || path.ends_with(".upload") || (seen.state == Observation::State::present && seen.disk.content.kind == Kind::directory))
      return;
    ApplyRequest request;
    request.path = path;
    request.content = m_.file(*newest.bytes);
    request.bytes = std::make_shared<Bytes>(*newest.bytes);
    if (seen.state == Observation::State::present) request.expect = seen.disk;
    const ApplyResult result = folder_->apply(request);
    if (result.outcome == ApplyResult::Outcome::blocked) return;  // a file is where its directory was
    if (result.outcome != ApplyResult::Outcome::applied || disk_->app_read(path) != newest.bytes)
      fault(fmt::format("{} cannot be applied again: {}", path, result.problem));
  }

  Machine& m_;
  const Machine::Crash& crash_;
  std::unique_ptr<MemoryFileSystem> disk_;
  std::unique_ptr<MemoryKv> kv_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<Folder> folder_;
  std::set<Hash128> wanted_;
  std::vector<LateWrite> late_;
  std::map<std::string, Look> looks_;
  Verdict verdict_;
};

Verdict Machine::recover(const Crash& crash) { return Recovery(*this, crash).run(); }

}  // namespace syncline::crash

#include "storage/index.h"

#include <cassert>
#include <map>

#include <fmt/format.h>

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/planted_fault.h"
#include "storage/index_view.h"

namespace syncline {

struct Index::Impl {
  explicit Impl(Kv& store) : kv(store) {}

  IndexView view() const { return IndexView(kv, &batch); }
  void set(Bytes key, BytesView value) { batch.insert_or_assign(std::move(key), Bytes(value)); }
  void drop(Bytes key) { batch.insert_or_assign(std::move(key), std::nullopt); }
  void flag(Bytes key, BytesView value, bool was, bool is) {
    if (was && !is) drop(std::move(key));
    if (is && !was) set(std::move(key), value);
  }

  void load();
  void move_log(const Dot& was, const Dot& is, const LogTarget& target);
  void move_content(FolderId folder, std::string_view path, const PathEntry& was, const PathEntry& is);
  void settle_distrust(FolderId folder, std::string_view path, const PathEntry& was, const PathEntry& is);
  void replace(FolderId folder, std::string_view path, const PathEntry& is);
  void distrust_replayed();
  IndexCounts& counts_of(FolderId folder);

  Kv& kv;
  KvOverlay batch;  // everything since the last commit
  VersionVector vector;
  std::map<FolderId, IndexCounts> counts;  // of the folders touched since the last commit; written with it
  bool any_distrusted = false;             // spares put() a look-up in the normal case
};

namespace {

// How one entry counts, to be added or taken away.
IndexCounts count(const PathEntry& e) {
  IndexCounts c;
  c.pending = e.pending() ? 1 : 0;
  c.unapplied = e.held == Held::unapplied ? 1 : 0;
  c.unpublished = e.held == Held::unpublished ? 1 : 0;
  if (!e.live) return c;
  switch (e.live->content.kind) {
    case Kind::deleted:
      c.tombstones = 1;
      break;
    case Kind::file:
      c.files = 1, c.bytes = e.live->content.size;
      break;
    case Kind::directory:
      c.directories = 1;
      break;
    case Kind::symlink:
      c.symlinks = 1;
      break;
    case Kind::value:
      break;
  }
  return c;
}

void shift(IndexCounts& c, const IndexCounts& minus, const IndexCounts& plus) {
  c.files += plus.files - minus.files, c.bytes += plus.bytes - minus.bytes;
  c.directories += plus.directories - minus.directories, c.symlinks += plus.symlinks - minus.symlinks;
  c.tombstones += plus.tombstones - minus.tombstones, c.pending += plus.pending - minus.pending;
  c.unapplied += plus.unapplied - minus.unapplied, c.unpublished += plus.unpublished - minus.unpublished;
}

bool is_live(const PathEntry& e) { return e.live && e.live->content.kind != Kind::deleted; }
bool is_listed(const PathEntry& e) { return e.held == Held::unapplied || e.held == Held::unpublished; }
Dot dot_of(const PathEntry& e) { return e.live ? e.live->dot : Dot{}; }

// The content by which others may find this path, zero for none.
Hash128 content_of(const PathEntry& e) {
  const bool has = e.disk && e.disk->state.content.kind == Kind::file && e.disk->state.content.size > 0;
  return has ? e.disk->state.content.hash : Hash128{};
}

bool keeps_bytes(const Conflict& c) { return !c.resolved && c.loser.content.kind == Kind::file; }
Table table_of(const Conflict& c) { return c.resolved ? Table::resolved_conflict : Table::open_conflict; }

}  // namespace

bool PathEntry::behind() const {
  if (!live || live->folder == kClusterFolder) return false;
  if (live->content.kind == Kind::deleted) return disk && disk->state.present();
  return !disk || disk->dot != live->dot;
}

void Index::Impl::load() {
  batch.clear();
  counts.clear();
  vector = {};
  const Bytes prefix(1, static_cast<char>(Table::vector)), last = prefix_end(prefix);
  for (const auto& [key, value] : kv.range(prefix, last, limits::vector_entries)) {
    Reader r(value);
    const std::uint64_t seq = r.varint();
    if (!r.done() || key.size() != 1 + ActorId::size) return view().damaged("a version vector");
    vector.raise(ActorId::from(BytesView(key).substr(1)), seq);
  }
  const Bytes marks(1, static_cast<char>(Table::distrusted));
  any_distrusted = !kv.range(marks, prefix_end(marks), 1).empty();
}

IndexCounts& Index::Impl::counts_of(FolderId folder) {
  const auto it = counts.find(folder);
  return it != counts.end() ? it->second : counts.emplace(folder, view().counts(folder)).first->second;
}

void Index::Impl::move_log(const Dot& was, const Dot& is, const LogTarget& target) {
  if (was == is) return;
  const Bytes value = encode_target(target);
  // A dot that two paths claim (a member that misbehaves) has its entry with the later one.
  if (was.seq != 0 && view().get(log_key(was.actor, was.seq)) == value) drop(log_key(was.actor, was.seq));
  if (is.seq != 0) set(log_key(is.actor, is.seq), value);
}

void Index::Impl::move_content(FolderId folder, std::string_view path, const PathEntry& was,
                               const PathEntry& is) {
  const Hash128 before = content_of(was), after = content_of(is);
  if (before == after) return;
  const Bytes tail = path_key(path);
  if (!before.is_zero()) drop(content_key(before, folder) + tail);
  if (!after.is_zero()) set(content_key(after, folder) + tail, path_in_value(path));
}

void Index::Impl::settle_distrust(FolderId folder, std::string_view path, const PathEntry& was,
                                  const PathEntry& is) {
  if (!any_distrusted || was.disk == is.disk) return;
  Bytes key = entry_key(Table::distrusted, folder, path);
  if (view().get(key)) drop(std::move(key));
}

void Index::Impl::replace(FolderId folder, std::string_view path, const PathEntry& is) {
  const PathEntry was = view().entry(folder, path).value_or(PathEntry{});
  const bool empty = !is.live && !is.disk;
  if (empty || is_live(was) != is_live(is))
    drop(entry_key(is_live(was) ? Table::live : Table::dead, folder, path));
  if (!empty) set(entry_key(is_live(is) ? Table::live : Table::dead, folder, path), encode_entry(path, is));
  move_log(dot_of(was), dot_of(is), {.folder = folder, .path = std::string(path), .loser = {}});
  move_content(folder, path, was, is);
  settle_distrust(folder, path, was, is);
  flag(entry_key(Table::pending, folder, path), path_in_value(path), was.pending(), is.pending());
  flag(entry_key(Table::held, folder, path), path_in_value(path), is_listed(was), is_listed(is));
  shift(counts_of(folder), count(was), count(is));
}

// After power loss nothing is sure of a path that changed since the last durable group: its file may be
// older, shorter, gone or back. The fingerprint must never match, and whoever looks must know.
void Index::Impl::distrust_replayed() {
  for (const Bytes& key : kv.recovery().replayed_keys) {
    const auto parsed = parse_entry_key(key);
    const auto value = parsed ? view().get(key) : std::nullopt;
    if (!value) continue;
    auto named = decode_entry(parsed->folder, parsed->path_key, *value);
    if (!named) return view().damaged("an entry of a path");
    if (named->entry.disk) {
      named->entry.disk->state.print.ctime_ns = 0;
      set(key, encode_entry(named->path, named->entry));
    }
    set(entry_key(Table::distrusted, parsed->folder, named->path), path_in_value(named->path));
    any_distrusted = true;
  }
}

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;

Result<std::unique_ptr<Index>> Index::open(Kv& kv) {
  std::unique_ptr<Index> index(new Index(std::make_unique<Impl>(kv)));
  const Bytes key = name_key(Table::schema, "");
  if (const auto value = kv.get(key)) {
    Reader r(*value);
    const std::uint32_t schema = r.u32();
    if (!r.done() || schema == 0) return fail(Error::Code::invalid, "the index names no schema version");
    if (schema > schema_version) {
      return fail(Error::Code::invalid,
                  fmt::format("the index has schema {}, from a newer program; this one knows {}", schema,
                              schema_version));
    }
    if (schema < schema_version) index->write_schema();  // each schema can be read as the next one
  } else {
    if (!kv.range("", "", 1).empty())
      return fail(Error::Code::invalid, "the database holds something else than an index");
    index->write_schema();
  }
  if (auto done = index->commit(); !done) return tl::unexpected(done.error());
  index->impl_->load();
  if (kv.recovery().power_loss) index->impl_->distrust_replayed();
  // Also when there is nothing to write this asks the Kv whether any of the reads above met damage.
  if (auto done = index->commit(); !done) return tl::unexpected(done.error());
  return index;
}

void Index::write_schema() {
  Writer w;
  w.u32(schema_version);
  impl_->set(name_key(Table::schema, ""), w.data());
}

std::optional<PathEntry> Index::get(FolderId folder, std::string_view path) const {
  return impl_->view().entry(folder, path);
}

void Index::put(FolderId folder, std::string_view path, const PathEntry& entry) {
  assert(is_canonical_path(path) &&
         (!entry.live || (entry.live->folder == folder && entry.live->path == path)));
  impl_->replace(folder, path, entry);
}

void Index::erase(FolderId folder, std::string_view path) { impl_->replace(folder, path, PathEntry{}); }

std::optional<Conflict> Index::conflict(FolderId folder, std::string_view path, const Dot& loser) const {
  return impl_->view().conflict(folder, path, loser);
}

void Index::put_conflict(const Conflict& entry) {
  const Record& loser = entry.loser;
  const auto was = conflict(loser.folder, loser.path, loser.dot);
  if (was && was->resolved != entry.resolved)
    impl_->drop(conflict_key(table_of(*was), loser.folder, loser.path, loser.dot));
  Writer w;
  write(w, entry);
  impl_->set(conflict_key(table_of(entry), loser.folder, loser.path, loser.dot), w.data());
  impl_->move_log(was ? was->dot : Dot{}, entry.dot,
                  {.folder = loser.folder, .path = loser.path, .loser = loser.dot});
  if (was && keeps_bytes(*was)) impl_->drop(loser_key(was->loser.content.hash, loser.dot));
  if (keeps_bytes(entry)) impl_->set(loser_key(loser.content.hash, loser.dot), "");
  auto& open = impl_->counts_of(loser.folder).open_conflicts;
  if (was && !was->resolved) --open;
  if (!entry.resolved) ++open;
}

std::vector<Conflict> Index::conflicts(FolderId folder, bool include_resolved, std::size_t limit) const {
  auto out = impl_->view().conflicts(folder_key(Table::open_conflict, folder), limit);
  if (!include_resolved) return out;
  auto more = impl_->view().conflicts(folder_key(Table::resolved_conflict, folder), limit - out.size());
  out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return out;
}

std::vector<Conflict> Index::conflicts_of(FolderId folder, std::string_view path) const {
  std::vector<Conflict> out;
  for (const Table table : {Table::open_conflict, Table::resolved_conflict}) {
    for (Conflict& c : impl_->view().conflicts(conflict_key(table, folder, path), SIZE_MAX))
      out.push_back(std::move(c));
  }
  return out;
}

bool Index::conflict_needs(const Hash128& content) const {
  const Bytes prefix = loser_key(content);
  return !impl_->view().range(prefix, prefix_end(prefix), 1).empty();
}

const VersionVector& Index::vector() const { return impl_->vector; }

void Index::advance(const ActorId& actor, std::uint64_t seq) {
  if (seq <= impl_->vector.get(actor)) return;
  impl_->vector.raise(actor, seq);
  Writer w;
  w.varint(seq);
  if (planted(Fault::vector_before_records)) (void)impl_->kv.apply({{id_key(Table::vector, actor), Bytes(w.data())}});
  impl_->set(id_key(Table::vector, actor), w.data());
}

std::vector<LogEntry> Index::log(const ActorId& actor, std::uint64_t after, std::size_t max_entries,
                                 std::size_t max_bytes) const {
  return impl_->view().log(actor, after, max_entries, max_bytes);
}

bool Index::has_live_child(FolderId folder, std::string_view directory) const {
  return impl_->view().has_live_child(folder, directory);
}

std::vector<std::pair<std::string, PathEntry>> Index::below(FolderId folder, std::string_view directory,
                                                            std::string_view after, std::size_t limit) const {
  return impl_->view().below(folder, directory, after, limit);
}

std::vector<std::string> Index::pending(FolderId folder, std::string_view after, std::size_t limit) const {
  return impl_->view().paths(Table::pending, folder, after, limit);
}

std::vector<std::string> Index::held(FolderId folder, std::string_view after, std::size_t limit) const {
  return impl_->view().paths(Table::held, folder, after, limit);
}

std::vector<std::string> Index::paths_with(FolderId folder, const Hash128& content, std::size_t limit) const {
  return impl_->view().paths_with(folder, content, limit);
}

std::vector<std::string> Index::distrusted(FolderId folder, std::string_view after, std::size_t limit) const {
  if (!impl_->any_distrusted) return {};
  return impl_->view().paths(Table::distrusted, folder, after, limit);
}

bool Index::is_distrusted(FolderId folder, std::string_view path) const {
  return impl_->any_distrusted && impl_->view().get(entry_key(Table::distrusted, folder, path));
}

void Index::distrust(FolderId folder, std::string_view path) {
  impl_->set(entry_key(Table::distrusted, folder, path), path_in_value(path));
  impl_->any_distrusted = true;
}

void Index::trust(FolderId folder, std::string_view path) {
  if (is_distrusted(folder, path)) impl_->drop(entry_key(Table::distrusted, folder, path));
}

bool Index::distrusts_any() const { return impl_->any_distrusted; }

bool Index::after_power_loss() const { return impl_->kv.recovery().power_loss; }

std::shared_ptr<const Signature> Index::signature(const Hash128& content) const {
  const auto value = impl_->view().get(id_key(Table::signature, content));
  if (!value) return nullptr;
  auto decoded = decode_signature(*value);
  if (!decoded) return impl_->view().damaged("a signature"), nullptr;
  return std::make_shared<const Signature>(*std::move(decoded));
}

void Index::put_signature(const Hash128& content, const Signature& signature) {
  const Bytes encoded = encode_signature(signature);
  if (encoded.size() > limits::kept_signature_bytes) return drop_signature(content);
  impl_->set(id_key(Table::signature, content), encoded);
}

void Index::drop_signature(const Hash128& content) { impl_->drop(id_key(Table::signature, content)); }

std::optional<Bytes> Index::meta(std::string_view name) const {
  return impl_->view().get(name_key(Table::meta, name));
}

void Index::put_meta(std::string_view name, BytesView value) {
  impl_->set(name_key(Table::meta, name), value);
}

IndexCounts Index::counts(FolderId folder) const {
  const auto it = impl_->counts.find(folder);
  return it != impl_->counts.end() ? it->second : impl_->view().counts(folder);
}

Result<std::uint64_t> Index::commit() {
  for (const auto& [folder, counts] : impl_->counts)
    impl_->set(folder_key(Table::counts, folder), encode_counts(counts));
  // A copy: the batch stays when the Kv refuses it.
  if (Status s = impl_->kv.apply({impl_->batch.begin(), impl_->batch.end()}); !s)
    return tl::unexpected(s.error());
  impl_->batch.clear();
  impl_->counts.clear();
  return impl_->kv.applied();
}

void Index::rollback() { impl_->load(); }

}  // namespace syncline

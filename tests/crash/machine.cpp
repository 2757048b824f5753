#include "tests/crash/machine.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace syncline::crash {
namespace {

constexpr FolderId kFolder = 1;
constexpr const char* kIntent = "apply/0";
constexpr std::int64_t kMtimeNs = 1'600'000'000'123'456'789;
constexpr std::int64_t kStepNs = 1'000'000'000;  // stamps of two steps cannot be confused

HashKey test_key() {
  Key32 key;
  key.bytes.fill(7);
  return HashKey(key);
}

}  // namespace

Machine::Machine() : key_(test_key()), disk_([this] { return now_ns_; }), kv_(make_memory_kv()) {
  identity_.cluster.bytes.fill(3);
  EXPECT_TRUE(Folder::create_marker(disk_, identity_));
  EXPECT_TRUE(Folder::open(disk_, key_, identity_));  // makes its directories
  EXPECT_TRUE(disk_.sync_all());
  recorder_ = std::make_unique<DiskRecorder>(disk_);
  folder_ = *Folder::open(*recorder_, key_, identity_);
  index_ = *Index::open(*kv_);
  kv_->make_durable();
  moments_.push_back({0, kv_->copy()});
  groups_.push_back(0);
}

const Machine::Moment& Machine::moment(std::size_t instant) const {
  const Moment* found = &moments_.front();
  for (const Moment& m : moments_) {
    if (m.at < instant) found = &m;  // it is a note of the recording, and counts once that is past
  }
  return *found;
}

void Machine::shows(const std::string& path, std::optional<std::string> bytes, bool by_application) {
  now_ns_ += kStepNs;
  shown_[path].push_back({recorder_->operations().size(), std::move(bytes), by_application});
}

void Machine::commit(std::string what) {
  EXPECT_TRUE(index_->commit());
  moments_.push_back({recorder_->note("index: " + std::move(what)), kv_->copy()});
}

void Machine::put(const std::string& path, PathEntry entry) { index_->put(kFolder, path, entry); }

Content Machine::file(const std::string& bytes) const {
  Content content;
  content.kind = Kind::file;
  content.hash = key_.hash(bytes);
  content.size = bytes.size();
  content.mode = 0644;
  content.mtime_ns = kMtimeNs;
  return content;
}

Record Machine::record(const std::string& path, const Content& content) {
  Record record{.folder = kFolder, .path = path, .content = content};
  record.dot.actor.bytes.fill(9);
  record.dot.seq = ++seq_;
  record.hlc = Hlc::at_ms(static_cast<std::uint64_t>(now_ns_ / 1'000'000));
  return record;
}

void Machine::app_write(const std::string& path, const std::string& bytes) {
  shows(path, bytes, true);
  by_application_.insert(key_.hash(bytes));
  const std::string unfinished = path + ".upload";
  shown_[unfinished].push_back({recorder_->operations().size(), bytes, true});
  auto file = recorder_->open_write(unfinished);
  EXPECT_TRUE(file && (*file)->write_at(0, bytes));
  EXPECT_TRUE(recorder_->replace(unfinished, path));
}

void Machine::app_make_directory(const std::string& path) {
  shows(path, std::nullopt, true);
  EXPECT_TRUE(recorder_->make_directory(path, 0755));
}

void Machine::look(const std::string& path) {
  now_ns_ += kStepNs;
  const Observation seen = folder_->observe(path, {});
  ASSERT_EQ(seen.state, Observation::State::present) << path;
  const Record record = this->record(path, seen.disk.content);
  put(path, {record, OnDisk{seen.disk, record.dot, record.context, record.hlc}});
  commit("publishes " + path);
}

void Machine::apply_file(const std::string& path, const std::string& bytes, How how) {
  shows(path, bytes);
  ApplyRequest request;
  request.path = path;
  request.content = file(bytes);
  if (how.inline_bytes) request.bytes = std::make_shared<Bytes>(bytes);
  request.keep_displaced = how.keep_displaced;
  request.keep_staged = how.keep_staged;
  run(std::move(request));
}

void Machine::apply(const std::string& path, const Content& content) {
  shows(path, std::nullopt);
  ApplyRequest request;
  request.path = path;
  request.content = content;
  run(std::move(request));
}

void Machine::run(ApplyRequest request) {
  const std::string path = request.path;
  PathEntry entry = index_->get(kFolder, path).value_or(PathEntry{});
  if (entry.disk) request.expect = entry.disk->state;
  entry.live = record(path, request.content);
  put(path, entry);
  Writer intent;
  write(intent, *entry.live);
  index_->put_meta(kIntent, intent.data());
  commit("is going to apply " + path);
  const ApplyResult result = folder_->apply(request);
  ASSERT_EQ(result.outcome, ApplyResult::Outcome::applied) << path << ": " << result.problem;
  for (const std::string& parent : result.made_parents) {
    shown_[parent].push_back({0, std::nullopt, false});
    const auto stat = disk_.stat(parent);
    Content made;
    made.kind = Kind::directory;
    made.mode = stat->mode;
    made.mtime_ns = stat->print.mtime_ns;
    put(parent, {std::nullopt, OnDisk{{made, stat->print}, {}, {}, {}}});
  }
  entry.disk.reset();
  if (request.content.kind != Kind::deleted)
    entry.disk = OnDisk{result.disk, entry.live->dot, entry.live->context, entry.live->hlc};
  put(path, entry);
  index_->put_meta(kIntent, "");
  commit("has applied " + path);
}

void Machine::conflict_over(const std::string& path, const std::string& loser) {
  Conflict conflict;
  conflict.loser = record(path, file(loser));
  conflict.dot = record(path, {}).dot;
  index_->put_conflict(conflict);
  commit("lists a conflict");
}

void Machine::group() {
  now_ns_ += kStepNs;
  ASSERT_TRUE(folder_->sync());
  kv_->make_durable();
  moments_.push_back({recorder_->note("index: durable"), kv_->copy()});
  groups_.push_back(recorder_->operations().size());
}

void Machine::group_in_the_wrong_order() {
  kv_->make_durable();
  moments_.push_back({recorder_->note("index: durable"), kv_->copy()});
  ASSERT_TRUE(folder_->sync());
}

}  // namespace syncline::crash

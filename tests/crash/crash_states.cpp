#include "tests/crash/crash_states.h"

#include <algorithm>
#include <random>
#include <set>
#include <tuple>

#include <fmt/format.h>

namespace syncline::crash {
namespace {

using Kind = Operation::Kind;

// One instant: which operations are not durable, and how they hang together.
class Instant {
 public:
  Instant(const std::vector<Operation>& recording, std::size_t at) : recording_(recording), at_(at), pending_(at, true) {
    for (std::size_t i = 0; i < at; ++i) {
      if (recording[i].kind == Kind::sync) settle(i);
      if (recording[i].kind == Kind::sync || recording[i].kind == Kind::note) pending_[i] = false;
    }
    for (std::size_t i = 0; i < at; ++i) {
      if (pending_[i]) open_.push_back(i);
    }
  }

  const std::vector<std::size_t>& open() const { return open_; }
  std::vector<Fate> all_kept() const { return std::vector<Fate>(at_); }

  // Loses operation i, and of names everything that comes after it.
  void lose(std::vector<Fate>& fates, std::size_t i) const {
    fates[i].kind = Fate::Kind::lost;
    if (recording_[i].kind != Kind::names) return;
    std::set<ChainId> broken(recording_[i].chains.begin(), recording_[i].chains.end());
    for (std::size_t j = i + 1; j < at_; ++j) {
      if (recording_[j].kind != Kind::names || !touches(j, broken)) continue;
      fates[j].kind = Fate::Kind::lost;
      broken.insert(recording_[j].chains.begin(), recording_[j].chains.end());
    }
  }

  // Loses all names but i and what it needs.
  void keep_only(std::vector<Fate>& fates, std::size_t i) const {
    std::vector<bool> needed(at_, false);
    need(i, needed);
    for (const std::size_t j : open_) {
      if (recording_[j].kind == Kind::names && !needed[j]) fates[j].kind = Fate::Kind::lost;
    }
  }

 private:
  bool touches(std::size_t i, const std::set<ChainId>& chains) const {
    return std::any_of(recording_[i].chains.begin(), recording_[i].chains.end(),
                       [&](ChainId chain) { return chains.contains(chain); });
  }

  void need(std::size_t last, std::vector<bool>& needed) const {
    needed[last] = true;
    std::set<ChainId> wanted(recording_[last].chains.begin(), recording_[last].chains.end());
    for (std::size_t j = last; j-- > 0;) {
      if (recording_[j].kind != Kind::names || !touches(j, wanted)) continue;
      needed[j] = true;
      wanted.insert(recording_[j].chains.begin(), recording_[j].chains.end());
    }
  }

  void settle(std::size_t barrier) {
    const Operation& sync = recording_[barrier];
    for (std::size_t i = 0; i < barrier; ++i) {
      const bool its_data = recording_[i].kind == Kind::data && recording_[i].file == sync.file;
      if (sync.all || its_data) pending_[i] = false;
      const std::set<ChainId> chains(sync.chains.begin(), sync.chains.end());
      if (recording_[i].kind != Kind::names || !touches(i, chains)) continue;
      std::vector<bool> needed(barrier, false);
      need(i, needed);
      for (std::size_t j = 0; j <= i; ++j) {
        if (needed[j]) pending_[j] = false;
      }
    }
  }

  const std::vector<Operation>& recording_;
  std::size_t at_;
  std::vector<bool> pending_;
  std::vector<std::size_t> open_;
};

Fate torn(const Operation& write, std::mt19937_64& random) {
  const std::uint64_t first_end = kSectorBytes - write.offset % kSectorBytes;
  if (write.size <= first_end) return {random() % 2 == 0 ? Fate::Kind::lost : Fate::Kind::holes, 0, 0};
  const std::uint64_t sectors = 1 + (write.size - first_end + kSectorBytes - 1) / kSectorBytes;
  if (random() % 2 == 0) return {Fate::Kind::head, first_end + random() % (sectors - 1) * kSectorBytes, 0};
  return {Fate::Kind::holes, 0, 1 + random() % 1'000'000};
}

class Enumerator {
 public:
  Enumerator(const std::vector<Operation>& recording, const Bounds& bounds, const std::function<void(const CrashState&)>& visit)
      : recording_(recording), random_states_(bounds.random_states), random_(bounds.seed), visit_(visit) {}

  std::size_t run() {
    for (std::size_t at = 0; at <= recording_.size(); ++at) visit_instant(at);
    return visited_;
  }

 private:
  void visit_instant(std::size_t at) {
    const Instant instant(recording_, at);
    seen_.clear();
    emit(at, instant.all_kept());
    emit(at, without_data(instant, Fate{Fate::Kind::lost}));
    emit(at, without_data(instant, Fate{Fate::Kind::holes}));
    auto nothing = instant.all_kept();
    for (const std::size_t i : instant.open()) nothing[i].kind = Fate::Kind::lost;
    emit(at, nothing);
    for (const std::size_t i : instant.open()) one_by_one(at, instant, i);
    for (unsigned n = 0; n < random_states_ && instant.open().size() > 1; ++n) emit(at, at_random(instant));
  }

  std::vector<Fate> without_data(const Instant& instant, const Fate& fate) const {
    auto fates = instant.all_kept();
    for (const std::size_t i : instant.open()) {
      if (recording_[i].kind == Kind::data) fates[i] = fate;
    }
    return fates;
  }

  void one_by_one(std::size_t at, const Instant& instant, std::size_t i) {
    auto fates = instant.all_kept();
    instant.lose(fates, i);
    emit(at, fates);
    if (recording_[i].kind == Kind::names) {
      for (auto some : {instant.all_kept(), without_data(instant, Fate{Fate::Kind::lost})}) {
        instant.keep_only(some, i);
        emit(at, std::move(some));
      }
      return;
    }
    for (int n = 0; n < 3; ++n) {
      fates = instant.all_kept();
      fates[i] = torn(recording_[i], random_);
      emit(at, fates);
    }
  }

  std::vector<Fate> at_random(const Instant& instant) {
    auto fates = instant.all_kept();
    const std::uint64_t losses = random_() % 4;
    for (const std::size_t i : instant.open()) {
      const bool is_data = recording_[i].kind == Kind::data;
      if (is_data && random_() % 2 == 0) fates[i] = torn(recording_[i], random_);
      if (!is_data && random_() % instant.open().size() < losses) instant.lose(fates, i);
    }
    return fates;
  }

  void emit(std::size_t at, std::vector<Fate> fates) {
    std::vector<std::tuple<Fate::Kind, std::uint64_t, std::uint64_t>> key;
    for (const Fate& fate : fates) key.emplace_back(fate.kind, fate.bytes, fate.seed);
    if (!seen_.insert(std::move(key)).second) return;
    ++visited_;
    visit_({at, std::move(fates)});
  }

  const std::vector<Operation>& recording_;
  const unsigned random_states_;
  std::mt19937_64 random_;
  const std::function<void(const CrashState&)>& visit_;
  std::set<std::vector<std::tuple<Fate::Kind, std::uint64_t, std::uint64_t>>> seen_;  // of this instant
  std::size_t visited_ = 0;
};

}  // namespace

// Seed 0 keeps none.
bool Fate::keeps_sector(std::uint64_t sector) const {
  return seed != 0 && std::mt19937_64(seed * 1'000'003 + sector)() % 2 == 0;
}

std::string CrashState::describe(const std::vector<Operation>& recording) const {
  std::string out = fmt::format("crash before operation {}\n", instant);
  for (std::size_t i = 0; i < instant; ++i) {
    const Fate& fate = fates[i];
    std::string became;
    if (fate.kind == Fate::Kind::lost) became = "LOST";
    if (fate.kind == Fate::Kind::head) became = fmt::format("TORN after {} bytes", fate.bytes);
    if (fate.kind == Fate::Kind::holes) became = fmt::format("HOLES {}", fate.seed);
    out += fmt::format("  {:3} {:20} {}\n", i, became, recording[i].what);
  }
  return out;
}

std::size_t for_each_crash(const std::vector<Operation>& recording, const Bounds& bounds,
                           const std::function<void(const CrashState&)>& visit) {
  return Enumerator(recording, bounds, visit).run();
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> kept_parts(const Operation& write, const Fate& fate) {
  if (fate.kind == Fate::Kind::lost) return {};
  if (fate.kind == Fate::Kind::kept) return {{0, write.size}};
  if (fate.kind == Fate::Kind::head) return {{0, std::min(fate.bytes, write.size)}};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> parts;
  for (std::uint64_t at = 0; at < write.size;) {
    const std::uint64_t sector = (write.offset + at) / kSectorBytes;
    const std::uint64_t size = std::min((sector + 1) * kSectorBytes - write.offset - at, write.size - at);
    if (fate.keeps_sector(sector)) parts.emplace_back(at, size);
    at += size;
  }
  return parts;
}

}  // namespace syncline::crash

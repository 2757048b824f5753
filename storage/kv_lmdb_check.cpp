#include "storage/kv_lmdb_check.h"

#include <bit>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "storage/kv_file.h"

// The layout is that of lmdb/libraries/liblmdb/mdb.c, 0.9.24: MDB_page, MDB_node, MDB_db, MDB_meta.
namespace syncline {
namespace {

static_assert(sizeof(void*) == 8 && std::endian::native == std::endian::little,
              "LMDB files have the machine's own layout");

constexpr std::uint32_t kMagic = 0xBEEFC0DE, kVersion = 1;
constexpr std::size_t kPageHead = 16, kNodeHead = 8, kTreeBytes = 48;
constexpr std::size_t kMetaBytes = kPageHead + 24 + 2 * kTreeBytes + 16;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0}, kMetaPages = 2;
constexpr std::uint64_t kUnwrittenMax = 1 << 20;
constexpr unsigned kDepthMax = 32;  // LMDB's CURSOR_STACK
enum : unsigned {
  kBranch = 1,
  kLeaf = 2,
  kOverflow = 4,
  kMeta = 8,
  kTypes = 0x6f
};                                               // page flags; dirty is no type
enum : unsigned { kBigData = 1, kSubTree = 2 };  // node flags

template <class T>
T load(const char* at) {
  T v;
  std::memcpy(&v, at, sizeof v);
  return v;
}
unsigned load16(const char* at) { return load<std::uint16_t>(at); }

struct Tree {
  unsigned depth = 0;
  std::uint64_t entries = 0, root = kNoPage;
  static Tree from(const char* at) {
    return {load16(at + 6), load<std::uint64_t>(at + 32), load<std::uint64_t>(at + 40)};
  }
};

struct Meta {
  std::uint32_t page_bytes = 0;
  Tree free, main;
  std::uint64_t last_page = 0, txn = 0;
};

enum class Role { free, main, named };

// Keys of a subtree: from <= key < to; null is no bound.
struct Bounds {
  const BytesView* from = nullptr;
  const BytesView* to = nullptr;
};

class Checker {
 public:
  Checker(const ReadFile& file, const std::function<bool(BytesView, BytesView)>& value_ok)
      : file_(file), value_ok_(value_ok) {}

  Status run() {
    if (Status s = read_metas(); !s) return s;
    used_.resize(meta_.last_page + 1);
    if (Status s = tree(meta_.main, Role::main); !s) return s;
    return tree(meta_.free, Role::free);  // last: what it calls free must not be in use
  }

 private:
  static tl::unexpected<Error> bad(std::string what) { return fail(Error::Code::invalid, std::move(what)); }
  static tl::unexpected<Error> bad_page(const char* what, std::uint64_t page) {
    return bad(fmt::format("{} (page {})", what, page));
  }

  Status read_metas();
  Result<Meta> read_meta(std::uint64_t offset);
  Status read(std::uint64_t page, std::uint64_t count, Bytes& into);
  Status take(std::uint64_t page, std::uint64_t count);
  Status tree(const Tree& tree, Role role);
  Status page(std::uint64_t number, unsigned level, Role role, Bounds bounds);
  Status branch(const Bytes& page, std::uint64_t number, unsigned level, Role role, Bounds bounds);
  Status leaf(const Bytes& page, std::uint64_t number, Role role, Bounds bounds);
  Status value(const char* node, BytesView key, Role role);
  Status free_list(BytesView list);
  static bool less(BytesView a, BytesView b, Role role) {
    return role == Role::free ? load<std::uint64_t>(a.data()) < load<std::uint64_t>(b.data()) : a < b;
  }
  static bool within(BytesView key, Bounds b, Role role) {
    return (b.from == nullptr || !less(key, *b.from, role)) && (b.to == nullptr || less(key, *b.to, role));
  }

  const ReadFile& file_;
  const std::function<bool(BytesView, BytesView)>& value_ok_;
  Meta meta_;
  std::vector<bool> used_;
  Bytes big_;                  // a value on pages of its own
  std::uint64_t entries_ = 0;  // of the tree being read
};

Result<Meta> Checker::read_meta(std::uint64_t offset) {
  char raw[kMetaBytes];
  const auto got = file_.read_at(offset, raw, sizeof raw);
  if (!got) return tl::unexpected(got.error());
  const char* body = raw + kPageHead;
  if (*got < sizeof raw || !(load16(raw + 10) & kMeta) || load<std::uint32_t>(body) != kMagic)
    return bad("this is no LMDB database");
  if (load<std::uint32_t>(body + 4) != kVersion) return bad("this is a database of another version of LMDB");
  const char* trees = body + 24;
  Meta meta;
  meta.page_bytes = load<std::uint32_t>(trees);
  meta.free = Tree::from(trees), meta.main = Tree::from(trees + kTreeBytes);
  meta.last_page = load<std::uint64_t>(trees + 2 * kTreeBytes),
  meta.txn = load<std::uint64_t>(trees + 2 * kTreeBytes + 8);
  return meta;
}

Status Checker::read_metas() {
  const auto first = read_meta(0);
  if (!first) return tl::unexpected(first.error());
  if (first->page_bytes < 512 || first->page_bytes > 65536 || !std::has_single_bit(first->page_bytes))
    return bad("its page size is wrong");
  const auto second = read_meta(first->page_bytes);
  if (!second) return tl::unexpected(second.error());
  if (second->page_bytes != first->page_bytes) return bad("its two page sizes differ");
  meta_ = second->txn > first->txn ? *second : *first;
  // A last page that was taken and given back in one transaction is never written. The bound keeps `used_`
  // small.
  const auto size = file_.size();
  if (!size) return tl::unexpected(size.error());
  const std::uint64_t pages = *size / meta_.page_bytes;
  if (meta_.last_page < kMetaPages - 1 || meta_.last_page > pages + kUnwrittenMax)
    return bad("it is cut short");
  return {};
}

Status Checker::read(std::uint64_t page, std::uint64_t count, Bytes& into) {
  into.resize(count * meta_.page_bytes);
  const auto got = file_.read_at(page * meta_.page_bytes, into.data(), into.size());
  if (!got) return tl::unexpected(got.error());
  return *got == into.size() ? Status{} : Status(bad_page("it is cut short", page));
}

Status Checker::take(std::uint64_t page, std::uint64_t count) {
  if (page < kMetaPages || page > meta_.last_page || count > meta_.last_page - page + 1)
    return bad_page("a page number is wrong", page);
  for (std::uint64_t i = page; i < page + count; ++i) {
    if (used_[i]) return bad_page("a page is used twice", i);
    used_[i] = true;
  }
  return {};
}

Status Checker::tree(const Tree& tree, Role role) {
  if (tree.root == kNoPage) return tree.entries == 0 ? Status{} : Status(bad("a tree is missing"));
  if (tree.depth == 0 || tree.depth > kDepthMax) return bad("the depth of a tree is wrong");
  const std::uint64_t outer = std::exchange(entries_, 0);
  if (Status s = page(tree.root, tree.depth, role, {}); !s) return s;
  if (entries_ != tree.entries) return bad("the number of entries of a tree is wrong");
  entries_ = outer;
  return {};
}

Status Checker::page(std::uint64_t number, unsigned level, Role role, Bounds bounds) {
  if (Status s = take(number, 1); !s) return s;
  Bytes page;
  if (Status s = read(number, 1, page); !s) return s;
  const char* raw = page.data();
  if (load<std::uint64_t>(raw) != number) return bad_page("a page has another's number", number);
  if ((load16(raw + 10) & kTypes) != (level > 1 ? kBranch : kLeaf))
    return bad_page("a page is of the wrong kind", number);
  const unsigned lower = load16(raw + 12), upper = load16(raw + 14);
  if (lower <= kPageHead || lower % 2 != 0 || lower > upper || upper > page.size())
    return bad_page("a page makes no sense", number);
  for (unsigned at = kPageHead; at < lower; at += 2) {
    const unsigned node = load16(raw + at);
    const bool fits = node >= upper && node + kNodeHead <= page.size();
    if (!fits || node + kNodeHead + load16(raw + node + 6) > page.size())
      return bad_page("a node is out of its page", number);
  }
  return level > 1 ? branch(page, number, level, role, bounds) : leaf(page, number, role, bounds);
}

BytesView key_of(const char* node) { return {node + kNodeHead, load16(node + 6)}; }

Status Checker::branch(const Bytes& page, std::uint64_t number, unsigned level, Role role, Bounds bounds) {
  const std::size_t count = (load16(page.data() + 12) - kPageHead) / 2;
  if (count < 2 && role != Role::free) return bad_page("a page has too few nodes", number);
  const auto node = [&](std::size_t i) { return page.data() + load16(page.data() + kPageHead + 2 * i); };
  BytesView from, to;
  for (std::size_t i = 0; i < count; ++i) {
    Bounds part = bounds;  // the first node's key is never looked at
    if (i > 0) from = to, part.from = &from;
    if (i + 1 < count) {
      to = key_of(node(i + 1)), part.to = &to;
      if (role == Role::free && to.size() != 8) return bad_page("a key is wrong", number);
      if (!within(to, {part.from, bounds.to}, role)) return bad_page("keys are out of order", number);
    }
    const char* n = node(i);
    const std::uint64_t child =
        load16(n) | std::uint64_t{load16(n + 2)} << 16 | std::uint64_t{load16(n + 4)} << 32;
    if (Status s = this->page(child, level - 1, role, part); !s) return s;
  }
  return {};
}

Status Checker::leaf(const Bytes& page, std::uint64_t number, Role role, Bounds bounds) {
  const std::size_t count = (load16(page.data() + 12) - kPageHead) / 2;
  entries_ += count;
  BytesView last;
  for (std::size_t i = 0; i < count; ++i) {
    const char* node = page.data() + load16(page.data() + kPageHead + 2 * i);
    const BytesView key = key_of(node);
    if (key.empty() || (role == Role::free && key.size() != 8)) return bad_page("a key is wrong", number);
    if (!within(key, bounds, role) || (i > 0 && !less(last, key, role)))
      return bad_page("keys are out of order", number);
    last = key;
    const std::size_t bytes = load16(node + 4) & kBigData ? sizeof(std::uint64_t) : load<std::uint32_t>(node);
    if (bytes > static_cast<std::size_t>(page.data() + page.size() - key.data()) - key.size()) {
      return bad_page("a value is out of its page", number);
    }
    if (Status s = value(node, key, role); !s) return s;
  }
  return {};
}

Status Checker::value(const char* node, BytesView key, Role role) {
  const unsigned flags = load16(node + 4);
  const std::size_t size = load<std::uint32_t>(node);
  const char* data = key.data() + key.size();
  if ((flags & kSubTree) != 0) {
    if (role != Role::main || flags != kSubTree || size != kTreeBytes)
      return bad("a tree is in the wrong place");
    return tree(Tree::from(data), Role::named);
  }
  if ((flags & ~unsigned{kBigData}) != 0) return bad("a node makes no sense");
  BytesView value(data, size);
  if (flags == kBigData) {
    const auto first = load<std::uint64_t>(data);
    const std::uint64_t pages = (kPageHead - 1 + size) / meta_.page_bytes + 1;
    if (Status s = take(first, pages); !s) return s;
    if (Status s = read(first, pages, big_); !s) return s;
    const char* raw = big_.data();
    if (load<std::uint64_t>(raw) != first || (load16(raw + 10) & kTypes) != kOverflow ||
        load<std::uint32_t>(raw + 12) != pages) {
      return bad_page("a large value makes no sense", first);
    }
    value = BytesView(big_).substr(kPageHead, size);
  }
  if (role == Role::free) return free_list(value);
  if (role == Role::named && !value_ok_(key, value)) return bad("the checksum of a value is wrong");
  return {};
}

Status Checker::free_list(BytesView list) {
  if (list.size() < 8 || load<std::uint64_t>(list.data()) > list.size() / 8 - 1)
    return bad("a list of free pages makes no sense");
  for (std::uint64_t i = 1, count = load<std::uint64_t>(list.data()); i <= count; ++i) {
    if (Status s = take(load<std::uint64_t>(list.data() + 8 * i), 1); !s) return s;
  }
  return {};
}

}  // namespace

Status check_lmdb_file(const std::string& path,
                       const std::function<bool(BytesView key, BytesView value)>& value_ok) {
  const auto file = ReadFile::open(path);
  if (!file)
    return file.error().code == Error::Code::not_found ? Status{} : Status(tl::unexpected(file.error()));
  char first = 0;
  const auto got = file->read_at(0, &first, 1);
  if (!got) return tl::unexpected(got.error());
  return *got == 0 ? Status{} : Checker(*file, value_ok).run();
}

}  // namespace syncline

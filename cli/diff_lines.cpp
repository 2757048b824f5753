#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/diff.h"

namespace syncline {
namespace {

using Lines = std::vector<std::string_view>;  // with their newlines

constexpr int kMaxEdits = 2000;  // memory grows with the square: 16 MB
constexpr std::size_t kContext = 3;

Lines split(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

enum class Op : std::uint8_t { keep, remove, add };

// How to make `b` of `a`, in order.
using Script = std::vector<Op>;

// The furthest points reached on each diagonal, after each number of edits: diagonals are -d..d, stored from
// 0.
Script back_track(const std::vector<std::vector<int>>& trace, int x, int y) {
  Script script;
  for (int d = static_cast<int>(trace.size()) - 1; d > 0; --d) {
    const auto& before = trace[static_cast<std::size_t>(d) - 1];
    const auto reached = [&](int k) {
      return k < -(d - 1) || k > d - 1 ? -1 : before[static_cast<std::size_t>(k + d - 1)];
    };
    const int k = x - y;
    const bool down = k == -d || (k != d && reached(k - 1) < reached(k + 1));
    const int from_k = down ? k + 1 : k - 1, from_x = reached(from_k), from_y = from_x - from_k;
    for (; x > from_x && y > from_y; --x, --y) script.push_back(Op::keep);
    script.push_back(down ? Op::add : Op::remove);
    x = from_x, y = from_y;
  }
  for (; x > 0 && y > 0; --x, --y) script.push_back(Op::keep);
  std::ranges::reverse(script);
  return script;
}

Script compare(const Lines& a, const Lines& b) {
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size());
  const auto same = [&](int x, int y) {
    return a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(y)];
  };
  std::vector<std::vector<int>> trace;
  for (int d = 0; d <= std::min(n + m, kMaxEdits); ++d) {
    std::vector<int> now(static_cast<std::size_t>(2 * d + 1), -1);
    for (int k = -d; k <= d; k += 2) {
      const auto before = [&](int j) {
        return j < -(d - 1) || j > d - 1 ? -1 : trace.back()[static_cast<std::size_t>(j + d - 1)];
      };
      int x = d == 0                                                 ? 0
              : k == -d || (k != d && before(k - 1) < before(k + 1)) ? before(k + 1)
                                                                     : before(k - 1) + 1;
      while (x < n && x - k < m && same(x, x - k)) ++x;
      now[static_cast<std::size_t>(k + d)] = x;
      if (x < n || x - k < m) continue;
      trace.push_back(std::move(now));
      return back_track(trace, n, m);
    }
    trace.push_back(std::move(now));
  }
  Script script(a.size(), Op::remove);
  script.insert(script.end(), b.size(), Op::add);
  return script;
}

void put(std::string& out, char sign, std::string_view line) {
  out += sign;
  out += line;
  if (!line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
}

// "@@ -FROM,COUNT +FROM,COUNT @@": an empty side is named by the line before it.
std::string head(std::size_t a, std::size_t a_count, std::size_t b, std::size_t b_count) {
  return fmt::format("@@ -{},{} +{},{} @@\n", a_count ? a + 1 : a, a_count, b_count ? b + 1 : b, b_count);
}

// [from, to) of the script: changes with their context, joined where the contexts touch.
struct Hunk {
  std::size_t from, to;
};
std::vector<Hunk> hunks(const Script& script) {
  std::vector<Hunk> out;
  for (std::size_t i = 0; i < script.size(); ++i) {
    if (script[i] == Op::keep) continue;
    const std::size_t from = i - std::min(i, kContext), to = std::min(i + kContext + 1, script.size());
    if (!out.empty() && from <= out.back().to) {
      out.back().to = to;
    } else {
      out.push_back({from, to});
    }
  }
  return out;
}

}  // namespace

std::string unified_diff(std::string_view old_text, std::string_view new_text, std::string_view old_name,
                         std::string_view new_name) {
  if (old_text == new_text) return {};
  Lines a = split(old_text), b = split(new_text);
  // Both ends are mostly equal: keep them out of the search.
  const auto ends = std::ranges::mismatch(a, b);
  const auto prefix = static_cast<std::size_t>(ends.in1 - a.begin());
  std::size_t suffix = 0;
  while (suffix < std::min(a.size(), b.size()) - prefix &&
         a[a.size() - 1 - suffix] == b[b.size() - 1 - suffix])
    ++suffix;
  const auto middle = [&](const Lines& lines) {
    return Lines(lines.begin() + static_cast<std::ptrdiff_t>(prefix),
                 lines.end() - static_cast<std::ptrdiff_t>(suffix));
  };
  Script script(prefix, Op::keep);
  const Script inner = compare(middle(a), middle(b));
  script.insert(script.end(), inner.begin(), inner.end());
  script.insert(script.end(), suffix, Op::keep);

  std::string out = fmt::format("--- {}\n+++ {}\n", old_name, new_name);
  std::size_t at = 0, x = 0, y = 0;
  const auto step = [&] {
    if (script[at] != Op::add) ++x;
    if (script[at] != Op::remove) ++y;
    ++at;
  };
  for (const Hunk& hunk : hunks(script)) {
    while (at < hunk.from) step();
    const std::size_t x0 = x, y0 = y;
    std::string body;
    while (at < hunk.to) {
      if (script[at] == Op::keep) put(body, ' ', a[x]);
      if (script[at] == Op::remove) put(body, '-', a[x]);
      if (script[at] == Op::add) put(body, '+', b[y]);
      step();
    }
    out += head(x0, x - x0, y0, y - y0) + body;
  }
  return out;
}

}  // namespace syncline

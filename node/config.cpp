#include "node/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>

#include "protocol/address.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"
#include "protocol/member.h"

// Compiled in here, the only file that reads TOML; errors as values.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace syncline {
namespace {

constexpr std::array<std::string_view, 4> kLevels{"debug", "info", "warning", "error"};
constexpr std::array<std::string_view, 2> kDurabilities{"group", "strict"};
constexpr std::array<std::string_view, 3> kModes{"send-receive", "receive-only", "send-only"};
constexpr std::int64_t kRescanMin = 10, kRescanMax = 30 * 24 * 3600;
constexpr std::int64_t kChangesMax = 1'000'000, kBehindMax = 24 * 3600;

// What is wrong with a value; nullopt: nothing, and it was taken over into the config.
using Problem = std::optional<std::string>;
using Take = std::function<Problem(const toml::node&)>;
using Keys = std::map<std::string_view, Take, std::less<>>;

std::optional<std::string> text_of(const toml::node& node) { return node.value_exact<std::string>(); }

Problem address(const toml::node& node, bool any_port, std::string& into) {
  const auto text = text_of(node);
  if (!text) return "must be a string, \"HOST:PORT\"";
  const auto parsed = parse_address(*text);
  if (!parsed) return parsed.error().message;
  if (parsed->port == 0 && !any_port) return "the port must not be 0: the other nodes must find it";
  into = *text;
  return std::nullopt;
}

Problem advertise(const toml::node& node, std::vector<std::string>& into) {
  const toml::array* list = node.as_array();
  if (!list || list->size() > limits::addresses)
    return fmt::format("must be a list of at most {} \"HOST:PORT\"", limits::addresses);
  for (const toml::node& item : *list) {
    if (const Problem problem = address(item, false, into.emplace_back())) return problem;
    if (parse_address(into.back())->is_wildcard()) return "must name an address that others can reach";
  }
  return std::nullopt;
}

template <class E, std::size_t N>
Problem word(const toml::node& node, const std::array<std::string_view, N>& words, E& into) {
  const auto text = text_of(node);
  for (std::size_t i = 0; text && i < N; ++i)
    if (*text == words[i]) return into = static_cast<E>(i), std::nullopt;
  return fmt::format("must be one of \"{}\"", fmt::join(words, "\", \""));
}

Problem node_name(const toml::node& node, std::string& into) {
  const auto text = text_of(node);
  if (!text || !valid_node_name(*text))
    return fmt::format("must be 1 to {} letters, digits, '.', '-' or '_', the first a letter or digit",
                       limits::node_name_bytes);
  into = *text;
  return std::nullopt;
}

Problem absolute_path(const toml::node& node, std::string& into) {
  const auto text = text_of(node);
  if (!text || !text->starts_with('/')) return "must be an absolute path";
  if (text->size() > limits::path_bytes || text->find('\0') != std::string::npos) return "is no usable path";
  into = *text;
  return std::nullopt;
}

Problem flag(const toml::node& node, bool& into) {
  const auto value = node.value_exact<bool>();
  if (!value) return "must be true or false";
  into = *value;
  return std::nullopt;
}

Problem number(const toml::node& node, std::int64_t least, std::int64_t most, std::uint64_t& into) {
  const auto value = node.value_exact<std::int64_t>();
  if (!value || *value < least || *value > most)
    return fmt::format("must be a number from {} to {}", least, most);
  into = static_cast<std::uint64_t>(*value);
  return std::nullopt;
}

Problem rate(const toml::node& node, std::string& into) {
  const auto text = text_of(node);
  const auto parsed = parse_rate(text.value_or(""));
  if (!parsed) return parsed.error().message;
  into = *text;
  return std::nullopt;
}

Problem schedule(const toml::node& node, std::vector<std::string>& into) {
  const toml::array* list = node.as_array();
  if (!list || list->size() > limits::rate_periods)
    return fmt::format("must be a list of at most {} periods", limits::rate_periods);
  for (const toml::node& item : *list) {
    const auto text = text_of(item);
    const auto parsed = parse_rate_period(text.value_or(""));
    if (!parsed) return parsed.error().message;
    into.push_back(*text);
  }
  return std::nullopt;
}

class Loader {
 public:
  explicit Loader(const std::string& file) : file_(file) {}

  Status take(const toml::table& table, const Keys& keys, const std::string& prefix) const {
    for (const auto& [key, value] : table) {
      const std::string name = prefix + printable(key.str());
      const auto known = keys.find(key.str());
      if (known == keys.end()) return bad(key.source().begin.line, fmt::format("unknown key \"{}\"", name));
      if (const Problem problem = known->second(value))
        return bad(value.source().begin.line, fmt::format("{}: {}", name, *problem));
    }
    return {};
  }

  tl::unexpected<Error> bad(std::uint32_t line, std::string_view what) const {
    return fail(Error::Code::invalid, fmt::format("{}:{}: {}", file_, line, what));
  }

 private:
  const std::string& file_;
};

// A key whose value is a table of its own; an error inside stands in `inner`, with the line it was found on.
Take table_of(const Loader& loader, std::string name, Keys keys, Status& inner) {
  return
      [&loader, name = std::move(name), keys = std::move(keys), &inner](const toml::node& node) -> Problem {
        const toml::table* table = node.as_table();
        if (!table) return fmt::format("must be a section, [{}]", name);
        inner = loader.take(*table, keys, name + ".");
        return std::nullopt;
      };
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file) {
  const Loader loader(file);
  const toml::parse_result parsed = toml::parse(text, std::string_view(file));
  if (!parsed) return loader.bad(parsed.error().source().begin.line, printable(parsed.error().description()));

  using Node = const toml::node&;
  Config c;
  Status folder, bounds, balancer;
  const Keys folder_keys{
      {"path", [&](Node n) { return absolute_path(n, c.folder.path); }},
      {"durability", [&](Node n) { return word(n, kDurabilities, c.folder.durability); }},
      {"mode", [&](Node n) { return word(n, kModes, c.folder.mode); }},
  };
  const Keys limits_keys{{"rescan_seconds", [&](Node n) { return number(n, kRescanMin, kRescanMax, c.rescan_seconds); }},
                         {"mass_delete_percent", [&](Node n) { return number(n, 1, 100, c.mass_delete_percent); }},
                         {"upload", [&](Node n) { return rate(n, c.bandwidth.upload); }},
                         {"schedule", [&](Node n) { return schedule(n, c.bandwidth.schedule); }}};
  const Keys balancer_keys{
      {"agent", [&](Node n) { return text_of(n) == "" ? Problem{} : address(n, true, c.balancer.agent); }},
      {"changes_behind", [&](Node n) { return number(n, 0, kChangesMax, c.balancer.changes_behind); }},
      {"seconds_behind", [&](Node n) { return number(n, 1, kBehindMax, c.balancer.seconds_behind); }},
  };
  const Keys keys{
      {"name", [&](Node n) { return node_name(n, c.name); }},
      {"listen", [&](Node n) { return address(n, false, c.listen); }},
      {"http", [&](Node n) { return address(n, true, c.http); }},
      {"advertise", [&](Node n) { return advertise(n, c.advertise); }},
      {"log", [&](Node n) { return word(n, kLevels, c.log); }},
      {"ready_without_majority", [&](Node n) { return flag(n, c.ready_without_majority); }},
      {"folder", table_of(loader, "folder", folder_keys, folder)},
      {"limits", table_of(loader, "limits", limits_keys, bounds)},
      {"balancer", table_of(loader, "balancer", balancer_keys, balancer)},
  };
  Status all = loader.take(parsed.table(), keys, "");
  for (const Status* status : {&all, &folder, &bounds, &balancer})
    if (!*status) return tl::unexpected(status->error());
  if (c.name.empty()) return loader.bad(1, "\"name\" is missing");
  if (c.folder.path.empty()) return loader.bad(1, "[folder] with \"path\" is missing");
  return c;
}

std::string_view mode_name(FolderMode mode) { return kModes[static_cast<std::size_t>(mode)]; }
std::string_view durability_name(Durability durability) { return kDurabilities[static_cast<std::size_t>(durability)]; }

template <class E, std::size_t N>
static std::optional<E> named(std::string_view name, const std::array<std::string_view, N>& words) {
  const auto it = std::find(words.begin(), words.end(), name);
  return it == words.end() ? std::nullopt : std::optional(static_cast<E>(it - words.begin()));
}
std::optional<FolderMode> mode_named(std::string_view name) { return named<FolderMode>(name, kModes); }
std::optional<Durability> durability_named(std::string_view name) { return named<Durability>(name, kDurabilities); }

// A TOML basic string.
static std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char ch : text) {
    const auto byte = static_cast<unsigned char>(ch);
    if (ch == '"' || ch == '\\') {
      out += '\\', out += ch;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += ch;
    }
  }
  return out + '"';
}

std::string config_text(const Config& c) {
  std::string advertise;
  for (const auto& a : c.advertise) advertise += (advertise.empty() ? "" : ", ") + quoted(a);
  std::string periods;
  for (const auto& p : c.bandwidth.schedule) periods += (periods.empty() ? "" : ", ") + quoted(p);
  const std::string example =
      c.advertise.empty() ? "# advertise = [\"192.0.2.7:7440\"]" : "advertise = [" + advertise + "]";
  return fmt::format(
      "# Syncline: this node. Read once, when it starts.\n"
      "name = {}\n\n"
      "# UDP: the links to the other nodes. 0.0.0.0 or [::] = every interface.\n"
      "listen = {}\n\n"
      "# What the other nodes are told to call, if that is not what this machine sees (NAT, containers).\n"
      "{}\n\n"
      "# HTTP: health checks, metrics, wait, files. On any address but a loopback one, everything except\n"
      "# /healthz and /readyz wants the token in the file http-token, as \"Authorization: Bearer TOKEN\".\n"
      "http = {}\n\n"
      "# debug, info, warning, error\n"
      "log = {}\n\n"
      "# With three or more members, one that is linked to less than half of them is not ready. true = it "
      "is.\n"
      "ready_without_majority = {}\n\n"
      "[folder]\n"
      "path = {}\n"
      "# group = shown at once, synced to disk together with others; strict = synced before it is shown.\n"
      "durability = {}\n"
      "# send-receive; receive-only = what is changed here is not published; send-only = what is changed elsewhere is\n"
      "# not taken over. Both are listed: syncline folder list.\n"
      "mode = {}\n\n"
      "[limits]\n"
      "# The whole folder is looked at again so often, in case the system lost a notification.\n"
      "rescan_seconds = {}\n"
      "# A scan that misses more than so much of a folder stops it and deletes nothing, until somebody has looked:\n"
      "# syncline folder resume --accept-deletions. 100 = only an empty folder does.\n"
      "mass_delete_percent = {}\n"
      "# What this node sends, to all others together: \"unlimited\", \"20 MiB/s\", \"100 Mbit/s\". Other rates at other times of\n"
      "# the day (local time, the first that holds counts): schedule = [\"08:00-18:00 5 MiB/s\"].\n"
      "upload = {}\n"
      "schedule = [{}]\n\n"
      "[balancer]\n"
      "# TCP, HOST:PORT: answers HAProxy's agent-check to whoever asks (up, drain, down and why). \"\" = none.\n"
      "agent = {}\n"
      "# Not ready with more changes behind than this, or when the oldest of them is older.\n"
      "changes_behind = {}\n"
      "seconds_behind = {}\n",
      quoted(c.name), quoted(c.listen), example, quoted(c.http),
      quoted(kLevels[static_cast<std::size_t>(c.log)]), c.ready_without_majority, quoted(c.folder.path),
      quoted(kDurabilities[static_cast<std::size_t>(c.folder.durability)]), quoted(mode_name(c.folder.mode)),
      c.rescan_seconds, c.mass_delete_percent, quoted(c.bandwidth.upload), periods, quoted(c.balancer.agent), c.balancer.changes_behind,
      c.balancer.seconds_behind);
}

}  // namespace syncline

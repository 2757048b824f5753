#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/import_tables.h"
#include "cli/render.h"
#include "protocol/address.h"
#include "protocol/control_text.h"

namespace syncline {
namespace {

constexpr unsigned kUdpPort = 7440, kHttpPort = 7441;

// A word for a POSIX shell.
std::string shell(const std::string& text) {
  const bool plain = std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-:").find(c) != std::string_view::npos;
  });
  if (plain && !text.empty()) return text;
  std::string out = "'";
  for (const char c : printable(text)) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string toml(const std::string& text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// Only characters that a folder, a home and a shell can do with.
std::string plain_name(const std::string& name) {
  std::string out;
  for (const char c : name)
    out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'
               ? c
               : '-';
  return out.empty() ? "uploads" : out;
}

// A Linux path for the folder.
std::string linux_path(const ImportFolder& folder, const std::string& path) {
  return path.starts_with('/') ? path : "/srv/" + plain_name(folder.name);
}

std::string home_of(const ImportResult& result, std::size_t i) {
  return i == 0 ? "/var/lib/syncline" : "/var/lib/syncline-" + plain_name(result.folders[i].name);
}
unsigned port(unsigned first, std::size_t i) { return first + 2 * static_cast<unsigned>(i); }

std::string listen_of(const ImportFolder& folder, std::size_t i) {
  const std::string port_text = std::to_string(port(kUdpPort, i));
  for (const std::string& host : {folder.listen_host, "[" + folder.listen_host + "]"})
    if (const auto address = parse_address(host + ":" + port_text)) return address->text();
  return "0.0.0.0:" + port_text;
}

// "192.0.2.0/24", "2001:db8::/32", "192.0.2.0/255.255.255.0": what a firewall rule can take. A name or a
// wildcard is not.
bool is_network(const std::string& text) {
  const std::string host = text.substr(0, text.find('/'));
  const auto one_of = [](std::string_view t, std::string_view set) {
    return t.find_first_not_of(set) == std::string_view::npos;
  };
  if (!one_of(text.substr(host.size()), "/0123456789.")) return false;
  const auto v4 = parse_address(host + ":1"), v6 = parse_address("[" + host + "]:1");
  return v6.has_value() || (v4.has_value() && one_of(host, "0123456789."));
}

void firewall(const ImportResult& result, std::size_t i, std::vector<std::string>& out) {
  const ImportFolder& folder = result.folders[i];
  for (const bool six : {false, true}) {
    std::string list;
    for (const std::string& item : folder.allow)
      if (is_network(item) && (item.find(':') != std::string::npos) == six)
        list += (list.empty() ? "" : ", ") + item;
    if (!list.empty())
      out.push_back(fmt::format("nft add rule inet filter input {} saddr '{{ {} }}' udp dport {} accept",
                                six ? "ip6" : "ip", list, port(kUdpPort, i)));
  }
  for (const std::string& item : folder.allow)
    if (!is_network(item))
      out.push_back(fmt::format("# hosts allow {}: put its address into a rule like these", printable(item)));
  if (folder.allow.empty())
    out.push_back(fmt::format("# open UDP port {} between the servers", port(kUdpPort, i)));
}

std::string options_of(const ImportResult& result, std::size_t i) {
  std::string out;
  if (i > 0) out += " --home " + home_of(result, i);
  if (const std::string listen = listen_of(result.folders[i], i); listen != "0.0.0.0:7440")
    out += " --listen " + listen;
  if (i > 0) out += fmt::format(" --http 127.0.0.1:{}", port(kHttpPort, i));
  return out;
}

}  // namespace

std::string import_config(const ImportResult& result, std::size_t i) {
  const ImportFolder& folder = result.folders[i];
  return fmt::format(
      "name = \"web1\" # of each server its own; init and join take the host name\n"
      "listen = {}\n"
      "http = \"127.0.0.1:{}\"\n"
      "\n"
      "[folder]\n"
      "path = {}\n"
      "durability = \"{}\"\n",
      toml(listen_of(folder, i)), port(kHttpPort, i), toml(linux_path(folder, folder.path)),
      result.strict ? "strict" : "group");
}

std::string import_ignore(const ImportResult& result, std::size_t i) {
  std::string out;
  for (const std::string& rule : result.folders[i].rules) out += rule + "\n";
  return out;
}

std::vector<std::string> import_commands(const ImportResult& result) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < result.folders.size(); ++i) {
    const ImportFolder& folder = result.folders[i];
    const std::string path = linux_path(folder, folder.path);
    const std::string other = linux_path(folder, folder.other.empty() ? folder.path : folder.other);
    const std::string options = options_of(result, i), home = i > 0 ? " --home " + home_of(result, i) : "";
    const std::string run =
        i == 0 ? "systemctl enable --now synclined"
               : fmt::format("syncline run{}   # from a unit of its own, like synclined.service", home);
    out.push_back(fmt::format("# {}: on every server", printable(folder.name)));
    firewall(result, i, out);
    if (!folder.rules.empty()) {
      std::string write = "printf '%s\\n'";
      for (const std::string& rule : folder.rules) write += " " + shell(rule);
      out.push_back(write + " > " + shell(path + "/.synclineignore"));
      if (other != path) out.push_back("# there and, where the folder is " + shell(other) + ", in that one");
    }
    out.push_back(fmt::format("# {}: on the server that has the files", printable(folder.name)));
    out.push_back("syncline init " + shell(path) + options);
    out.push_back(run);
    out.push_back(fmt::format("syncline cluster invite --uses 10{}   # prints a secret token", home));
    out.push_back(fmt::format("# {}: on each of the others; its folder may hold the copy that rsync made",
                              printable(folder.name)));
    out.push_back("syncline cluster join - " + shell(other) + options + "   # paste the token");
    out.push_back(run);
  }
  return out;
}

std::string render(const ImportResult& result) {
  Table table({{"where"}, {"option"}, {"value"}, {"answer"}, {"why"}});
  for (const ImportAnswer& a : result.answers)
    table.row(
        {a.where, a.option, a.value.empty() ? "-" : a.value, std::string(verdict_name(a.verdict)), a.text});
  std::string out = "== Every option\n" + table.text();
  for (const std::string& note : result.notes) out += "Note: " + printable(note) + ".\n";
  for (std::size_t i = 0; i < result.folders.size(); ++i)
    out += fmt::format("\n== {}/config.toml (init and join write it; change it where it says more)\n{}",
                       home_of(result, i), import_config(result, i));
  for (std::size_t i = 0; i < result.folders.size(); ++i)
    if (!result.folders[i].rules.empty())
      out += fmt::format("\n== {}/.synclineignore\n{}", printable(linux_path(result.folders[i], result.folders[i].path)),
                         import_ignore(result, i));
  if (!result.folders.empty()) out += "\n== Commands\n";
  for (const std::string& line : import_commands(result)) out += line + "\n";
  return out;
}

std::string import_json(const ImportResult& result) {
  using Json = nlohmann::ordered_json;
  Json out{{"answers", Json::array()},
           {"folders", Json::array()},
           {"commands", import_commands(result)},
           {"notes", result.notes}};
  for (const ImportAnswer& a : result.answers)
    out["answers"].push_back({{"where", a.where},
                              {"option", a.option},
                              {"value", a.value},
                              {"answer", verdict_name(a.verdict)},
                              {"why", a.text}});
  for (std::size_t i = 0; i < result.folders.size(); ++i)
    out["folders"].push_back({{"name", result.folders[i].name},
                              {"path", result.folders[i].path},
                              {"config", import_config(result, i)},
                              {"ignore", import_ignore(result, i)}});
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace syncline

#include "cli/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "cli/import_tables.h"
#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

std::string last_part(const std::string& path) {
  const std::size_t at = path.find_last_of("/\\");
  const std::string name = at == std::string::npos ? path : path.substr(at + 1);
  return name.empty() ? "uploads" : name;
}

// The module of the client's line among those of the daemon; a lone module is meant by whatever line there
// is.
ImportFolder* folder_of(ImportResult& result, const std::string& module) {
  const auto at =
      std::ranges::find_if(result.folders, [&](const ImportFolder& f) { return f.name == module; });
  if (at != result.folders.end()) return &*at;
  return module.empty() && result.folders.size() == 1 ? &result.folders.front() : nullptr;
}

// Who has the files today founds the cluster: the daemon's side when the client pulls, the client's when it
// pushes.
void take_client(const ImportClient& client, ImportResult& result) {
  if (client.sources.empty() || client.destination.empty()) return;
  const ImportPlace from = place_of(client.sources.front()), to = place_of(client.destination);
  const bool pushes = to.remote || !from.remote;
  const ImportPlace& here = pushes ? from : to;
  const ImportPlace& there = pushes ? to : from;
  ImportFolder* folder = folder_of(result, there.module);
  if (!folder) {
    const std::string name = there.module.empty() ? last_part(here.path) : there.module;
    folder = &result.folders.emplace_back(ImportFolder{name, "", {}, "", false, ""});
  }
  const std::string daemon = folder->path.empty() ? there.path : folder->path;
  folder->windows = folder->windows || here.windows || there.windows;
  folder->rules.insert(folder->rules.end(), client.rules.begin(), client.rules.end());
  const bool from_above = !client.sources.front().ends_with('/') && from.module.empty();
  if (from_above && std::ranges::any_of(client.rules, [](const std::string& rule) { return rule.find(" /") == 1; }))
    result.notes.push_back(
        "a rule that begins with / counts from the folder; the client line, whose source has no / at its end, counted from the "
        "directory above: take the folder's own name out of such rules");
  folder->path = pushes ? here.path : daemon;
  folder->other = pushes ? daemon : here.path;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  constexpr std::string_view names[] = {"taken over", "not needed", "not supported", "unknown"};
  return names[static_cast<std::size_t>(verdict)];
}

ImportResult import_rsync(std::string_view conf, const std::string& file,
                          const std::vector<std::string>& clients) {
  ImportConf read = read_conf(conf, file);
  ImportResult result{std::move(read.answers), std::move(read.folders), {}, false};
  for (std::size_t i = 0; i < clients.size() && i < limits::import_clients; ++i) {
    ImportClient client = read_client(std::string_view(clients[i]).substr(0, limits::import_line_bytes),
                                      fmt::format("client {}", i + 1));
    take_client(client, result);
    result.strict = result.strict || client.fsync;
    std::ranges::move(client.answers, std::back_inserter(result.answers));
  }
  if (clients.size() > limits::import_clients)
    result.notes.push_back(fmt::format("only the first {} client lines were read", limits::import_clients));
  if (!result.folders.empty())
    result.notes.push_back(
        "as long as the old job still runs, give it --exclude=/.syncline/ (its --delete would remove that "
        "directory); MIGRATING.md has the steps");
  if (result.folders.size() > 1)
    result.notes.push_back(
        "a node holds one folder in this version: each module becomes a cluster of its own, with a home and "
        "ports of its own");
  if (std::ranges::any_of(result.folders, &ImportFolder::windows))
    result.notes.push_back(
        "Syncline runs on Linux only in this version: a Windows server cannot be a member yet, and its path "
        "below is a placeholder");
  if (result.folders.empty())
    result.notes.push_back(
        "no module and no client line with a source and a destination: there is no folder to configure");
  return result;
}

Result<std::string> read_import_file(const std::string& name) {
  std::ifstream file;
  if (name != "-") file.open(name, std::ios::binary);
  std::istream& in = name == "-" ? std::cin : file;
  if (name != "-" && !file.is_open())
    return fail(Error::Code::io, fmt::format("{}: {}", printable(name), std::strerror(errno)));
  std::string text(limits::import_file_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail(Error::Code::io, fmt::format("{}: {}", printable(name), std::strerror(errno)));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > limits::import_file_bytes)
    return fail(Error::Code::invalid, fmt::format("{}: larger than {} bytes: this is no rsyncd.conf",
                                                  printable(name), limits::import_file_bytes));
  return text;
}

}  // namespace syncline

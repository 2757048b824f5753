#include "node/home_folders.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "protocol/control_text.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string file_of(const std::string& home) { return home + "/folders.json"; }

template <class T>
std::optional<T> field(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end()) return std::nullopt;
  if constexpr (std::same_as<T, bool>) return at->is_boolean() ? std::optional(at->get<bool>()) : std::nullopt;
  else return at->is_string() ? std::optional(at->get<std::string>()) : std::nullopt;
}

// What is wrong with it; empty: nothing.
std::string take(const Json& object, std::vector<HomeFolder>& folders) {
  if (!object.is_object()) return "must hold a list of objects";
  const auto name = field<std::string>(object, "name");
  if (!name || !valid_folder_name(*name)) return "a folder has no \"name\"";
  const bool paused = field<bool>(object, "paused").value_or(false);
  const auto known = std::ranges::find(folders, *name, &HomeFolder::name);
  if (known == folders.begin()) return known->paused = paused, "";
  if (known != folders.end() || folders.size() >= limits::folders) return fmt::format("\"{}\" is there twice, or one too many", *name);
  HomeFolder folder{.id = folder_id_of(*name), .name = *name, .paused = paused};
  const auto path = field<std::string>(object, "path");
  if (!path || !path->starts_with('/')) return fmt::format("\"path\" of \"{}\" must be an absolute path", *name);
  const auto mode = mode_named(field<std::string>(object, "mode").value_or(std::string(mode_name({}))));
  const auto durability = durability_named(field<std::string>(object, "durability").value_or(std::string(durability_name({}))));
  if (!mode || !durability) return fmt::format("\"mode\" or \"durability\" of \"{}\" is no word that config.toml knows", *name);
  folder.config = {*path, *durability, *mode};
  folder.removing = field<bool>(object, "removing").value_or(false);
  folders.push_back(std::move(folder));
  return "";
}

bool is_inside(const fs::path& inner, const fs::path& outer) {
  const fs::path relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

Result<std::vector<HomeFolder>> load_folders(const std::string& home, const JoinFolder& first, const FolderConfig& settings) {
  std::vector<HomeFolder> folders{{first.id, first.name, settings}};
  const std::string file = file_of(home);
  const auto text = read_private(file, limits::home_file_bytes);
  if (!text && text.error().code == Error::Code::not_found) return folders;
  if (!text) return tl::unexpected(text.error());
  const Json list = Json::parse(*text, nullptr, false);
  const auto bad = [&](const std::string& why) {
    return fail(Error::Code::invalid, fmt::format("{}: {}; mend it, or remove it and add the folders again", file, why));
  };
  if (!list.is_array()) return bad("is no JSON list");
  for (const Json& object : list) {
    if (const std::string why = take(object, folders); !why.empty()) return bad(why);
  }
  return folders;
}

Status save_folders(const std::string& home, const std::vector<HomeFolder>& folders) {
  Json list = Json::array();
  for (const HomeFolder& f : folders) {
    Json object{{"name", f.name}, {"paused", f.paused}};
    if (&f != &folders.front()) {
      object["path"] = f.config.path, object["mode"] = mode_name(f.config.mode), object["durability"] = durability_name(f.config.durability);
      if (f.removing) object["removing"] = true;
    }
    list.push_back(std::move(object));
  }
  return write_private(file_of(home), list.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::string> usable_folder(const std::string& path, const std::string& home, const std::vector<HomeFolder>& folders) {
  const auto refuse = [&](std::string why) { return fail(Error::Code::refused, fmt::format("folder {}: {}", printable(path), why)); };
  std::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  if (error) return refuse(error.message());
  if (const Status good = check_writable_directory(canonical); !good)
    return fail(Error::Code::refused, "folder " + printable(good.error().message));
  const std::string text = canonical.string();
  if (text.size() > limits::path_bytes || !is_utf8(text) || !valid_folder_name(canonical.filename().string()))
    return refuse("cannot be synced by this name");
  const fs::path own = fs::weakly_canonical(home, error);
  if (error || is_inside(own, canonical)) return refuse(fmt::format("the home {} must not be inside it: its secrets would be synced", home));
  for (const HomeFolder& f : folders) {
    if (is_inside(canonical, f.config.path) || is_inside(f.config.path, canonical))
      return refuse(fmt::format("it and \"{}\" ({}) must not be inside each other", f.name, printable(f.config.path)));
  }
  return text;
}

}  // namespace syncline

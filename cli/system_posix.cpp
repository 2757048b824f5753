#include "cli/system.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace syncline {

bool running_as_root() { return ::geteuid() == 0; }
bool writes_to_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

Error become_synclined(const std::vector<std::string>& arguments) {
  std::string program = "synclined";
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = error ? std::string() : (self.parent_path() / program).string();
  if (!beside.empty() && ::access(beside.c_str(), X_OK) == 0) program = beside;

  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(program.c_str(), argv.data());
  return {Error::Code::io,
          fmt::format("cannot start synclined ({}, or in PATH): {}", beside, std::strerror(errno))};
}

}  // namespace syncline

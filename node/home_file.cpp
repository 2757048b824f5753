#include "node/home_file.h"

namespace syncline {

std::vector<HomeLine> home_lines(std::string_view text) {
  std::vector<HomeLine> lines;
  for (std::uint32_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t blank = line.find(' ');
    lines.push_back({number, line.substr(0, blank),
                     blank == std::string_view::npos ? std::string_view{} : line.substr(blank + 1)});
  }
  return lines;
}

}  // namespace syncline

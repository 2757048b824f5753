// The rules beside those of the real rsync.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "protocol/ignore.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;

// A directory that goes with the object.
class Scratch {
 public:
  Scratch() : path_((fs::temp_directory_path() / "syncline-ignore-XXXXXX").string()) {
    RC_ASSERT(mkdtemp(path_.data()) != nullptr);
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return fs::path(path_) / name; }

 private:
  std::string path_;
};

using Tree = std::map<std::string, bool>;  // path -> is a directory

// Few letters, so that names and patterns meet.
std::string any_name() {
  const auto letter = rc::gen::weightedElement<char>({{8, 'a'}, {8, 'b'}, {3, '.'}, {2, 'c'}, {1, '['}, {1, ']'}, {1, '*'}, {1, '\\'}, {1, '!'}, {1, '-'}});
  std::string name = *rc::gen::container<std::string>(*rc::gen::inRange<std::size_t>(1, 4), letter);
  return name == "." || name == ".." ? "a" : name;
}

Tree any_tree() {
  Tree tree;
  std::vector<std::string> directories{""};
  const auto entries = *rc::gen::inRange(1, 40);
  for (int i = 0; i < entries; ++i) {
    const std::string& parent = directories[*rc::gen::inRange<std::size_t>(0, directories.size())];
    const std::string path = parent.empty() ? any_name() : parent + "/" + any_name();
    if (tree.contains(path)) continue;
    const bool directory = *rc::gen::inRange(0, 2) == 0 && std::ranges::count(path, '/') < 4;
    tree[path] = directory;
    if (directory) directories.push_back(path);
  }
  return tree;
}

std::string any_rule() {
  const auto piece = rc::gen::weightedElement<std::string>(
      {{8, "a"}, {8, "b"}, {2, "c"}, {3, "."}, {6, "*"}, {3, "**"}, {2, "***"}, {3, "?"}, {6, "/"}, {2, "[ab]"}, {2, "[!a]"},
       {1, "[^b-z]"}, {1, "[[:alpha:]]"}, {1, "[a"}, {1, "[]]"}, {1, "[[:x]"}, {1, "\\"}, {1, "!"}, {1, "-"}, {1, "]"}});
  std::string pattern;
  const auto pieces = *rc::gen::inRange(1, 6);
  for (int i = 0; i < pieces; ++i) pattern += *piece;
  std::string prefix = *rc::gen::weightedElement<std::string>({{6, ""}, {4, "- "}, {4, "+ "}});
  if (pattern == "!") prefix.clear();  // rsync's versions differ about "- !"
  const std::string anchor = *rc::gen::weightedElement<std::string>({{3, ""}, {1, "/"}});
  const std::string end = *rc::gen::weightedElement<std::string>({{4, ""}, {1, "/"}, {1, "/***"}});
  return *rc::gen::weightedElement<std::string>({{20, prefix + anchor + pattern + end}, {1, "!"}, {1, "# a"}});
}

void make(const Tree& tree, const fs::path& root) {
  fs::create_directory(root);
  for (const auto& [path, directory] : tree) {
    if (directory)
      fs::create_directory(root / path);
    else
      std::ofstream(root / path) << "x";
  }
}

// What rsync would copy.
std::set<std::string> copied(const fs::path& root, const fs::path& rules) {
  const std::string command = "rsync -an --exclude-from=" + rules.string() + " --out-format=%n " + root.string() + "/ " +
                              root.string() + ".to/";
  std::FILE* out = popen(command.c_str(), "r");
  RC_ASSERT(out != nullptr);
  std::set<std::string> paths;
  std::string line;
  for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    if (line.ends_with('/')) line.pop_back();
    if (line != ".") paths.insert(line);
    line.clear();
  }
  RC_ASSERT(pclose(out) == 0);
  return paths;
}

RC_GTEST_PROP(IgnoreProperty, DecidesAsRsyncDoes, ()) {
  const Tree tree = any_tree();
  std::string text;
  const auto count = *rc::gen::inRange(1, 6);
  for (int i = 0; i < count; ++i) text += any_rule() + "\n";
  const Scratch scratch;
  make(tree, scratch / "from");
  std::ofstream(scratch / "rules") << text;
  const std::set<std::string> theirs = copied(scratch / "from", scratch / "rules");

  const IgnoreRules rules = IgnoreRules::parse(text);
  std::set<std::string> ours;
  for (const auto& [path, directory] : tree)
    if (!rules.ignores(path, directory)) ours.insert(path);
  RC_LOG() << "rules:\n" << text;
  RC_TAG(tree.size() == ours.size() ? "nothing ignored" : ours.empty() ? "all ignored" : "some ignored");
  RC_ASSERT(ours == theirs);
}

}  // namespace
}  // namespace syncline

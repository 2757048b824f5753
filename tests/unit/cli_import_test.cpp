#include "cli/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cli/import_tables.h"
#include "node/config.h"
#include "protocol/ignore.h"

namespace syncline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const ImportAnswer* answer(const ImportResult& result, const std::string& option) {
  const auto at = std::ranges::find(result.answers, option, &ImportAnswer::option);
  return at == result.answers.end() ? nullptr : &*at;
}

ImportResult client(const std::string& line) { return import_rsync("", "rsyncd.conf", {line}); }

Verdict verdict(const ImportResult& result, const std::string& option) {
  const ImportAnswer* found = answer(result, option);
  EXPECT_TRUE(found) << option;
  return found ? found->verdict : Verdict::unknown;
}

// The common set, as the manual page of a cwRsync of old lists it.
constexpr const char* kShort = "vqcarRbulLHpogDtSnWxC";
const char* const kLong[] = {"verbose",
                             "quiet",
                             "checksum",
                             "archive",
                             "recursive",
                             "relative",
                             "backup",
                             "update",
                             "links",
                             "copy-links",
                             "copy-unsafe-links",
                             "safe-links",
                             "hard-links",
                             "perms",
                             "owner",
                             "group",
                             "devices",
                             "times",
                             "sparse",
                             "dry-run",
                             "whole-file",
                             "one-file-system",
                             "cvs-exclude",
                             "existing",
                             "delete",
                             "delete-excluded",
                             "delete-after",
                             "ignore-errors",
                             "partial",
                             "force",
                             "numeric-ids",
                             "progress",
                             "compress",
                             "acls",
                             "xattrs",
                             "copy-dirlinks",
                             "keep-dirlinks",
                             "inplace",
                             "delete-before",
                             "delete-during",
                             "delete-delay",
                             "stats",
                             "human-readable",
                             "itemize-changes",
                             "size-only",
                             "append"};
const char* const kWithValue[] = {
    "backup-dir",    "suffix",  "block-size", "rsh",     "rsync-path",    "max-delete",     "timeout",
    "password-file", "exclude", "bwlimit",    "include", "exclude-from",  "include-from",   "filter",
    "log-file",      "port",    "contimeout", "chmod",   "modify-window", "compress-level", "address"};

TEST(Import, every_option_of_the_common_set_is_answered) {
  for (const char* c = kShort; *c != 0; ++c)
    EXPECT_NE(verdict(client(std::string("rsync -") + *c + " a b"), std::string("-") + *c), Verdict::unknown)
        << *c;
  for (const char c : {'z', 'A', 'X', 'k', 'K', 'h', 'i'})
    EXPECT_NE(verdict(client(std::string("rsync -") + c + " a b"), std::string("-") + c), Verdict::unknown)
        << c;
  for (const std::string name : kLong) {
    EXPECT_NE(verdict(client("rsync --" + name + " a b"), "--" + name), Verdict::unknown) << name;
    EXPECT_NE(verdict(client("rsync --no-" + name + " a b"), "--no-" + name), Verdict::unknown) << name;
  }
  for (const std::string name : kWithValue)
    for (const char* between : {"=", " "}) {
      const ImportResult result = client("rsync --" + name + between + "v a host::m");
      EXPECT_NE(verdict(result, "--" + name), Verdict::unknown) << name;
      EXPECT_TRUE(answer(result, "SRC") && answer(result, "SRC")->value == "a") << name << " takes its value";
    }
}

TEST(Import, every_row_of_the_tables_is_reached_and_says_something) {
  std::set<std::string> names;
  std::set<char> letters;
  for (const RsyncOption& option : rsync_options()) {
    const std::string name = option.name;
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    if (option.letter != 0) {
      EXPECT_TRUE(letters.insert(option.letter).second) << option.letter << " twice";
    }
    EXPECT_GT(std::string(option.text).size(), 10u) << name;
    EXPECT_NE(option.verdict, Verdict::unknown) << name;
    const std::string value = name == "filter" ? "- v" : "v";
    const ImportResult result = client("rsync --" + name + (option.takes_value ? "='" + value + "'" : "") + " a b");
    ASSERT_TRUE(answer(result, "--" + name)) << name;
    EXPECT_EQ(answer(result, "--" + name)->text, option.text);
    EXPECT_EQ(answer(result, "--" + name)->value, option.shows_value ? value : "") << name;
  }
  for (const ConfParameter& parameter : conf_parameters()) {
    const std::string name = parameter.name;
    EXPECT_TRUE(names.insert("conf " + name).second) << name << " twice";
    const ImportResult result = import_rsync("[m]\n  " + name + " = /v\n", "f", {});
    ASSERT_TRUE(answer(result, name)) << name;
    EXPECT_EQ(answer(result, name)->text, parameter.text);
    EXPECT_EQ(answer(result, name)->where, "f:2 [m]");
    EXPECT_EQ(answer(result, name)->value, parameter.shows_value ? "/v" : "") << name;
  }
}

TEST(Import, short_options_may_be_combined_and_the_last_may_bring_its_value) {
  for (const char* line :
       {"rsync -avze ssh a b:c", "rsync -avzessh a b:c", "rsync -az -v -e 'ssh -p 22' a b:c"}) {
    const ImportResult result = client(line);
    for (const char* option : {"-a", "-v", "-z", "-e"})
      EXPECT_TRUE(answer(result, option)) << line << " " << option;
    EXPECT_EQ(answer(result, "SRC")->value, "a");
    EXPECT_EQ(answer(result, "DEST")->value, "b:c");
  }
  EXPECT_EQ(answer(client("rsync -aB700 a b"), "-B")->value, "700");
  EXPECT_EQ(answer(client("rsync -B 700 a b"), "-B")->value, "700");
  EXPECT_EQ(answer(client("rsync -f '- *.tmp' a b"), "-f")->value, "- *.tmp");
}

TEST(Import, what_is_not_known_gets_an_honest_line) {
  const ImportResult result = client("rsync -a? --frobnicate=7 --no-such a b");
  for (const char* option : {"-?", "--frobnicate", "--no-such"})
    EXPECT_EQ(verdict(result, option), Verdict::unknown);
  EXPECT_EQ(verdict(import_rsync("[m]\nfrobnicate = 7\n", "f", {}), "frobnicate"), Verdict::unknown);
  EXPECT_EQ(verdict(import_rsync("[m]\nnonsense\n", "f", {}), "(a line)"), Verdict::unknown);
  EXPECT_EQ(verdict(client("scp a b"), "(no rsync)"), Verdict::unknown);
}

TEST(Import, what_is_taken_cannot_be_turned_off_and_the_rest_need_not_be) {
  EXPECT_EQ(verdict(client("rsync -a --no-perms a b"), "--no-perms"), Verdict::unsupported);
  EXPECT_EQ(verdict(client("rsync -a --no-owner a b"), "--no-owner"), Verdict::not_needed);
  EXPECT_EQ(verdict(client("rsync -a --no-o a b"), "--no-o"), Verdict::not_needed);
  EXPECT_EQ(verdict(import_rsync("[m]\nread only = no\n", "f", {}), "read only"), Verdict::not_needed);
  EXPECT_EQ(verdict(import_rsync("[m]\nread only = yes\n", "f", {}), "read only"), Verdict::unsupported);
}

TEST(Import, no_secret_is_printed) {
  const char* const conf =
      "auth users = hunter2a:rw\n[m]\npath = /srv/m\nfrob = hunter2b\nalice:hunter2c\nbob:hunter2d=x\n"
      "hunter2 e = f\n& hunter2g\npost-xfer exec = curl -u x:hunter2h http://y\n";
  const std::vector<std::string> clients{
      "* * * * * root RSYNC_PASSWORD=hunter2i flock /x-hunter2j rsync -e 'sshpass -p hunter2k ssh' "
      "--frob=hunter2l "
      "-Qhunter2m --rsync-path='echo hunter2n|sudo -S rsync' -M--p=hunter2o a rsync://joe:hunter2p@h/m | "
      "mail hunter2q",
      "set RSYNC_PASSWORD=hunter2r && C:\\cwrsync\\bin\\rsync.exe -a /cygdrive/c/x joe:hunter2s@h::m > "
      "hunter2t"};
  const ImportResult result = import_rsync(conf, "f", clients);
  EXPECT_THAT(render(result), Not(HasSubstr("hunter2")));
  EXPECT_THAT(import_json(result), Not(HasSubstr("hunter2")));
  EXPECT_EQ(verdict(result, "RSYNC_PASSWORD"), Verdict::not_needed);
}

TEST(Import, modules_become_folders_and_the_configuration_is_one_that_the_node_reads) {
  const ImportResult result = import_rsync(
      "# global\nhosts allow = 192.0.2.0/24\naddress = 192.0.2.7\n\n[uploads]\n  PATH = /srv/up \\\nloads\n"
      "[media]\n path=/srv/media\"x\n hostsallow = 198.51.100.7, *.example.org 2001:db8::/32\n",
      "f", {});
  ASSERT_EQ(result.folders.size(), 2u);
  EXPECT_EQ(result.folders[0].path, "/srv/up loads");
  EXPECT_THAT(result.folders[0].allow, ElementsAre("192.0.2.0/24"));
  EXPECT_THAT(result.folders[1].allow, ElementsAre("198.51.100.7", "*.example.org", "2001:db8::/32"));
  std::set<std::string> listens;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto config = parse_config(import_config(result, i), "config.toml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->folder.path, result.folders[i].path);
    EXPECT_TRUE(listens.insert(config->listen).second && listens.insert(config->http).second)
        << "ports of their own";
    EXPECT_THAT(config->listen, HasSubstr("192.0.2.7:"));
  }
  const auto commands = import_commands(result);
  EXPECT_THAT(commands,
              ::testing::Contains(
                  "nft add rule inet filter input ip saddr '{ 198.51.100.7 }' udp dport 7442 accept"));
  EXPECT_THAT(commands,
              ::testing::Contains(
                  "nft add rule inet filter input ip6 saddr '{ 2001:db8::/32 }' udp dport 7442 accept"));
  EXPECT_THAT(commands, ::testing::Contains(HasSubstr("# hosts allow *.example.org")));
  EXPECT_THAT(commands, ::testing::Contains("syncline init '/srv/up loads' --listen 192.0.2.7:7440"));
  EXPECT_THAT(result.notes, ::testing::Contains(HasSubstr("each module becomes a cluster of its own")));
  EXPECT_THAT(result.notes, ::testing::Contains(HasSubstr("--exclude=/.syncline/")));
}

TEST(Import, excludes_become_rules) {
  const ImportResult result = import_rsync(
      "exclude = *.bak\n[m]\npath = /srv/m\nexclude = /cache/ - b + c*\ninclude = d\n[n]\npath = /srv/n\n", "f",
      {"rsync -a --exclude='*.tmp' --exclude '+ keep.tmp' --include=*/ -f '- x' --filter='P y' --exclude='[a' h::m/ /srv/copy/"});
  ASSERT_EQ(result.folders.size(), 2u);
  EXPECT_EQ(import_ignore(result, 0), "- /cache/\n- b\n+ c*\n+ d\n- *.tmp\n+ keep.tmp\n+ */\n- x\n");
  EXPECT_EQ(import_ignore(result, 1), "- *.bak\n") << "the global part's, where a module says nothing";
  EXPECT_TRUE(IgnoreRules::parse(import_ignore(result, 0)).problems().empty());
  EXPECT_THAT(import_commands(result), ::testing::Contains(HasSubstr(
      "printf '%s\\n' '- /cache/' '- b' '+ c*' '+ d' '- *.tmp' '+ keep.tmp' '+ */' '- x' > /srv/m/.synclineignore")));
  EXPECT_EQ(verdict(result, "--filter"), Verdict::unsupported);
  EXPECT_EQ(verdict(result, "--include"), Verdict::taken);
  EXPECT_THAT(render(result), HasSubstr("has a [ without its ]"));
  EXPECT_THAT(result.notes, Not(::testing::Contains(HasSubstr("counts from the folder"))));
  EXPECT_THAT(client("rsync -a --exclude=/a/b /srv/a h:/srv/").notes, ::testing::Contains(HasSubstr("counts from the folder")));
  const ImportResult cvs = client("rsync -aC /srv/a/ h:/srv/a/");
  const IgnoreRules rules = IgnoreRules::parse(import_ignore(cvs, 0));
  EXPECT_TRUE(rules.problems().empty());
  EXPECT_TRUE(rules.ignores("x/#file", false) && rules.ignores(".git", true) && !rules.ignores(".git", false));
}

TEST(Import, who_has_the_files_founds_the_cluster) {
  const char* const conf = "[uploads]\npath = /srv/app1\n";
  const auto found = [](const ImportResult& r) { return r.folders.at(0).path + " " + r.folders.at(0).other; };
  EXPECT_EQ(found(import_rsync(conf, "f", {"rsync -a app1::uploads/ /var/www/uploads/"})),
            "/srv/app1 /var/www/uploads");
  EXPECT_EQ(found(import_rsync(conf, "f", {"rsync -a /var/www/uploads/ rsync://app1/uploads"})),
            "/var/www/uploads /srv/app1");
  EXPECT_EQ(found(client("rsync -a /srv/uploads/ joe@app2:/srv/copy/")), "/srv/uploads /srv/copy");
  EXPECT_EQ(client("rsync -a --fsync a b:/c").strict, true);
  EXPECT_THAT(import_config(client("rsync -a --fsync /a b:/c"), 0), HasSubstr("durability = \"strict\""));
}

TEST(Import, windows_paths_are_known_and_said_to_be_no_members_yet) {
  for (const char* path : {"/cygdrive/c/inetpub/uploads/", "\"/cygdrive/C/inetpub/uploads\"",
                           "C:\\inetpub\\uploads", "c:/inetpub/uploads"}) {
    const ImportResult result = client(std::string("rsync.exe -a ") + path + " app2::uploads");
    ASSERT_EQ(result.folders.size(), 1u) << path;
    EXPECT_EQ(result.folders[0].path, "C:\\inetpub\\uploads") << path;
    EXPECT_TRUE(result.folders[0].windows);
    EXPECT_THAT(render(result), HasSubstr("Linux only"));
    EXPECT_TRUE(parse_config(import_config(result, 0), "c")) << "a placeholder, but one that parses";
  }
  EXPECT_EQ(place_of("/cygdrive/cd/x").windows, false);
  EXPECT_EQ(place_of("host:/x").remote, true);
  EXPECT_EQ(place_of("./a:b").remote, false);
}

TEST(Import, words_are_split_as_a_shell_or_cmd_would) {
  EXPECT_THAT(split_words(R"(a "b c" 'd e' f\ g C:\x\y "" "say \"hi\"")"),
              ElementsAre("a", "b c", "d e", "f g", "C:\\x\\y", "", "say \"hi\""));
  EXPECT_THAT(split_words(" \t"), ElementsAre());
}

TEST(Import, a_path_cannot_break_out_of_a_command) {
  const ImportResult result = import_rsync("[m]\npath = /srv/a'; rm -rf x\n", "f", {});
  EXPECT_THAT(import_commands(result),
              ::testing::Contains(HasSubstr("syncline init '/srv/a'\\''; rm -rf x'")));
}

}  // namespace
}  // namespace syncline

#include "node/home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "node/home_folders.h"
#include "node/home_setup.h"
#include "node/invites.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class HomeTest : public ::testing::Test {
 protected:
  HomeTest() {
    std::string pattern = fs::temp_directory_path() / "syncline-home-XXXXXX";
    root_ = fs::canonical(::mkdtemp(pattern.data()));
    fs::create_directory(root_ / "uploads");
  }
  ~HomeTest() override { fs::remove_all(root_); }

  SetupOptions options(const std::string& home = "home", const std::string& folder = "uploads") const {
    return {(root_ / home).string(), (root_ / folder).string(), "web1", "127.0.0.1:7440", "127.0.0.1:0"};
  }
  std::set<std::string> everything() const {
    std::set<std::string> names;
    for (const auto& item : fs::recursive_directory_iterator(root_))
      names.insert(fs::relative(item.path(), root_).string());
    return names;
  }
  std::string home() const { return (root_ / "home").string(); }
  std::string home(const char* file) const { return home() + "/" + file; }
  void put(const std::string& path, const std::string& text, unsigned mode = 0600) const {
    fs::remove(path);
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
  }
  static std::string get(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static unsigned mode(const std::string& path) {
    struct stat info {};
    ::stat(path.c_str(), &info);
    return info.st_mode & 07777;
  }
  // Refused in one line that says `what`, and nothing was left behind.
  void refused(const SetupOptions& o, const std::string& what) const {
    const auto before = everything();
    const auto made = init_home(o);
    ASSERT_FALSE(made) << what;
    EXPECT_THAT(made.error().message, HasSubstr(what));
    EXPECT_THAT(made.error().message, Not(HasSubstr("\n")));
    EXPECT_EQ(everything(), before) << what;
  }

  fs::path root_;
};

TEST_F(HomeTest, init_makes_a_private_home_that_loads) {
  const auto made = init_home(options());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->config.name, "web1");
  EXPECT_EQ(made->config.folder.path, (root_ / "uploads").string());
  EXPECT_EQ(made->cluster.folders, (std::vector<JoinFolder>{{1, "uploads"}}));
  ASSERT_EQ(made->members.size(), 1u);
  EXPECT_EQ(made->members[0].node, made->identity.node);
  EXPECT_EQ(made->members[0].addresses, std::vector<std::string>{"127.0.0.1:7440"});
  EXPECT_TRUE(made->members[0].admitted_by.is_zero());
  EXPECT_EQ(mode(home()), 0700u);
  for (const char* file : {"config.toml", "identity", "cluster", "members"})
    EXPECT_EQ(mode(home(file)), 0600u) << file;
  EXPECT_TRUE(fs::exists(root_ / "uploads/.syncline/folder"));
  EXPECT_FALSE(fs::exists(home("cluster.new")));

  const auto again = load_home(home());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->identity.signing, made->identity.signing);
  EXPECT_EQ(again->identity.link.secret, made->identity.link.secret);
  EXPECT_EQ(again->cluster.psk, made->cluster.psk);
  EXPECT_EQ(again->cluster.hash_key, made->cluster.hash_key);
}

TEST_F(HomeTest, two_homes_share_no_secret) {
  fs::create_directory(root_ / "other");
  const auto a = init_home(options()), b = init_home(options("home2", "other"));
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->identity.node, b->identity.node);
  EXPECT_NE(a->identity.link.secret, b->identity.link.secret);
  EXPECT_NE(a->cluster.cluster, b->cluster.cluster);
  EXPECT_NE(a->cluster.psk, b->cluster.psk);
  EXPECT_NE(a->cluster.psk, a->cluster.hash_key);
}

TEST_F(HomeTest, init_refuses_and_leaves_nothing) {
  refused(options("home", "missing"), "missing: No such file");
  put((root_ / "file").string(), "x");
  refused(options("home", "file"), "is no directory");
  refused(options("uploads/home"), "must not be inside it: its secrets would be synced");
  refused(options("uploads"), "must not be inside it: its secrets would be synced");
  refused(options("file/home"), "cannot be made");
  SetupOptions o = options();
  o.listen = "127.0.0.1";
  refused(o, "--listen: \"127.0.0.1\" is not HOST:PORT");
  o.listen = "127.0.0.1:0";
  refused(o, "--listen: the port must not be 0");
  o = options();
  o.http = "::1:80";
  refused(o, "--http: ");
  o = options();
  o.name = "web 1";
  refused(o, "\"web 1\" is no node name");
  fs::create_directory(root_ / "bad\xff");
  refused(options("home", "bad\xff"), "cannot be synced by this name");
  refused(options("a/b/home", "missing"), "missing");
  fs::create_directory(root_ / "foreign");
  put((root_ / "foreign/file").string(), "x");
  ::chmod((root_ / "foreign").c_str(), 0755);
  refused(options("foreign"), "is not empty and others may enter it");
}

TEST_F(HomeTest, a_home_or_a_folder_in_use_is_refused_untouched) {
  ASSERT_TRUE(init_home(options()));
  const std::string identity = get(home("identity"));
  fs::create_directory(root_ / "other");
  refused(options("home", "other"), "already belongs to a node");
  refused(options("home2"), "already belongs to a cluster");
  EXPECT_EQ(get(home("identity")), identity);
  EXPECT_TRUE(load_home(home()));
}

TEST_F(HomeTest, a_folder_that_cannot_be_written_is_refused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  ::chmod((root_ / "uploads").c_str(), 0500);
  refused(options(), "not writable");
  ::chmod((root_ / "uploads").c_str(), 0700);
}

// Killed at any point of the set-up: the next one takes over, whatever was there.
TEST_F(HomeTest, a_killed_set_up_is_taken_over) {
  ASSERT_TRUE(init_home(options()));
  fs::rename(home("cluster"), home("cluster.new"));  // as if killed after the marker
  EXPECT_EQ(load_home(home()).error().code, Error::Code::not_found);
  const auto made = init_home(options());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(get((root_ / "uploads/.syncline/folder").string()), HasSubstr(to_hex(made->cluster.cluster)));

  fs::remove(home("cluster"));  // a marker that this home cannot prove to be its own stays
  fs::remove(home("cluster.new"));
  EXPECT_THAT(init_home(options()).error().message, HasSubstr("already belongs to a cluster"));
  EXPECT_TRUE(fs::exists(root_ / "uploads/.syncline/folder"));
}

TEST_F(HomeTest, a_damaged_home_is_refused_by_one_line_naming_the_file) {
  ASSERT_TRUE(init_home(options()));
  const auto broken = [&](const char* file, const std::string& text, const char* what, unsigned mode = 0600) {
    const std::string good = get(home(file));
    put(home(file), text, mode);
    const auto loaded = load_home(home());
    ASSERT_FALSE(loaded) << file << what;
    EXPECT_THAT(loaded.error().message, HasSubstr(home(file)));
    EXPECT_THAT(loaded.error().message, HasSubstr(what));
    EXPECT_THAT(loaded.error().message, Not(HasSubstr("\n")));
    put(home(file), good);
    EXPECT_TRUE(load_home(home()));
  };
  const std::string identity = get(home("identity")), cluster = get(home("cluster")),
                    config = get(home("config.toml"));
  broken("identity", identity, "chmod 600", 0640);
  broken("cluster", cluster, "chmod 600", 0604);
  broken("identity", "", "a key is missing");
  broken("identity", identity + "link zz\n", ":4: is no key");
  std::string flipped = identity;
  char& digit = flipped[flipped.find("signing ") + 8];
  digit = digit == '0' ? '1' : '0';
  broken("identity", flipped, "is damaged");
  broken("cluster", cluster.substr(0, cluster.find("psk")), "a line is missing");
  broken("cluster", cluster + "folder 1 again\n", "is not understood");
  broken("cluster", cluster + "folder 2 a/b\n", "is not understood");
  broken("config.toml", config + "\n[extra]\n", "unknown key");
  broken("members", "member 00\n", ":1: malformed member");
  broken("members", "", "put together from two");
  broken("members", std::string(limits::home_file_bytes + 1, '#'), "longer than");

  ClusterSecrets other = *parse_cluster(cluster, "x");
  other.cluster.bytes[0] ^= 1;
  put(home("cluster"), cluster_text(other));
  EXPECT_THAT(load_home(home()).error().message, HasSubstr("members:3: is a member of another cluster"));
}

TEST_F(HomeTest, folders_are_kept_and_a_damaged_list_is_named) {
  ASSERT_TRUE(init_home(options()));
  auto home_now = load_home(home());
  ASSERT_TRUE(home_now);
  ASSERT_EQ(home_now->folders.size(), 1u);
  EXPECT_EQ(home_now->folders[0].config, home_now->config.folder);
  auto folders = home_now->folders;
  folders[0].paused = true;
  folders.push_back({folder_id_of("media"), "media", {(root_ / "m").string(), Durability::strict, FolderMode::send_only}, false, true});
  ASSERT_TRUE(save_folders(home(), folders));
  EXPECT_EQ(mode(home("folders.json")), 0600u);
  home_now = load_home(home());
  ASSERT_TRUE(home_now);
  EXPECT_EQ(home_now->folders, folders);
  for (const char* text : {"", "{}", "[1]", "[{}]", R"([{"name":"a/b"}])", R"([{"name":"media"}])", R"([{"name":"media","path":"relative"}])",
                           R"([{"name":"media","path":"/m","mode":"sideways"}])",
                           R"([{"name":"media","path":"/m"},{"name":"media","path":"/n"}])"}) {
    put(home("folders.json"), text);
    const auto bad = load_home(home());
    ASSERT_FALSE(bad) << text;
    EXPECT_THAT(bad.error().message, HasSubstr("folders.json")) << text;
    EXPECT_THAT(bad.error().message, Not(HasSubstr("\n")));
  }
}

TEST_F(HomeTest, one_process_at_a_time) {
  ASSERT_TRUE(init_home(options()));
  {
    const auto lock = HomeLock::take(home());
    ASSERT_TRUE(lock) << lock.error().message;
    const auto second = HomeLock::take(home());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Error::Code::busy);
    EXPECT_THAT(second.error().message,
                HasSubstr("another synclined (pid " + std::to_string(::getpid()) + ")"));
  }
  EXPECT_TRUE(HomeLock::take(home()));
}

TEST_F(HomeTest, no_node_says_how_to_make_one) {
  const auto loaded = load_home((root_ / "nothing").string());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Error::Code::not_found);
  EXPECT_THAT(loaded.error().message, HasSubstr("syncline init FOLDER"));
}

TEST_F(HomeTest, the_http_token_is_made_once_and_private) {
  ASSERT_TRUE(init_home(options()));
  const auto token = http_token(home());
  ASSERT_TRUE(token);
  EXPECT_EQ(token->size(), 64u);
  EXPECT_EQ(*http_token(home()), *token);
  EXPECT_EQ(mode(home("http-token")), 0600u);
  put(home("http-token"), "short\n");
  EXPECT_FALSE(http_token(home()));
  put(home("http-token"), "chosen-by-the-administrator\n");
  EXPECT_EQ(*http_token(home()), "chosen-by-the-administrator");
}

TEST(OwnAddresses, say_where_others_can_call) {
  Config c;
  c.listen = "192.0.2.7:9000";
  EXPECT_EQ(own_addresses(c), std::vector<std::string>{"192.0.2.7:9000"});
  c.listen = "0.0.0.0:9000";
  const auto found = own_addresses(c);
  ASSERT_FALSE(found.empty());
  EXPECT_LE(found.size(), limits::addresses);
  for (const auto& address : found) {
    EXPECT_THAT(address, Not(HasSubstr("0.0.0.0")));
    EXPECT_THAT(address, HasSubstr(":9000"));
  }
  c.advertise = {"web1.example:1"};
  EXPECT_EQ(own_addresses(c), c.advertise);
}

class InvitesTest : public HomeTest {
 protected:
  std::string file() const { return (root_ / "invites").string(); }
  static constexpr WallTime kNow{1'000'000};
  static WallTime later(std::uint64_t ms) { return {kNow.ms + ms}; }
};

TEST_F(InvitesTest, a_token_is_good_once_also_after_a_restart) {
  auto invites = Invites::load(file());
  ASSERT_TRUE(invites);
  const auto made = invites->create(1, 1000, kNow);
  ASSERT_TRUE(made);
  EXPECT_EQ(mode(file()), 0600u);

  auto restarted = Invites::load(file());
  ASSERT_TRUE(restarted) << restarted.error().message;
  EXPECT_EQ(restarted->secret(made->id, later(999)), made->secret);
  EXPECT_TRUE(restarted->consume(made->id, later(999)));
  EXPECT_FALSE(restarted->secret(made->id, later(999)));
  EXPECT_THAT(restarted->consume(made->id, later(999)).error().message, HasSubstr("used up"));
  EXPECT_FALSE(Invites::load(file())->secret(made->id, kNow));
}

TEST_F(InvitesTest, uses_are_counted_and_time_ends_them) {
  auto invites = *Invites::load(file());
  const auto three = invites.create(3, 1000, kNow);
  for (int use = 0; use < 3; ++use) EXPECT_TRUE(invites.consume(three->id, kNow)) << use;
  EXPECT_FALSE(invites.consume(three->id, kNow));
  const auto timed = invites.create(3, 1000, kNow);
  EXPECT_FALSE(invites.secret(timed->id, later(1000)));
  EXPECT_THAT(invites.consume(timed->id, later(1000)).error().message, HasSubstr("expired"));
  EXPECT_FALSE(invites.secret(TokenId{}, kNow));
}

TEST_F(InvitesTest, the_list_is_bounded_and_expired_ones_make_room) {
  auto invites = *Invites::load(file());
  for (std::size_t i = 0; i < limits::invites; ++i) ASSERT_TRUE(invites.create(1, 1000, kNow)) << i;
  EXPECT_EQ(invites.create(1, 1000, kNow).error().code, Error::Code::full);
  EXPECT_EQ(invites.outstanding(kNow), limits::invites);
  EXPECT_TRUE(invites.create(1, 1000, later(1000)));
  EXPECT_EQ(Invites::load(file())->outstanding(later(1000)), 1u);
}

TEST_F(InvitesTest, a_damaged_file_is_named_with_its_line) {
  for (const char* text : {"invite 00\n", "token x\n", "invite 0000000000000000 00 1 1\n"}) {
    put(file(), std::string("# comment\n") + text);
    const auto loaded = Invites::load(file());
    ASSERT_FALSE(loaded) << text;
    EXPECT_THAT(loaded.error().message, HasSubstr("invites:2: "));
  }
}

}  // namespace
}  // namespace syncline

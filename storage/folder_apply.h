#pragma once
#include <string>

#include "storage/folder_impl.h"
#include "storage/folder_names.h"

namespace syncline {

// One Folder::apply(): builds what is wanted inside staging/, makes it change places with what is visible in
// one system call, then looks at what came out. Every return leaves the path either as it was or as it is
// wanted, and nothing an application wrote lost: it is live, under versions/ and in the result, or in limbo.
//
// What may happen between the steps for a file that is replaced (`O` old, `N` new, at `S` in staging):
//   open O, compare, build N, [guard O, compare again, exchange S and P, look at S, ask the guard, release
//   it], dispose of S
//  - a write to O before the guard changes its fingerprint: `changed`. Held open for writing: `busy`.
//  - a writer that comes during [...] waits in open() with O in its hand: exchanged back, `busy`, then it
//  goes on.
//  - another file renamed over P before the exchange: it comes out at S with another inode: kept,
//  `displaced`.
//  - after the exchange P is N: a write there is a change of the new version, which the caller's watcher will
//  see.
//  - without leases: a write before the exchange shows in size or mtime of what came out (or in its hash,
//  where mtime is too young
//    to tell); a later one through an old descriptor is for limbo (folder_limbo.h).
// Where the file system cannot exchange, O gets a second name in staging, P is looked at once more and N is
// renamed over it: a file that an application renames over P between that look and our rename is lost;
// nothing short of an exchange can help that.
class Applier {
 public:
  Applier(Folder::Impl& folder, const ApplyRequest& request) : f_(folder), r_(request) {}
  ApplyResult run();

 private:
  using Outcome = ApplyResult::Outcome;

  // The visible entry as it was found; `file` only of files, and not where it cannot be opened.
  struct Current {
    FileStat stat;
    std::unique_ptr<File> file;
    bool guarded = false;
  };
  // What was made to become visible.
  struct Built {
    std::string at;
    std::unique_ptr<File> file;  // of files, until they are complete
    Fingerprint print;
    bool was_staged = false;  // goes back to its staged name if it is not used
  };

  void apply_present();
  void apply_absent();
  void remove_directory();
  void change_attributes();
  void change_file_attributes();
  bool only_attributes_differ() const;

  bool look(Current& current);  // false: an outcome is set
  bool guard(Current& current);
  bool build(Built& built, const std::optional<Folder::Impl::Owner>& owner);
  bool build_file(Built& built);
  bool finish_file(Built& built, const std::optional<Folder::Impl::Owner>& owner);
  bool finish_other(Built& built, const std::optional<Folder::Impl::Owner>& owner);
  void mark(File& file, std::string_view path, const Dot& dot, const Content& content);
  void mark_directory(std::string_view at, std::string_view path, const Dot& dot, const Content& content);
  void discard(Built& built);
  void create(Built& built);
  bool make_parents();
  void settle_new(Built& built);  // it is visible: fills in the result

  void swap_in(Built& built, Current& current);
  void swap_by_link(Built& built, Current& current);
  void swap_by_steps(Built& built, Current& current);
  void take_out(Current& current);
  bool came_as_expected(const std::string& at, const Current& current, FileStat& came);
  bool waits_for(const Current& current, const FileStat& came);
  void give_up(const std::string& aside, Built& built, Outcome outcome);

  // What to do with what came out at `at`; `built` is what took its place, null for a deletion.
  void dispose(const std::string& at, const FileStat& came, bool expected, const Current& current,
               Built* built);
  void dispose_of_file(const std::string& at, const FileStat& came, const Current& current);
  Fingerprint print_after_move(const std::string& at, const FileStat& came);
  void dispose_of_foreign_file(const std::string& at, const Current& current);
  void dispose_of_symlink(const std::string& at, const FileStat& came, bool expected);
  bool put_back(const std::string& at, Built* built);
  bool exchange_back(const std::string& at, Built& built);
  void to_limbo(std::string at, const Hash128& known, const Fingerprint& print, bool blind);
  std::string swap_name(std::uint64_t new_inode);

  void set(Outcome outcome, std::string problem = {});
  void fail_with(const Error& error);

  Folder::Impl& f_;
  const ApplyRequest& r_;
  ApplyResult out_;
};

// Whether what is there is what the index believes. After a rename (`moved`) ctime says nothing.
bool is_as_expected(const FileStat& stat, const DiskState& expect, bool moved);

}  // namespace syncline

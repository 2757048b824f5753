#pragma once
#include <atomic>
#include <deque>
#include <map>
#include <mutex>

#include "storage/folder.h"
#include "storage/folder_hash.h"

namespace syncline {

// The content on its way into a folder: staging/ and versions/ (Folder's stage_* calls). Thread-safe for
// different hashes.
class Staging {
 public:
  Staging(FileSystem& fs, const HashKey& key) : fs_(fs), key_(key) {}

  // Makes the directories, if need be, and takes over what an earlier process left: names made from now on
  // are new, and complete contents must be verified again (a power loss may have taken their bytes).
  Status open();
  // All that is there, by full name, directories not included.
  Result<std::vector<std::string>> list();
  std::uint64_t next_number() { return next_.fetch_add(1); }
  // Made by an earlier process, as opposed to being in use now.
  bool is_leftover(std::uint64_t number) const { return number < first_; }

  StageProgress progress(const Hash128& hash);
  Status write(const Hash128& hash, std::uint64_t offset, BytesView piece);
  Status finish(const Hash128& hash, std::uint64_t size);
  Status copy(const Hash128& hash, std::optional<std::uint64_t> size, std::string_view from);
  Status patch(const Hash128& hash, std::uint64_t size, std::string_view base_path, BytesView delta);
  Status to_version(const Hash128& hash);
  void drop(const Hash128& hash);
  std::shared_ptr<const Signature> signature(const Hash128& hash);

 private:
  struct Part {
    std::uint64_t have = 0;                        // contiguous from the start
    std::map<std::uint64_t, std::uint64_t> later;  // begin -> end of what came before its turn
    bool noted = false;                            // `have` is written beside it
    // Of the first `hashed` bytes, so that the whole need not be read back in the end. Null where another process wrote some of them.
    std::unique_ptr<SignatureBuilder> hasher;
    std::uint64_t hashed = 0;
    std::uint64_t inode = 0;  // that of the file which was hashed
    bool hashing = false;     // has, or had, a hasher
    void hash(File& file, std::uint64_t offset, BytesView piece);
  };

  // The part of this hash, with what an earlier process had of it. The pointer is good until drop() or
  // finish().
  Result<Part*> part(const Hash128& hash);
  Part load(const Hash128& hash);
  void start_hasher(Part& part, File& file);
  Status note(const Hash128& hash, Part& part);
  bool forget(const Hash128& hash);  // false: there was none
  // Hashes the file `at`; moves it to its staged name if it is what it should be, removes it (Error::invalid)
  // if not.
  Status verify(const std::string& at, const Hash128& hash, std::optional<std::uint64_t> size);
  Status accept(const std::string& at, const Hash128& hash, std::shared_ptr<const Signature> signature);
  void remember(const Hash128& hash, std::shared_ptr<const Signature> signature);

  FileSystem& fs_;
  const HashKey& key_;
  std::uint64_t first_ = 0;
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
  std::map<Hash128, Part> parts_;
  std::deque<std::pair<Hash128, std::shared_ptr<const Signature>>> signatures_;  // latest last
  std::size_t signature_bytes_ = 0;
};

}  // namespace syncline

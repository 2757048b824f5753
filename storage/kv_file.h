#pragma once
#include <cstdint>
#include <string>

#include "protocol/bytes.h"
#include "protocol/error.h"

namespace syncline {

// What the index needs of the operating system beside LMDB (kv_file_posix.cpp).

// Keeps a directory to one process until destroyed, or until the process dies.
class DirectoryLock {
 public:
  // Error::refused while anybody else (also in this process) holds it.
  static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

// A file (0600) being written, one thread at a time.
class LogFile {
 public:
  static Result<LogFile> create(const std::string& path);  // emptied if it exists
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;
  ~LogFile();
  // All of it or an error (Error::full: no space, quota or size limit). After an error the bytes from
  // `offset` on are undefined.
  Status write_at(std::uint64_t offset, BytesView data);

 private:
  explicit LogFile(int fd) : fd_(fd) {}
  int fd_;
};

// A file being read. Thread-safe.
class ReadFile {
 public:
  static Result<ReadFile> open(const std::string& path);  // Error::not_found
  ReadFile(ReadFile&& other) noexcept;
  ReadFile& operator=(ReadFile&&) = delete;
  ~ReadFile();
  // Fewer than `size` bytes only at the end of the file.
  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) const;
  Result<std::uint64_t> size() const;

 private:
  explicit ReadFile(int fd) : fd_(fd) {}
  int fd_;
};

Status make_private_directory(const std::string& path);  // 0700; nothing if there is a directory already
Status sync_directory(const std::string& path);          // the names in it survive power loss
Bytes system_boot_id();              // differs after every boot of the machine; empty where unknown
bool is_no_space(int error_number);  // no space, quota or size limit

}  // namespace syncline

#pragma once
#include <map>
#include <string>
#include <vector>

#include "protocol/bytes.h"
#include "tests/crash/crash_states.h"

namespace syncline::crash {

// Records what this whole process, liblmdb included, does to the files of one directory: the test program has its own open(),
// pwrite(), fdatasync() and so on, which come before those of the C library (system_recorder_posix.cpp). No sync is carried out, so
// that thousands of crashes cost little. Thread-safe; one recording at a time.
class SystemRecorder {
 public:
  explicit SystemRecorder(std::string directory);
  ~SystemRecorder();
  SystemRecorder(const SystemRecorder&) = delete;
  SystemRecorder& operator=(const SystemRecorder&) = delete;

  void forget_file_syncs(bool on);  // a test of the tester
  void note(std::string what);
  std::size_t size() const;
  std::vector<Operation> operations() const;
  std::map<std::string, Bytes> after(const CrashState& state) const;  // the directory's files
};

}  // namespace syncline::crash

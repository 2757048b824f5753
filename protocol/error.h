#pragma once
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace syncline {

// Why something expected to fail sometimes has failed. `message` is one line for an administrator: what, where, what to do.
struct Error {
  enum class Code {
    refused,      // a rule says no (wrong key, expired token, folder of another cluster)
    invalid,      // malformed input
    not_found,    // no such path, conflict, member
    exists,       // in the way
    busy,         // open for writing, or changed under our hands; try later
    full,         // no space, or a bound reached
    unsupported,  // this platform or file system cannot
    io,           // the operating system failed
    timed_out,
  };
  Code code = Code::io;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(Error::Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace syncline

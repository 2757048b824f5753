#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>

#include "node/datagram_address.h"

namespace syncline {

// One non-blocking UDP socket that sends and receives in batches: one system call carries dozens of datagrams
// where the kernel can (UDP_SEGMENT, UDP_GRO, sendmmsg, recvmmsg), and everything works, slower, where it
// cannot. One thread. What the kernel does not take is dropped, as the network would.
class DatagramSocket {
 public:
  static constexpr std::size_t kDatagramBytes = 4352;  // the longest that is sent; what comes may be longer

  struct Options {
    bool batches = true;  // false: one system call a datagram, the plain path (tests)
  };
  // Error: not an address of this host, in use, or no permission: one line naming `listen`.
  static Result<std::unique_ptr<DatagramSocket>> bind(const HostPort& listen, const Options& options);
  virtual ~DatagramSocket() = default;

  // Readable when a datagram waits or the time of wake_at() has come.
  virtual int fd() const = 0;
  virtual Endpoint local() const = 0;
  virtual bool can_reach(const Endpoint& to) const = 0;  // false: an IPv6 address from an IPv4 socket

  // Room for one datagram of up to kDatagramBytes, to be filled and committed before the next call.
  virtual std::span<std::uint8_t> reserve() = 0;
  virtual void commit(const Endpoint& to, std::size_t size) = 0;
  // Gives what was committed to the kernel. False: its buffer is full; call again soon (what is left is kept,
  // and dropped only when room for more is needed).
  virtual bool flush() = 0;

  struct Received {
    BytesView bytes;  // valid until pop()
    Endpoint from;
  };
  virtual const Received* peek() = 0;  // nullptr: nothing is waiting
  virtual void pop() = 0;

  // Makes fd() readable at that time, or already at an earlier one asked for before.
  virtual void wake_at(std::chrono::steady_clock::time_point time) = 0;
  virtual void woken() = 0;  // call when fd() was readable
};

}  // namespace syncline

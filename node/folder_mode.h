#pragma once
#include <cstdint>

namespace syncline {

// What a node does in a folder; the others need not know.
enum class FolderMode : std::uint8_t {
  send_receive,
  receive_only,  // what is changed here is never published; it stays, is listed, and can be reverted
  send_only,     // what others wrote is not taken over; it is listed
};

}  // namespace syncline

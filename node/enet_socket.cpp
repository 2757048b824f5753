#include "node/enet_socket.h"

#include <enet/enet.h>

#include <array>
#include <cassert>

namespace syncline {
namespace {

struct Current {
  EnetWire* wire = nullptr;
  std::uint32_t now_ms = 0;
};
thread_local Current current;

constexpr ENetSocket kNoSocket =
    static_cast<ENetSocket>(0x7fffffff);  // never a real handle, not ENET_SOCKET_NULL
constexpr std::size_t kPieces = ENET_BUFFER_MAXIMUM;

bool check() {
  ENetHost* host = enet_host_create(nullptr, 1, 1, 0, 0);
  if (!host) return false;
  const bool ours = host->socket == kNoSocket;
  enet_host_destroy(host);
  return ours;
}

}  // namespace

EnetScope::EnetScope(EnetWire& wire, std::uint32_t now_ms)
    : outer_wire_(current.wire), outer_ms_(current.now_ms) {
  current = {&wire, now_ms};
}

EnetScope::~EnetScope() { current = {outer_wire_, outer_ms_}; }

bool enet_is_ours() {
  static const bool ours = check();
  return ours;
}

namespace {

int send_current(const ENetBuffer* buffers, std::size_t count) {
  assert(current.wire && count <= kPieces);
  std::array<BytesView, kPieces> pieces;
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    pieces[i] = {static_cast<const char*>(buffers[i].data), buffers[i].dataLength};
    size += buffers[i].dataLength;
  }
  current.wire->enet_send({pieces.data(), count});
  return static_cast<int>(size);
}

int receive_current(ENetAddress* from, const ENetBuffer& buffer) {
  assert(current.wire);
  *from = {kEnetHost, kEnetPort};
  return static_cast<int>(
      current.wire->enet_receive({static_cast<std::uint8_t*>(buffer.data), buffer.dataLength}));
}

}  // namespace
}  // namespace syncline

// The functions ENet 1.3 calls, by its own names. They replace those of the library in the whole process.
extern "C" {

enet_uint32 enet_time_get(void) { return syncline::current.now_ms; }

ENetSocket enet_socket_create(ENetSocketType) { return syncline::kNoSocket; }
void enet_socket_destroy(ENetSocket) {}
int enet_socket_set_option(ENetSocket, ENetSocketOption, int) { return 0; }

int enet_socket_send(ENetSocket, const ENetAddress*, const ENetBuffer* buffers, size_t count) {
  return syncline::send_current(buffers, count);
}

int enet_socket_receive(ENetSocket, ENetAddress* from, ENetBuffer* buffers, size_t) {
  return syncline::receive_current(from, buffers[0]);
}

int enet_socket_wait(ENetSocket, enet_uint32* condition, enet_uint32) {
  *condition = ENET_SOCKET_WAIT_NONE;
  return 0;
}

}  // extern "C"

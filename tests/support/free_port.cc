#include "tests/support/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

namespace sluice::testing {
namespace {

// The sockets API takes every address family through one pointer type.
sockaddr* Generic(sockaddr_in* address) {
  return reinterpret_cast<sockaddr*>(address);
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

UniqueFd NewSocket(int family) {
  return UniqueFd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

// Whether nobody, and no connection that was, holds the port.
bool Unused(uint16_t port) {
  const UniqueFd fd = NewSocket(AF_INET);
  sockaddr_in address = Loopback(port);
  return bind(fd.get(), Generic(&address), sizeof(address)) == 0;
}

// Takes the port from all other tests of this machine, for as long as this process lives: a name
// in the abstract namespace has one owner, leaves no file, and ends with it.
bool Reserve(uint16_t port) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "sluice-test-port-" + std::to_string(port);
  name.copy(address.sun_path + 1, name.size());
  const size_t size = offsetof(sockaddr_un, sun_path) + 1 + name.size();
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size)) == 0) {
    return true;  // and the socket stays open
  }
  close(fd);
  return false;
}

}  // namespace

uint16_t FreePort() {
  // Below 32768, where Linux's net.ipv4.ip_local_port_range begins: what the kernel hands to
  // outgoing connections never falls on a port that a server is about to open, or to open again.
  constexpr uint16_t kFirst = 10000;
  constexpr uint16_t kLast = 32767;
  constexpr int kTries = 1000;
  std::random_device random;
  std::uniform_int_distribution<uint16_t> any(kFirst, kLast);
  for (int i = 0; i < kTries; ++i) {
    const uint16_t port = any(random);
    if (Unused(port) && Reserve(port)) return port;
  }
  std::fprintf(stderr, "no free port of 127.0.0.1\n");
  std::abort();
}

Listener ListenOnLoopback() {
  constexpr int kBacklog = 5;
  Listener listener{NewSocket(AF_INET)};
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener.socket.get(), Generic(&address), sizeof(address)) != 0 ||
      getsockname(listener.socket.get(), Generic(&address), &size) != 0 ||
      listen(listener.socket.get(), kBacklog) != 0) {
    std::perror("cannot listen on 127.0.0.1");
    std::abort();
  }
  listener.port = ntohs(address.sin_port);
  return listener;
}

bool PortAccepts(uint16_t port) {
  const UniqueFd fd = NewSocket(AF_INET);
  sockaddr_in address = Loopback(port);
  return connect(fd.get(), Generic(&address), sizeof(address)) == 0;
}

bool WaitForPort(uint16_t port, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!PortAccepts(port)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace sluice::testing

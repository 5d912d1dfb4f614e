#include "tests/support/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
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

// Bound, and not listening.
Listener PortOfKernelsChoice() {
  Listener bound{UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  if (bind(bound.socket.get(), Generic(&address), sizeof(address)) != 0 ||
      getsockname(bound.socket.get(), Generic(&address), &size) != 0) {
    std::perror("cannot bind a port of 127.0.0.1");
    std::abort();
  }
  bound.port = ntohs(address.sin_port);
  return bound;
}

}  // namespace

uint16_t FreePort() {
  static std::mutex mutex;
  static std::set<uint16_t> given;
  const std::lock_guard<std::mutex> lock(mutex);
  for (;;) {
    const uint16_t port = PortOfKernelsChoice().port;
    if (given.insert(port).second) return port;
  }
}

Listener ListenOnLoopback() {
  constexpr int kBacklog = 5;
  Listener listener = PortOfKernelsChoice();
  if (listen(listener.socket.get(), kBacklog) != 0) {
    std::perror("cannot listen on 127.0.0.1");
    std::abort();
  }
  return listener;
}

bool PortAccepts(uint16_t port) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
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

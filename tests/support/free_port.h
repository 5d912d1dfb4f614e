// Private TCP ports for tests.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/unique_fd.h"

namespace sluice::testing {

// A port of 127.0.0.1 for a server: nobody listens on it, no other test on this machine gets it
// while this process lives, and the kernel gives it to no outgoing connection. Aborts without one.
// Any thread.
uint16_t FreePort();

// Listens on a port of 127.0.0.1 that the kernel chose.
struct Listener {
  UniqueFd socket;
  uint16_t port = 0;
};
Listener ListenOnLoopback();

// True once something accepts connections on 127.0.0.1:port; false when `timeout` has passed.
bool WaitForPort(uint16_t port, std::chrono::milliseconds timeout);

// One attempt to connect to 127.0.0.1:port.
bool PortAccepts(uint16_t port);

}  // namespace sluice::testing

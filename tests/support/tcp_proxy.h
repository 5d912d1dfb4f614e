// TcpProxy: stands between a client and a server and can cut the line at the worst moment.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/unique_fd.h"

namespace sluice::testing {

// Listens on 127.0.0.1 and hands every connection on to a port of 127.0.0.1. Thread-safe.
class TcpProxy {
 public:
  enum class Cut {
    kBeforeRequest,  // the server never gets what was sent together with the marker
    kBeforeAnswer,   // the server gets it, and the client never hears what it says to it
  };

  explicit TcpProxy(uint16_t target_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  uint16_t port() const { return port_; }
  // Once: the connection whose client is the next to send `marker` (at most 64 bytes) is cut.
  void CutAt(const std::string& marker, Cut when);
  // All connections there are now.
  void CutAll();
  int cuts() const;  // made by CutAt

 private:
  struct Link;

  void Accept();
  void PumpRequests(Link& link);
  void PumpAnswers(Link& link);
  // Whether the line is to be cut now that the client has sent these bytes.
  bool Seen(std::string_view sent, Cut* when);

  const uint16_t target_port_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::string marker_;  // empty: nothing is to be cut
  Cut when_ = Cut::kBeforeRequest;
  int cuts_ = 0;
  bool stopping_ = false;
  std::list<Link> links_;
  std::thread accepting_;
};

}  // namespace sluice::testing

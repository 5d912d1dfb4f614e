// TcpProxy: stands between a client and a server and makes the line fail in every way lines do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
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
  // Sees what passes, in order for each connection and direction, before it is passed on. Called
  // from the proxy's threads.
  using Tap = std::function<void(int connection, bool to_server, std::string_view bytes)>;

  explicit TcpProxy(uint16_t target_port, Tap tap = {});
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  uint16_t port() const { return port_; }

  // Once: the connection whose client is the next to send `marker` (at most 64 bytes) is cut.
  void CutAt(const std::string& marker, Cut when);
  // Once: half of what some server says next is passed on, and the connection is cut.
  void CutInNextAnswer();
  int cuts() const;  // made by these two
  // Once: what the next client sends together with `marker`, and after it, is kept from the server
  // until Release. The server does not notice when that client goes away.
  void HoldAt(const std::string& marker);
  bool holding() const;
  void Release();

  // All connections there are now.
  void CutAll();
  void ResetAll();  // with RST instead of FIN
  // Their servers go; their clients are not told, and nothing they send arrives.
  void HalfOpenAll();

  // Nothing passes in either direction while it is on; nobody is told.
  void Stall(bool on);
  // New connections are closed at once while it is on.
  void Refuse(bool on);
  // For each connection and direction; 0 for no limit.
  void LimitTo(size_t bytes_per_second);

 private:
  struct Link;
  enum class Step { kNone, kCutBeforeRequest, kCutBeforeAnswer, kHold };

  void Accept();
  void PumpRequests(Link& link);
  void PumpAnswers(Link& link);
  // What is to be done now that the client has sent these bytes, the last `fresh` of them just now.
  Step StepFor(std::string_view recent, size_t fresh);
  // Waits until bytes may pass; false when the proxy stops.
  bool WaitToPass(size_t bytes);
  bool WaitForRelease();
  bool TakeCutInAnswer();
  void SetStep(const std::string& marker, Step step);
  void ForEachLink(const std::function<void(Link&)>& action);

  const uint16_t target_port_;
  const Tap tap_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string marker_;  // empty: there is no step
  Step step_ = Step::kNone;
  bool cut_in_answer_ = false;
  int cuts_ = 0;
  bool holding_ = false;
  bool stalled_ = false;
  bool refusing_ = false;
  size_t bytes_per_second_ = 0;
  bool stopping_ = false;
  std::list<Link> links_;
  std::thread accepting_;
};

}  // namespace sluice::testing

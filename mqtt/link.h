// Link: packets over a channel, with a buffer on either side.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "mqtt/channel.h"
#include "mqtt/packets.h"

namespace sluice::mqtt {

// One thread, which ignores SIGPIPE. Errors are kUnavailable in words; then call Close.
class Link {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Connects to the first endpoint that lets it. `tls` may be null (TCP) and outlives the link. TLS
  // shakes hands with the first packet.
  Status Open(const std::vector<Endpoint>& endpoints, const TlsIdentity* tls, TimePoint deadline);
  void Close();

  // Reads what has arrived, as much as has room. Ends the life of what Next has handed out.
  Status Fill();
  // There may be more than Fill could take.
  bool full() const { return in_end_ == in_.size(); }
  // The next whole packet; a view until Fill or Close.
  Cut Next(Packet* packet);

  // Collects; Flush writes as far as the socket takes it.
  void Send(std::string_view packets) { out_ += packets; }
  Status Flush();
  bool flushed() const { return out_.empty(); }

  // Until there may be something to do, `wake` can be read (-1: there is none) or the time is over.
  void Wait(int wake, std::chrono::milliseconds at_most) const;

 private:
  Status OpenOne(const Endpoint& endpoint, const TlsIdentity* tls, TimePoint deadline);

  Channel channel_;
  std::vector<char> in_;  // read: [in_at_, in_end_)
  size_t in_at_ = 0;
  size_t in_end_ = 0;
  std::string out_;
};

}  // namespace sluice::mqtt

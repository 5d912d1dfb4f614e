// Channel: a non-blocking stream of bytes to the broker, over TCP or TLS.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "mqtt/tls.h"

namespace sluice::mqtt {

struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
};
// All that the name stands for, in the order in which to try them; never an empty list.
Result<std::vector<Endpoint>> Resolve(const std::string& host, int port);

// One thread, which ignores SIGPIPE. Errors are kUnavailable in words; then call Close.
class Channel {
 public:
  // Starts to connect. `tls` may be null (TCP) and outlives the channel.
  Status Open(const Endpoint& endpoint, const TlsIdentity* tls);
  void Close();

  bool valid() const { return socket_.valid(); }
  int fd() const { return socket_.get(); }  // for epoll, edge-triggered

  // To be called once, at the first event that says "writable" or "failed"; no reads and writes
  // before that.
  Status FinishConnect();
  // How many bytes; 0: not now, wait for the next event of any sort.
  Result<size_t> Write(std::string_view bytes);
  Result<size_t> Read(std::span<char> buffer);
  // The last call had nothing to do until the socket can be written; else until it can be read.
  bool waits_to_write() const { return waits_to_write_; }

 private:
  Result<size_t> NotNow(bool waits_to_write);
  Result<size_t> NothingOrTlsError(int outcome);

  UniqueFd socket_;
  SslSession tls_;
  bool waits_to_write_ = false;
};

}  // namespace sluice::mqtt

// Links: all connections of a fleet, and which of them a message takes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/unique_fd.h"
#include "loadtest/connection.h"
#include "loadtest/message.h"

namespace sluice::loadtest {

struct LinkOptions {
  std::string host = "127.0.0.1";
  int port = 1883;
  // Of all connections; with Proof::kLogin of the service's alone.
  std::string username;
  std::string password;
  int connections = 4;     // not with Proof::kLogin
  size_t window = 5000;    // unacknowledged messages per connection
  bool reconnect = false;  // go on when a connection is lost, else stop with an error
  bool quiet = false;      // no line on standard error for a lost connection

  // With Proof::kLogin: a device that has a directory TENANT/DEVICE in `certificates` connects to
  // tls_port with what is in it, the others to `port` with their tokens.
  int tls_port = 8883;
  std::string ca_file;
  std::string certificates;  // "": all with tokens
};

// One thread. With Proof::kPayload the devices share a few connections. With Proof::kLogin each
// device that may log in has its own, and a service has one for what devices may not send.
class Links {
 public:
  // `library` and `log` outlive this.
  Links(const LinkOptions& options, Proof proof, MessageLibrary* library, AckLog* log);

  // Finds the broker, reads the certificates. Nothing is connected yet.
  Status Make();
  // Opens what is closed, as many as one tick allows, and writes what was sent. An error means that
  // the fleet cannot go on.
  Status Write(int64_t now);
  // Reads what has arrived.
  Status Read();
  void Disconnect();
  // Cuts all connections without a word; the following calls of Write open them again.
  void Cut();

  // Always the same one for a device and a kind.
  Connection& For(const Message& message);
  bool HasCertificate(uint32_t sender) const;

  size_t size() const { return links_.size(); }
  size_t ready() const;
  // Why a connection was last lost or refused; for an operator.
  const std::string& last_trouble() const { return last_trouble_; }
  uint64_t published() const;
  uint64_t acknowledged() const;
  uint64_t acknowledged_bad() const;
  uint64_t refused() const;
  // The reason code of a PUBACK that said no; 0: there was none.
  uint8_t last_refusal() const;

 private:
  struct Link {
    Connection connection;
    int64_t retry_at = 0;
    int64_t backoff = 0;
    int64_t opened_at = 0;
  };

  Status MakeDevices(const mqtt::Endpoint& plain);
  void Add(ConnectionOptions options);
  Status OpenClosed(int64_t now);
  Status Lost(Link* link, const Status& why, bool was_ready);

  const LinkOptions options_;
  const Proof proof_;
  MessageLibrary* const library_;
  AckLog* const log_;

  UniqueFd epoll_;
  std::deque<mqtt::TlsIdentity> identities_;
  std::vector<const mqtt::TlsIdentity*> identity_of_;  // by sender
  // With Proof::kLogin the service's is the first one.
  std::deque<Link> links_;
  std::vector<size_t> link_of_;  // by sender
  std::string last_trouble_;
};

}  // namespace sluice::loadtest

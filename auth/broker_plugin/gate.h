// Gate: what the broker's plugin decides, without the broker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/broker_plugin/device_roster.h"
#include "auth/broker_plugin/rules.h"
#include "auth/stamp.h"

namespace sluice {

// What the broker tells about a client. `username` is nullopt when it has none.
struct ClientFacts {
  bool has_certificate = false;
  std::optional<std::string_view> common_name = {};  // see SoleCommonName; only with a certificate
  Sha256Digest fingerprint = {};                     // the certificate's; only with one
  std::optional<std::string_view> username = {};
};

// Who a client is, once that is proven: what its messages' stamps say. A view into ClientFacts.
using Principal = StampClaim;

enum class LoginVerdict {
  kAccept,
  kRefuse,
  kTryLater,         // nothing is known yet; the answer is being fetched
  kAskPasswordFile,  // a service: its password is the broker's matter
};

// One thread at a time: the broker's. Times are monotonic microseconds.
class Gate {
 public:
  // Without a roster no device logs in with a token, and nothing is known of certificates but what
  // TLS checked. `roster` must outlive the gate.
  Gate(Rules rules, StampKeys keys, DeviceRoster* roster)
      : rules_(std::move(rules)), keys_(std::move(keys)), roster_(roster) {}
  void Replace(Rules rules, StampKeys keys);

  LoginVerdict Login(const ClientFacts& client, std::optional<std::string_view> password,
                     int64_t now);

  // Nothing for a client that is not let in: a certificate whose name is no device's or not the
  // user's, a user that no rule knows, no user. A listener that takes the user's name from
  // certificates asks no plugin at login, so everything a client does begins here.
  std::optional<Principal> WhoIs(const ClientFacts& client) const;
  // False: the registry does not let this device go on; disconnect it.
  bool SessionStands(const Principal& principal, int64_t now);

  bool May(const Principal& principal, Access access, std::string_view topic) const;
  // The value of the message's stamp; nothing when there is none to give.
  std::optional<std::string> Stamp(const Principal& principal, std::string_view topic,
                                   std::string_view payload) const;

 private:
  Rules rules_;
  StampKeys keys_;
  DeviceRoster* const roster_;
};

}  // namespace sluice

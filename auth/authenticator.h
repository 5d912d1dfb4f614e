// Check 14: was this message proven to come from the device it names?
#pragma once

#include <optional>

#include "auth/credential_store.h"
#include "schema/reason.h"

namespace sluice {

enum class IdentityMode {
  kTopic,  // the topic is believed: what the old service did, for brokers without the plugin
  kStamp,  // the broker plugin's stamp is the proof
};

struct AuthPolicy {
  bool require_token = true;  // REQUIRE_TOKEN
  bool certificates = false;  // CERT_AUTH_ENABLED
  IdentityMode identity = IdentityMode::kTopic;
};

// Nothing when authenticated, else the reason. `token` is the digest of the payload's token, if it
// had one; `received` is when the message arrived: a certificate must have been valid then.
//
// An ACTIVE, unexpired certificate is enough. Where only the topic says who is speaking
// (IdentityMode::kTopic), a wrong token beside it speaks against it and wins.
std::optional<Reason> Authenticate(const AuthPolicy& policy, const DeviceRecord& device,
                                   const std::optional<Sha256Digest>& token, UnixMicros received);

}  // namespace sluice

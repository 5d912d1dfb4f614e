// Check 14: was this message proven to come from the device it names?
#pragma once

#include <optional>

#include "auth/credential_store.h"
#include "auth/stamp.h"
#include "schema/reason.h"

namespace sluice {

enum class IdentityMode {
  kTopic,  // the topic is believed: what the old service did, for brokers without the plugin
  kStamp,  // the stamp of the broker's plugin says who speaks
};

struct AuthPolicy {
  bool require_token = true;  // REQUIRE_TOKEN
  bool certificates = false;  // CERT_AUTH_ENABLED
  IdentityMode identity = IdentityMode::kTopic;
};

// Nothing when authenticated, else the reason. `token` is the digest of the payload's token, if it
// had one; `stamped` is what the broker's plugin knows of the sender, nothing where only the topic
// says who speaks; `received` is when the message arrived: a certificate must have been valid then.
//
// An ACTIVE, unexpired certificate is enough: the one that the stamp names, none if it names
// another proof, or any where only the topic says who is speaking. There a wrong token beside it
// speaks against it and wins.
// A login with the token counts as the token; a wrong one in the payload wins over it.
std::optional<Reason> Authenticate(const AuthPolicy& policy, const DeviceRecord& device,
                                   const std::optional<Sha256Digest>& token,
                                   const std::optional<StampClaim>& stamped, UnixMicros received);

}  // namespace sluice

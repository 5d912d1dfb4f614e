#include "auth/authenticator.h"

namespace sluice {
namespace {

bool TokenIsWrong(const DeviceRecord& device, const std::optional<Sha256Digest>& token) {
  return token && device.token_hash && !DigestsEqual(*token, *device.token_hash);
}

std::optional<Reason> CheckToken(const DeviceRecord& device,
                                 const std::optional<Sha256Digest>& token) {
  if (!device.token_hash) return Reason::kTokenNotSet;
  if (!token) return Reason::kTokenMissing;
  if (TokenIsWrong(device, token)) return Reason::kTokenInvalid;
  return std::nullopt;
}

}  // namespace

std::optional<Reason> Authenticate(const AuthPolicy& policy, const DeviceRecord& device,
                                   const std::optional<Sha256Digest>& token, UnixMicros received) {
  const bool certified = policy.certificates && device.certificate_until > received;
  if (certified) {
    if (policy.identity == IdentityMode::kTopic && TokenIsWrong(device, token)) {
      return Reason::kTokenInvalid;
    }
    return std::nullopt;
  }
  if (policy.require_token) return CheckToken(device, token);
  if (!policy.certificates) return std::nullopt;
  if (token && device.token_hash) return CheckToken(device, token);
  return device.has_certificate ? Reason::kCertNotActive : Reason::kAuthFailed;
}

}  // namespace sluice

#include "auth/authenticator.h"

namespace sluice {
namespace {

bool TokenIsWrong(const DeviceRecord& device, const std::optional<Sha256Digest>& token) {
  return token && device.token_hash && !DigestsEqual(*token, *device.token_hash);
}

// `logged_in`: the broker's plugin has seen the right token at login.
std::optional<Reason> CheckToken(const DeviceRecord& device,
                                 const std::optional<Sha256Digest>& token, bool logged_in) {
  if (!device.token_hash) return Reason::kTokenNotSet;
  if (!token && !logged_in) return Reason::kTokenMissing;
  if (TokenIsWrong(device, token)) return Reason::kTokenInvalid;
  return std::nullopt;
}

}  // namespace

std::optional<Reason> Authenticate(const AuthPolicy& policy, const DeviceRecord& device,
                                   const std::optional<Sha256Digest>& token,
                                   std::optional<StampMethod> stamped, UnixMicros received) {
  const bool logged_in = stamped == StampMethod::kToken;
  if (policy.certificates && !logged_in && device.certificate_until > received) {
    if (!stamped && TokenIsWrong(device, token)) return Reason::kTokenInvalid;
    return std::nullopt;
  }
  if (policy.require_token) return CheckToken(device, token, logged_in);
  if (!policy.certificates) return std::nullopt;
  if ((token || logged_in) && device.token_hash) return CheckToken(device, token, logged_in);
  return device.has_certificate ? Reason::kCertNotActive : Reason::kAuthFailed;
}

}  // namespace sluice

#include "auth/authenticator.h"

#include <algorithm>

namespace sluice {
namespace {

bool TokenIsWrong(const DeviceRecord& device, const std::optional<Sha256Digest>& token) {
  return token && device.token_hash && !DigestsEqual(*token, *device.token_hash);
}

bool HasCertificate(const DeviceRecord& device, const std::optional<StampClaim>& stamped,
                    UnixMicros received) {
  if (stamped && stamped->method != StampMethod::kCert) return false;
  return std::any_of(device.certificates.begin(), device.certificates.end(),
                     [&](const DeviceRecord::Certificate& certificate) {
                       return certificate.until > received &&
                              (!stamped || stamped->certificate == certificate.fingerprint);
                     });
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
                                   const std::optional<StampClaim>& stamped, UnixMicros received) {
  const bool logged_in = stamped && stamped->method == StampMethod::kToken;
  if (policy.certificates && HasCertificate(device, stamped, received)) {
    if (!stamped && TokenIsWrong(device, token)) return Reason::kTokenInvalid;
    return std::nullopt;
  }
  if (policy.require_token) return CheckToken(device, token, logged_in);
  if (!policy.certificates) return std::nullopt;
  if ((token || logged_in) && device.token_hash) return CheckToken(device, token, logged_in);
  return device.has_certificate ? Reason::kCertNotActive : Reason::kAuthFailed;
}

}  // namespace sluice

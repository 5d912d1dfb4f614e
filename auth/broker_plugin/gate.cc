#include "auth/broker_plugin/gate.h"

#include <utility>

#include "auth/identity.h"

namespace sluice {

using Verdict = DeviceRoster::Verdict;

void Gate::Replace(Rules rules, StampKeys keys) {
  rules_ = std::move(rules);
  keys_ = std::move(keys);
}

LoginVerdict Gate::Login(const ClientFacts& client, std::optional<std::string_view> password,
                         int64_t now) {
  const auto principal = WhoIs(client);
  if (!principal) return LoginVerdict::kRefuse;
  switch (principal->method) {
    case StampMethod::kAccount:
      return LoginVerdict::kAskPasswordFile;
    case StampMethod::kCert:
      return SessionStands(*principal, now) ? LoginVerdict::kAccept : LoginVerdict::kRefuse;
    case StampMethod::kToken:
      break;
  }
  if (roster_ == nullptr || !password || password->empty()) return LoginVerdict::kRefuse;
  switch (roster_->JudgeToken(principal->identity, *password, now)) {
    case Verdict::kGood:
      return LoginVerdict::kAccept;
    case Verdict::kUnknown:
      return LoginVerdict::kTryLater;
    case Verdict::kBad:
      break;
  }
  return LoginVerdict::kRefuse;
}

std::optional<Principal> Gate::WhoIs(const ClientFacts& client) const {
  if (!client.username) return std::nullopt;
  const std::string_view name = *client.username;
  if (client.has_certificate) {
    if (client.common_name != name || !ParseDeviceIdentity(name)) return std::nullopt;
    return Principal{StampMethod::kCert, name, client.fingerprint};
  }
  if (ParseDeviceIdentity(name)) return Principal{StampMethod::kToken, name};
  if (rules_.HasAccount(name)) return Principal{StampMethod::kAccount, name};
  return std::nullopt;
}

bool Gate::SessionStands(const Principal& principal, int64_t now) {
  if (roster_ == nullptr || principal.method == StampMethod::kAccount) return true;
  std::optional<Sha256Digest> certificate;
  if (principal.method == StampMethod::kCert) certificate = principal.certificate;
  return roster_->JudgeSession(principal.identity, certificate, now) != Verdict::kBad;
}

bool Gate::May(const Principal& principal, Access access, std::string_view topic) const {
  if (principal.method == StampMethod::kAccount) {
    return rules_.AccountMay(access, principal.identity, topic);
  }
  const auto device = ParseDeviceIdentity(principal.identity);
  return device && rules_.DeviceMay(access, *device, topic);
}

std::optional<std::string> Gate::Stamp(const Principal& principal, std::string_view topic,
                                       std::string_view payload) const {
  return keys_.Sign(principal, topic, payload);
}

}  // namespace sluice

// The fleet that register writes into the registry and fleet plays: who exists, and what can be
// wrong with a message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice::loadtest {

// How the fleet proves who it is.
enum class Proof {
  kPayload,  // each message carries its device's token; connections say nothing about the sender
  kLogin,    // each device has a connection of its own, which knows it; messages carry no token
};

// What a message is like. Every kind but kGood has one fault and is otherwise good.
enum class Kind : uint8_t {
  kGood,
  kWrongToken,
  kNoToken,
  kWrongSite,
  kUnknownDevice,
  kTenantMismatch,
  kMissingSite,
  kBadJson,
  kTooManyMetrics,
  kAncientTime,
  kBadTopic,
  kOversized,
  kRevokedDevice,
  kSuspendedSubscription,
  kImpostor,  // a service speaks in the device's name
};
inline constexpr size_t kKindCount = static_cast<size_t>(Kind::kImpostor) + 1;

// E.g. "wrong_token".
std::string_view KindName(Kind kind);
// Names separated by commas, of bad kinds only; "all" or "" mean all or none of those that are bad
// with that proof: a message without token is good where the login was the proof, an impostor can
// only be told where there is one.
Result<std::vector<Kind>> ParseBadKinds(std::string_view list, Proof proof);
// True for messages that a device's own login could not send: the broker refuses it, or them.
bool NeedsService(Kind kind);

struct FleetShape {
  int tenants = 5;
  int devices = 200;  // of all tenants together; device i belongs to tenant i mod tenants
  std::string token_prefix = "tok";
};

// Somebody a message may come from.
struct Sender {
  std::string tenant;
  std::string device;
  std::string site;
  bool may_log_in = true;
};

// shape.devices good senders first; then for each tenant one revoked, one with a suspended
// subscription and one that the registry does not know.
std::vector<Sender> Senders(const FleetShape& shape);
// The sender of a message of `kind` when it is the turn of the good sender `turn`.
uint32_t SenderOf(const FleetShape& shape, Kind kind, uint32_t turn);

// What the device knows: {prefix}-{tenant}-{device}.
std::string TokenOf(const FleetShape& shape, const Sender& sender);

// SQL that puts the shape's subscriptions and devices into the registry; rows that exist stay as
// they are.
std::string RegisterSql(const FleetShape& shape);

}  // namespace sluice::loadtest

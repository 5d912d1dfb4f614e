// CredentialStore: the seam between the checks and the registry in PostgreSQL.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "auth/digest.h"
#include "base/clock.h"
#include "base/postgres.h"
#include "schema/device_key.h"

namespace sluice {

enum class Subscription {
  kOpen,  // none, unknown, or in any state but the two below (ACTIVE, TRIAL, GRACE …)
  kSuspended,
  kExpired,
};

// What the registry says about one device; immutable once made and shared between threads.
struct DeviceRecord {
  std::string site_id;
  bool active = false;  // status is exactly ACTIVE
  Subscription subscription = Subscription::kOpen;
  std::optional<Sha256Digest> token_hash;
  bool has_certificate = false;  // of any status
  struct Certificate {
    Sha256Digest fingerprint;  // zeros, which no certificate has, when the table's text is none
    UnixMicros until;          // not_after
  };
  std::vector<Certificate> certificates;  // those that are ACTIVE and have begun
  bool location_follows_device = false;   // location_source is NULL or 'auto'
  std::optional<double> latitude;
  std::optional<double> longitude;
};
// Null: the registry has no such device.
using DeviceRef = std::shared_ptr<const DeviceRecord>;

enum class Provisioned {
  kRegistered,  // now in the registry, added by this call or by somebody else meanwhile
  kNoCapacity,  // no ACTIVE MAIN subscription of the tenant has room
};

// One thread at a time. An error is never an answer: the caller keeps the messages and asks again.
class CredentialStore {
 public:
  virtual ~CredentialStore() = default;
  // One query for all keys; the answer has one entry a key, in order.
  virtual PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) = 0;
  // AUTO_PROVISION: adds the device at that site without a token, if a subscription has room. An
  // error of class 22, 23, 54 or P0 means that the tables refuse this device, and would again.
  virtual PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site_id) = 0;
};

}  // namespace sluice

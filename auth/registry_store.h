// RegistryStore: the CredentialStore on the tables of the old service.
#pragma once

#include <optional>
#include <string>

#include "auth/credential_store.h"
#include "base/pg_session.h"

namespace sluice {

// What a device's subscription says about itself, for people.
struct SubscriptionSeen {
  std::string id;
  bool exists = false;  // else the registry names one that is not there
  std::string type = {};
  std::string status = {};
};

class RegistryStore final : public CredentialStore {
 public:
  // `session` must outlive the store and may be used by others of the same thread.
  explicit RegistryStore(PgSession& session) : session_(session) {}

  PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) override;
  PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site_id) override;
  // Nothing: the registry names none, or has no such device.
  PgResult<std::optional<SubscriptionSeen>> SubscriptionOf(DeviceKeyView key);
  // Whether Provision would find room now. Changes nothing.
  PgResult<bool> HasRoom(std::string_view tenant);

 private:
  PgSession& session_;
};

}  // namespace sluice

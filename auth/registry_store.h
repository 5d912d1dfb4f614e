// RegistryStore: the CredentialStore on the tables of the old service.
#pragma once

#include "auth/credential_store.h"
#include "base/pg_session.h"

namespace sluice {

class RegistryStore final : public CredentialStore {
 public:
  // `session` must outlive the store and may be used by others of the same thread.
  explicit RegistryStore(PgSession& session) : session_(session) {}

  PgResult<std::vector<DeviceRef>> Lookup(std::span<const DeviceKeyView> keys) override;
  PgResult<Provisioned> Provision(DeviceKeyView key, std::string_view site_id) override;
  // Whether Provision would find room now. Changes nothing.
  PgResult<bool> HasRoom(std::string_view tenant);

 private:
  PgSession& session_;
};

}  // namespace sluice

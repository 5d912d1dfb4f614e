// RegistryChanges: what the daemon does when PostgreSQL says that something has changed.
#pragma once

#include <string>

#include "auth/device_directory.h"
#include "cache/change_listener.h"
#include "ingest/database_health.h"
#include "ingest/housekeeper.h"

namespace sluice {

class RegistryChanges final : public ChangeEvents {
 public:
  // All must outlive it. Until Hearing is called the directory is told that nobody listens.
  RegistryChanges(DeviceDirectory& directory, Housekeeper& housekeeper, DatabaseHealth& health)
      : directory_(directory), housekeeper_(housekeeper), health_(health) {
    directory_.SetHearing(false);
  }

  void DeviceChanged(DeviceKeyView key) override { directory_.Forget(key); }
  void DevicesChanged() override { directory_.ForgetAll(); }
  void SettingsChanged() override { housekeeper_.ReadAppSettingsSoon(); }
  void Hearing() override {
    directory_.SetHearing(true);
    housekeeper_.ReadAppSettingsSoon();
    health_.SetConcern(Concern::kChangesUnheard, "");
  }
  void Deaf(const std::string& why) override {
    directory_.SetHearing(false);
    health_.SetConcern(Concern::kChangesUnheard,
                       "changes of the registry are not heard: " + why +
                           "; until they are, devices are looked up again every half second");
  }

 private:
  DeviceDirectory& directory_;
  Housekeeper& housekeeper_;
  DatabaseHealth& health_;
};

}  // namespace sluice

// What must hold between settings that are each right by themselves, and in the files they name.
#pragma once

#include <string>
#include <vector>

#include "ingest/settings.h"

namespace sluice {

struct SettingRule {
  std::vector<std::string> settings;  // named in the message, with their values
  std::string sentence;
  bool (*holds)(const Settings&);
};
const std::vector<SettingRule>& SettingRules();

// Both add a sentence to *errors for each thing that is wrong. `values` are where `settings` come
// from. CheckFiles takes MQTT_CA_CERT back when it is the default and there is no such file.
void CheckFiles(const std::vector<SettingValue>& values, Settings* settings,
                std::vector<SettingError>* errors);
void CheckRules(const std::vector<SettingValue>& values, const Settings& settings,
                std::vector<SettingError>* errors);

}  // namespace sluice

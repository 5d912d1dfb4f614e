// What is made of the table of settings for people to read.
#pragma once

#include <string>

namespace sluice {

// docs/configuration.md.
std::string RenderConfigurationPage();

// sluice.env(5). `source` is at the page's foot: "sluice 0.1.0".
std::string RenderSettingsManualPage(const std::string& source);

// /etc/sluice/sluice.env as the package brings it: every setting, none of them set.
std::string RenderEnvironmentFile();

}  // namespace sluice

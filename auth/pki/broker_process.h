// The broker as a process of this machine.
#pragma once

#include <string>

#include "base/status.h"

namespace sluice {

// Sends SIGHUP, at which Mosquitto reads its certificates and revocation list again, to the process
// whose number the file holds. Refused unless that process lives and is a mosquitto, so that a file
// left over from a crash harms nobody. Connections that exist are not looked at again by the
// broker.
Status TellBrokerToReload(const std::string& pid_file);

}  // namespace sluice

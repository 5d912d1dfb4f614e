// What each part of the daemon is told of the settings.
#pragma once

#include "auth/device_directory.h"
#include "cache/change_listener.h"
#include "ingest/mqtt_client.h"
#include "ingest/pipeline.h"
#include "ingest/settings.h"
#include "ingest/spool/spool.h"
#include "ingest/subscriber.h"
#include "ingest/worker.h"

namespace sluice {

SpoolOptions SpoolOptionsFrom(const Settings& s);
MqttOptions MqttOptionsFrom(const Settings& s);  // holds the password
// `session_expected`: this spool has been fed by the broker and did not leave it for good.
SubscriberOptions SubscriberOptionsFrom(const Settings& s, bool session_expected);
PipelineOptions PipelineOptionsFrom(const Settings& s);
WorkerOptions WorkerOptionsFrom(const Settings& s);
DirectoryOptions DirectoryOptionsFrom(const Settings& s);
ChangeListenerOptions ChangeListenerOptionsFrom(const Settings& s);  // holds passwords

}  // namespace sluice

#include "ingest/part_options.h"

namespace sluice {

SpoolOptions SpoolOptionsFrom(const Settings& s) {
  return {.directory = s.spool_dir,
          .max_bytes = s.spool_max_bytes,
          .segment_bytes = s.spool_segment_bytes,
          .sync = s.spool_sync,
          .sync_interval = s.spool_sync_interval,
          .redelivery_window = static_cast<uint64_t>(s.spool_redelivery_window),
          .live_first_after = s.live_first_after};
}

MqttOptions MqttOptionsFrom(const Settings& s) {
  MqttOptions options;
  options.host = s.mqtt_host;
  options.port = s.mqtt_port;
  options.client_id = s.mqtt_client_id;
  options.username = s.mqtt_username;
  options.password = s.mqtt_password;
  options.tls = !s.mqtt_ca_cert.empty();
  options.ca_file = s.mqtt_ca_cert;
  options.client_cert = s.mqtt_client_cert;
  options.client_key = s.mqtt_client_key;
  options.tls_insecure = s.mqtt_tls_insecure;
  options.keep_alive = std::chrono::duration_cast<std::chrono::seconds>(s.mqtt_keepalive);
  options.session_expiry = std::chrono::duration_cast<std::chrono::seconds>(s.mqtt_session_expiry);
  options.receive_maximum = static_cast<uint16_t>(s.mqtt_receive_maximum);
  options.read_interval = s.mqtt_read_interval;
  return options;
}

PipelineOptions PipelineOptionsFrom(const Settings& s) {
  return {.decode = {.ts_max_age_us = std::chrono::microseconds(s.ts_max_age).count(),
                     .ts_max_ahead_us = std::chrono::microseconds(s.ts_max_ahead).count()},
          .auth = {.require_token = s.require_token,
                   .certificates = s.cert_auth_enabled,
                   .identity = s.identity_mode},
          .auto_provision = s.auto_provision,
          .kept_payload_bytes = s.quarantine_payload_max_bytes};
}

WorkerOptions WorkerOptionsFrom(const Settings& s) {
  return {.batch_size = static_cast<size_t>(s.batch_size),
          .chunk_max_bytes = s.chunk_max_bytes,
          .flush_interval = s.flush_interval,
          .retry_min = s.retry_min,
          .retry_max = s.retry_max};
}

DirectoryOptions DirectoryOptionsFrom(const Settings& s) {
  return {.max_devices = static_cast<size_t>(s.auth_cache_max_size),
          .ttl_us = std::chrono::microseconds(s.auth_cache_ttl).count(),
          .negative_ttl_us = std::chrono::microseconds(s.auth_cache_negative_ttl).count()};
}

ChangeListenerOptions ChangeListenerOptionsFrom(const Settings& s) {
  return {.conninfo = s.ListenConninfo(),
          .sender_conninfo = s.Conninfo(),
          .connect_timeout = s.pg_connect_timeout,
          .heartbeat = s.listen_heartbeat,
          .retry_min = s.retry_min,
          .retry_max = s.retry_max};
}

SubscriberOptions SubscriberOptionsFrom(const Settings& s, bool session_expected) {
  return {.filters = SharedFilters(s.mqtt_topic, s.mqtt_shared_group),
          .reconnect_min = s.mqtt_reconnect_min,
          .reconnect_max = s.mqtt_reconnect_max,
          .session_expected = session_expected};
}

}  // namespace sluice

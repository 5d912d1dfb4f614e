-- A database of the Python ingest service that Sluice replaces, with data: its roles, its tables
-- without partitions, its four telemetry indexes, its row level security by app.tenant_id.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['iot', 'pulse_app', 'pulse_operator', 'service_pulse'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', wanted);
    END IF;
  END LOOP;
  ALTER ROLE iot CREATEROLE;
  ALTER ROLE pulse_app LOGIN;
  ALTER ROLE pulse_operator LOGIN;
  EXECUTE format('ALTER DATABASE %I OWNER TO iot', current_database());
END
$$;
SET SESSION AUTHORIZATION iot;

CREATE TABLE subscriptions (
  subscription_id     text PRIMARY KEY,
  tenant_id           text NOT NULL,
  status              text NOT NULL DEFAULT 'ACTIVE',
  subscription_type   text NOT NULL DEFAULT 'MAIN',
  device_limit        integer NOT NULL DEFAULT 50,
  active_device_count integer NOT NULL DEFAULT 0,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE device_registry (
  tenant_id            text NOT NULL,
  device_id            text NOT NULL,
  site_id              text NOT NULL,
  status               text NOT NULL DEFAULT 'ACTIVE',
  provision_token      text,
  provision_token_hash text,
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now(),
  metadata             jsonb NOT NULL DEFAULT '{}',
  subscription_id      text REFERENCES subscriptions,
  latitude             double precision,
  longitude            double precision,
  location_source      text,
  PRIMARY KEY (tenant_id, device_id)
);
CREATE TABLE device_certificates (
  id                 bigserial PRIMARY KEY,
  tenant_id          text NOT NULL,
  device_id          text NOT NULL,
  cert_pem           text NOT NULL,
  fingerprint_sha256 text NOT NULL UNIQUE,
  common_name        text NOT NULL,
  issuer             text NOT NULL,
  serial_number      text NOT NULL,
  status             text NOT NULL DEFAULT 'ACTIVE'
                     CHECK (status IN ('ACTIVE', 'REVOKED', 'EXPIRED')),
  not_before         timestamptz NOT NULL,
  not_after          timestamptz NOT NULL,
  revoked_at         timestamptz,
  revoked_reason     text,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (tenant_id, device_id) REFERENCES device_registry ON DELETE CASCADE
);
CREATE INDEX idx_device_certificates_device ON device_certificates (tenant_id, device_id);

CREATE TABLE telemetry (
  time      timestamptz NOT NULL,
  tenant_id text NOT NULL,
  device_id text NOT NULL,
  site_id   text NOT NULL,
  msg_type  text NOT NULL DEFAULT 'telemetry',
  seq       bigint NOT NULL DEFAULT 0,
  metrics   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX telemetry_time_idx ON telemetry (time DESC);
CREATE INDEX idx_telemetry_tenant_time ON telemetry (tenant_id, time DESC);
CREATE INDEX idx_telemetry_tenant_device_time ON telemetry (tenant_id, device_id, time DESC);
CREATE INDEX idx_telemetry_tenant_msgtype_time ON telemetry (tenant_id, msg_type, time DESC);

CREATE TABLE quarantine_events (
  id               bigserial PRIMARY KEY,
  ingested_at      timestamptz NOT NULL DEFAULT now(),
  event_ts         timestamptz,
  topic            text NOT NULL,
  tenant_id        text,
  site_id          text,
  device_id        text,
  msg_type         text,
  reason           text NOT NULL,
  payload          jsonb NOT NULL,
  envelope_version text NOT NULL DEFAULT '1'
);
CREATE INDEX quarantine_events_ingested_idx ON quarantine_events (ingested_at DESC);
CREATE TABLE quarantine_counters_minute (
  bucket_minute timestamptz NOT NULL,
  tenant_id     text NOT NULL,
  reason        text NOT NULL,
  cnt           bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (bucket_minute, tenant_id, reason)
);
CREATE TABLE app_settings (
  key        text PRIMARY KEY,
  value      text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE device_state (
  tenant_id            text NOT NULL,
  site_id              text NOT NULL,
  device_id            text NOT NULL,
  status               text NOT NULL,
  last_heartbeat_at    timestamptz,
  last_telemetry_at    timestamptz,
  last_seen_at         timestamptz,
  last_state_change_at timestamptz NOT NULL DEFAULT now(),
  state                jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, device_id)
);

-- Tenants see their own, operators all; the service was the owner and is not asked.
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['telemetry', 'quarantine_events', 'quarantine_counters_minute',
                              'device_registry', 'device_certificates', 'subscriptions',
                              'device_state'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY %I ON %I TO pulse_app'
                   ' USING (tenant_id = current_setting(''app.tenant_id'', true))',
                   name || '_tenant_isolation', name);
    EXECUTE format('CREATE POLICY %I ON %I FOR SELECT TO pulse_operator USING (true)',
                   name || '_operator_read', name);
    EXECUTE format('GRANT SELECT ON %I TO pulse_app, pulse_operator', name);
  END LOOP;
END
$$;

INSERT INTO subscriptions (subscription_id, tenant_id, device_limit, active_device_count)
VALUES ('SUB-ORCHARD', 'orchard', 10, 2), ('SUB-HARBOUR', 'harbour', 5, 1);
INSERT INTO device_registry (tenant_id, device_id, site_id, provision_token_hash, subscription_id)
VALUES ('orchard', 'probe-1', 'north', encode(sha256('tok-1'), 'hex'), 'SUB-ORCHARD'),
       ('orchard', 'probe-2', 'south', encode(sha256('tok-2'), 'hex'), 'SUB-ORCHARD'),
       ('harbour', 'crane-1', 'quay', encode(sha256('tok-3'), 'hex'), 'SUB-HARBOUR');
INSERT INTO device_certificates (tenant_id, device_id, cert_pem, fingerprint_sha256, common_name,
                                 issuer, serial_number, not_before, not_after)
VALUES ('orchard', 'probe-1', 'PEM', 'aa11', 'orchard/probe-1', 'Fleet CA', '0a',
        '2026-01-01', '2036-01-01');
INSERT INTO telemetry (time, tenant_id, device_id, site_id, seq, metrics)
SELECT timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute', d.tenant_id, d.device_id,
       d.site_id, n, jsonb_build_object('heat', n % 40)
  FROM generate_series(1, 2000) n, device_registry d;
INSERT INTO quarantine_events (topic, tenant_id, site_id, device_id, msg_type, reason, payload)
SELECT 'tenant/orchard/device/probe-9/telemetry', CASE n % 2 WHEN 0 THEN 'orchard' ELSE 'harbour' END,
       'north', 'probe-9', 'telemetry', 'UNREGISTERED_DEVICE', jsonb_build_object('seq', n)
  FROM generate_series(1, 50) n;
INSERT INTO quarantine_counters_minute
VALUES ('2026-01-01 00:00:00+00', 'orchard', 'UNREGISTERED_DEVICE', 25);
INSERT INTO app_settings (key, value)
VALUES ('MODE', 'DEV'), ('STORE_REJECTS', '1'), ('MIRROR_REJECTS_TO_RAW', '0'),
       ('MAX_PAYLOAD_BYTES', '16384'), ('RATE_LIMIT_RPS', '10'), ('RATE_LIMIT_BURST', '50');
INSERT INTO device_state (tenant_id, site_id, device_id, status)
VALUES ('orchard', 'north', 'probe-1', 'ONLINE');

RESET SESSION AUTHORIZATION;

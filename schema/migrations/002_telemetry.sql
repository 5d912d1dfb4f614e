-- An existing telemetry table, plain or hypertable, stays what it is: one nullable column is added,
-- which rewrites nothing. A new one is partitioned by day, or a hypertable where TimescaleDB is
-- installed. No foreign key: parallel COPYs would lock one another's registry rows.
DO $$
DECLARE
  -- The extension's schema, null where it is not installed.
  timescaledb constant text := (SELECT extnamespace::regnamespace FROM pg_extension
                                 WHERE extname = 'timescaledb');
BEGIN
  IF to_regclass('public.telemetry') IS NOT NULL THEN
    ALTER TABLE public.telemetry ADD COLUMN IF NOT EXISTS received_at timestamptz;
    RETURN;
  END IF;

  EXECUTE 'CREATE TABLE public.telemetry (
      time        timestamptz NOT NULL,
      tenant_id   text NOT NULL,
      device_id   text NOT NULL,
      site_id     text NOT NULL,
      msg_type    text NOT NULL DEFAULT ''telemetry'',
      seq         bigint NOT NULL DEFAULT 0,
      metrics     jsonb NOT NULL DEFAULT ''{}'',
      received_at timestamptz
    )' || CASE WHEN timescaledb IS NULL THEN ' PARTITION BY RANGE (time)' ELSE '' END;
  ALTER TABLE public.telemetry ENABLE ROW LEVEL SECURITY;

  IF timescaledb IS NULL THEN
    CREATE TABLE public.telemetry_default PARTITION OF public.telemetry DEFAULT;
  ELSE
    EXECUTE 'SELECT ' || timescaledb || '.create_hypertable(''public.telemetry'', ''time'',
        chunk_time_interval => interval ''1 day'', create_default_indexes => false)';
  END IF;
END
$$;

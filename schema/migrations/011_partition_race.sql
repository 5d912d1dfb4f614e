-- Two sessions that make the same day's partition at once: the slower one may also hear that the table's
-- row type is there already, which it took for a refusal.

CREATE OR REPLACE FUNCTION public.sluice_ensure_partition(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
SET client_min_messages = warning
AS $$
DECLARE
  partition text;
  partition_oid regclass;
BEGIN
  IF day IS NULL OR day NOT BETWEEN date '1970-01-01' AND date '9999-12-30' THEN
    RETURN false;
  END IF;
  partition := 'telemetry_p' || to_char(day, 'YYYYMMDD');

  partition_oid := to_regclass('public.' || partition);
  IF partition_oid IS NOT NULL THEN
    RETURN EXISTS (SELECT FROM pg_inherits
                    WHERE inhrelid = partition_oid AND inhparent = 'public.telemetry'::regclass);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_partitioned_table
                  WHERE partrelid = 'public.telemetry'::regclass) THEN
    RETURN false;
  END IF;

  EXECUTE format('CREATE TABLE public.%I (LIKE public.telemetry INCLUDING DEFAULTS'
                 ' INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)', partition);
  EXECUTE format('ALTER TABLE public.telemetry ATTACH PARTITION public.%I'
                 ' FOR VALUES FROM (%L) TO (%L)', partition,
                 day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
  RETURN true;
EXCEPTION
  WHEN unique_violation OR duplicate_table OR duplicate_object THEN  -- another session was quicker
    RETURN EXISTS (SELECT FROM pg_inherits
                    WHERE inhrelid = to_regclass('public.' || partition)
                      AND inhparent = 'public.telemetry'::regclass);
  WHEN check_violation OR invalid_object_definition OR lock_not_available
       OR deadlock_detected THEN
    RETURN false;
END
$$;

-- Days are days of UTC. Both functions run with the rights of the role that migrated, so that the
-- daemon needs none to create or drop tables; every name in them is qualified.

-- True when that day has a partition of its own after the call. False, and nothing done, when
-- telemetry is not partitioned, when rows of that day already sit in the default partition, or when
-- a lock is not to be had soon: such rows go to the default partition, where queries find them too.
-- ATTACH instead of PARTITION OF, because it lets COPYs into other partitions go on.
CREATE FUNCTION public.sluice_ensure_partition(day date) RETURNS boolean
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
  WHEN unique_violation OR duplicate_table THEN  -- another session was quicker
    RETURN EXISTS (SELECT FROM pg_inherits
                    WHERE inhrelid = to_regclass('public.' || partition)
                      AND inhparent = 'public.telemetry'::regclass);
  WHEN check_violation OR invalid_object_definition OR lock_not_available
       OR deadlock_detected THEN
    RETURN false;
END
$$;

-- Drops what is wholly before `day`, never today's rows or the default partition, and returns how
-- many partitions (or chunks) went. A plain table loses nothing. 0 when readers hold the lock for
-- long: call again later.
CREATE FUNCTION public.sluice_drop_partitions_before(day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
AS $$
DECLARE
  cutoff constant timestamptz := least(day, current_date)::timestamptz;
  is_hypertable boolean := false;
  timescaledb text;
  expired record;
  dropped integer := 0;
BEGIN
  IF day IS NULL THEN
    RETURN 0;
  END IF;

  SELECT extnamespace::regnamespace INTO timescaledb FROM pg_extension
   WHERE extname = 'timescaledb';
  IF timescaledb IS NOT NULL THEN
    EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.hypertables'
            ' WHERE hypertable_schema = ''public'' AND hypertable_name = ''telemetry'')'
       INTO is_hypertable;
  END IF;
  IF is_hypertable THEN
    EXECUTE format('SELECT count(*) FROM %s.drop_chunks(''public.telemetry''::regclass,'
                   ' older_than => $1)', timescaledb) INTO dropped USING cutoff;
    RETURN dropped;
  END IF;

  FOR expired IN
    SELECT b.relation, b.upper_bound
      FROM (SELECT c.oid::regclass AS relation,
                   substring(pg_get_expr(c.relpartbound, c.oid)
                             FROM 'TO \(''([^'']+)''\)')::timestamptz AS upper_bound
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'public.telemetry'::regclass AND c.relispartition) b
     WHERE b.upper_bound <= cutoff
     ORDER BY b.upper_bound
  LOOP
    EXECUTE format('DROP TABLE %s', expired.relation);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
EXCEPTION
  WHEN lock_not_available OR deadlock_detected THEN
    RETURN 0;
END
$$;

REVOKE ALL ON FUNCTION public.sluice_ensure_partition(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_drop_partitions_before(date) FROM PUBLIC;

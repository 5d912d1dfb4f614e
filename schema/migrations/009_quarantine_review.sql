-- What an operator does with the quarantine: review it, replay or discard messages, let the rest
-- expire. docs/schema.md has the columns, docs/operations.md the day's work.

ALTER TABLE public.quarantine_events
  ADD COLUMN IF NOT EXISTS identity_proof text,
  ADD COLUMN IF NOT EXISTS first_reason   text,
  ADD COLUMN IF NOT EXISTS replayed_by    text;

ALTER TABLE public.quarantine_counters_minute
  ADD COLUMN IF NOT EXISTS withheld bigint NOT NULL DEFAULT 0;

-- Of what is NEW only: what was decided upon leaves them, and replaying does not write to them. The
-- one of migration 5 had every row.
DROP INDEX IF EXISTS public.quarantine_events_tenant_reason_idx;
CREATE INDEX quarantine_new_time_idx ON public.quarantine_events
  (ingested_at) WHERE replay_state = 'NEW';
CREATE INDEX quarantine_new_reason_idx ON public.quarantine_events
  (reason, ingested_at) WHERE replay_state = 'NEW';
CREATE INDEX quarantine_new_tenant_idx ON public.quarantine_events
  (tenant_id, ingested_at) WHERE replay_state = 'NEW';
CREATE INDEX quarantine_new_tenant_reason_idx ON public.quarantine_events
  (tenant_id, reason, ingested_at) WHERE replay_state = 'NEW';
CREATE INDEX quarantine_new_device_idx ON public.quarantine_events
  (tenant_id, device_id, ingested_at) WHERE replay_state = 'NEW';

-- The messages that are NEW, counted: no aggregate over millions of rows answers while somebody
-- waits. Kept by the triggers below, whoever writes. What has no tenant or device has '' here.
CREATE TABLE public.quarantine_open (
  tenant_id  text NOT NULL,
  device_id  text NOT NULL,
  reason     text NOT NULL,
  messages   bigint NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, device_id, reason)
) WITH (fillfactor = 70);
ALTER TABLE public.quarantine_open ENABLE ROW LEVEL SECURITY;

-- Runs with the rights of the role that migrated: whoever writes to the quarantine need not see the
-- counts. Rows are locked in one order, so that chunks side by side do not deadlock.
CREATE FUNCTION public.sluice_quarantine_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  changes public.quarantine_open[];
  counted record;
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      SELECT array_agg(ROW(d.*)::public.quarantine_open) INTO changes
        FROM (SELECT coalesce(tenant_id, ''), coalesce(device_id, ''), reason, count(*),
                     min(coalesce(received_at, ingested_at)),
                     max(coalesce(received_at, ingested_at))
                FROM new_rows WHERE replay_state = 'NEW' GROUP BY 1, 2, 3) AS d;
    WHEN 'DELETE' THEN
      SELECT array_agg(ROW(d.*)::public.quarantine_open) INTO changes
        FROM (SELECT coalesce(tenant_id, ''), coalesce(device_id, ''), reason, -count(*),
                     min(coalesce(received_at, ingested_at)),
                     max(coalesce(received_at, ingested_at))
                FROM old_rows WHERE replay_state = 'NEW' GROUP BY 1, 2, 3) AS d;
    WHEN 'UPDATE' THEN
      SELECT array_agg(ROW(d.*)::public.quarantine_open) INTO changes
        FROM (SELECT tenant, device, reason, sum(change)::bigint, min(seen), max(seen)
                FROM (SELECT coalesce(tenant_id, '') AS tenant, coalesce(device_id, '') AS device,
                             reason, -1 AS change, coalesce(received_at, ingested_at) AS seen
                        FROM old_rows WHERE replay_state = 'NEW'
                      UNION ALL
                      SELECT coalesce(tenant_id, ''), coalesce(device_id, ''),
                             reason, 1, coalesce(received_at, ingested_at)
                        FROM new_rows WHERE replay_state = 'NEW') AS both_sides
               GROUP BY tenant, device, reason HAVING sum(change) <> 0) AS d;
    WHEN 'TRUNCATE' THEN
      DELETE FROM public.quarantine_open;
  END CASE;
  IF changes IS NULL THEN
    RETURN NULL;
  END IF;

  FOR counted IN
    INSERT INTO public.quarantine_open AS o
    SELECT c.tenant_id, c.device_id, c.reason, c.messages, c.first_seen, c.last_seen
      FROM unnest(changes) AS c
     ORDER BY c.tenant_id COLLATE "C", c.device_id COLLATE "C", c.reason COLLATE "C"
    ON CONFLICT (tenant_id, device_id, reason) DO UPDATE
       SET messages = o.messages + excluded.messages,
           first_seen = least(o.first_seen, excluded.first_seen),
           last_seen = greatest(o.last_seen, excluded.last_seen)
    RETURNING o.tenant_id, o.device_id, o.reason, o.messages
  LOOP
    IF counted.messages <= 0 THEN
      DELETE FROM public.quarantine_open o
       WHERE o.tenant_id = counted.tenant_id AND o.device_id = counted.device_id
         AND o.reason = counted.reason;
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;

CREATE TRIGGER sluice_counted_insert AFTER INSERT ON public.quarantine_events
  REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION public.sluice_quarantine_changed();
CREATE TRIGGER sluice_counted_update AFTER UPDATE ON public.quarantine_events
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION public.sluice_quarantine_changed();
CREATE TRIGGER sluice_counted_delete AFTER DELETE ON public.quarantine_events
  REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION public.sluice_quarantine_changed();
CREATE TRIGGER sluice_counted_truncate AFTER TRUNCATE ON public.quarantine_events
  FOR EACH STATEMENT EXECUTE FUNCTION public.sluice_quarantine_changed();

-- Counts anew, after rows were changed past the triggers. Writers wait meanwhile.
CREATE FUNCTION public.sluice_recount_quarantine() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  LOCK TABLE public.quarantine_events IN SHARE MODE;
  DELETE FROM public.quarantine_open;
  INSERT INTO public.quarantine_open
  SELECT coalesce(tenant_id, ''), coalesce(device_id, ''), reason, count(*),
         min(coalesce(received_at, ingested_at)), max(coalesce(received_at, ingested_at))
    FROM public.quarantine_events WHERE replay_state = 'NEW' GROUP BY 1, 2, 3;
END
$$;
SELECT public.sluice_recount_quarantine();

-- Deletes what came before that time, whatever its state: at most so many messages a call, so that
-- no transaction is long, and the minutes' counts. Returns how many messages; call again while it
-- is at_most. Messages that a replay works on right now stay for the next call.
CREATE FUNCTION public.sluice_expire_quarantine(before timestamptz, at_most integer)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  deleted bigint;
BEGIN
  DELETE FROM public.quarantine_events
   WHERE id = ANY (ARRAY(SELECT e.id FROM public.quarantine_events e
                          WHERE e.ingested_at < before
                          ORDER BY e.ingested_at LIMIT at_most FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  DELETE FROM public.quarantine_counters_minute
   WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM public.quarantine_counters_minute c
                            WHERE c.bucket_minute < before
                            ORDER BY c.bucket_minute LIMIT at_most FOR UPDATE SKIP LOCKED));
  RETURN deleted;
END
$$;

REVOKE ALL ON FUNCTION public.sluice_quarantine_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_recount_quarantine() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_expire_quarantine(timestamptz, integer) FROM PUBLIC;

-- The views read with the rights of whoever asks: a tenant sees its own.
CREATE VIEW public.quarantine_recent WITH (security_invoker = true) AS
SELECT id, ingested_at, received_at, tenant_id, site_id, device_id, msg_type, reason, detail,
       first_reason, identity, payload_size, payload_truncated, topic
  FROM public.quarantine_events
 WHERE replay_state = 'NEW'
 ORDER BY ingested_at DESC, id DESC;

CREATE VIEW public.quarantine_by_device WITH (security_invoker = true) AS
SELECT tenant_id, device_id, reason, messages AS stored, first_seen, last_seen
  FROM public.quarantine_open;

CREATE VIEW public.quarantine_summary WITH (security_invoker = true) AS
SELECT tenant_id, reason, coalesce(o.devices, 0) AS devices, o.first_seen, o.last_seen,
       coalesce(o.stored, 0)::bigint AS stored, coalesce(c.counted, 0)::bigint AS counted_24h,
       coalesce(c.withheld, 0)::bigint AS withheld_24h
  FROM (SELECT tenant_id, reason, count(*) FILTER (WHERE device_id <> '') AS devices,
               sum(messages) AS stored, min(first_seen) AS first_seen, max(last_seen) AS last_seen
          FROM public.quarantine_open GROUP BY tenant_id, reason) AS o
  FULL JOIN
       (SELECT tenant_id, reason, sum(cnt) AS counted, sum(withheld) AS withheld
          FROM public.quarantine_counters_minute
         WHERE bucket_minute > now() - interval '24 hours' GROUP BY tenant_id, reason) AS c
 USING (tenant_id, reason);

COMMENT ON VIEW public.quarantine_recent IS
  'What waits for a decision, newest first, without its payload. Ask with a LIMIT; any of tenant_id,'
  ' tenant_id and device_id, reason narrows it down by an index.';
COMMENT ON VIEW public.quarantine_by_device IS
  'How many messages of which device wait for a decision, by reason: which devices are to be mended.';
COMMENT ON VIEW public.quarantine_summary IS
  'What goes wrong, by tenant and reason: devices and messages that wait for a decision (stored), and'
  ' what was rejected in the last 24 hours, kept or not (counted_24h), of which not (withheld_24h).';
COMMENT ON TABLE public.quarantine_open IS
  'Counts of quarantine_events that are NEW, kept by triggers. first_seen is since when the device'
  ' has had such messages without a break. sluice_recount_quarantine() counts anew.';
COMMENT ON COLUMN public.quarantine_events.replay_state IS
  'NEW: waits for a decision. REPLAYED: its rows are in telemetry. DISCARDED: not wanted.';
COMMENT ON COLUMN public.quarantine_events.first_reason IS
  'Why it came here, when a replay has found another reason since.';
COMMENT ON COLUMN public.quarantine_events.replayed_at IS
  'When it was replayed or discarded, or a replay found another reason; replayed_by is who did it.';
COMMENT ON COLUMN public.quarantine_events.identity_proof IS
  'How the broker knew identity: cert:FINGERPRINT, token or account; forged: a stamp that was not'
  ' genuine.';

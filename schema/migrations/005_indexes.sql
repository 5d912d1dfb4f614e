-- An old database may have an equal index under another name: what counts are the leading columns.
CREATE FUNCTION pg_temp.sluice_lacks_index(relation regclass, method text, VARIADIC columns text[])
RETURNS boolean LANGUAGE sql AS $$
  SELECT NOT EXISTS (
    SELECT FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_am a ON a.oid = c.relam
     WHERE i.indrelid = relation AND i.indisvalid AND i.indpred IS NULL AND a.amname = method
       AND columns = ARRAY(SELECT trim(BOTH '"' FROM pg_get_indexdef(i.indexrelid, n, false))
                             FROM generate_series(1, cardinality(columns)) n))
$$;

DO $$
BEGIN
  IF pg_temp.sluice_lacks_index('public.telemetry', 'btree', 'tenant_id', 'device_id', 'time') THEN
    CREATE INDEX telemetry_device_time_idx
      ON public.telemetry (tenant_id, device_id, time DESC);
  END IF;
  IF pg_temp.sluice_lacks_index('public.telemetry', 'brin', 'time') THEN
    CREATE INDEX telemetry_time_brin_idx
      ON public.telemetry USING brin (time) WITH (autosummarize = on);
  END IF;
  IF pg_temp.sluice_lacks_index('public.quarantine_events', 'btree', 'ingested_at') THEN
    CREATE INDEX quarantine_events_ingested_at_idx
      ON public.quarantine_events (ingested_at DESC);
  END IF;
  IF pg_temp.sluice_lacks_index('public.quarantine_events', 'btree',
                                'tenant_id', 'reason', 'ingested_at') THEN
    CREATE INDEX quarantine_events_tenant_reason_idx
      ON public.quarantine_events (tenant_id, reason, ingested_at);
  END IF;
  IF pg_temp.sluice_lacks_index('public.device_certificates', 'btree', 'tenant_id', 'device_id') THEN
    CREATE INDEX device_certificates_device_idx
      ON public.device_certificates (tenant_id, device_id);
  END IF;
  IF pg_temp.sluice_lacks_index('public.subscriptions', 'btree', 'tenant_id') THEN
    CREATE INDEX subscriptions_tenant_idx ON public.subscriptions (tenant_id);
  END IF;
END
$$;

DROP FUNCTION pg_temp.sluice_lacks_index(regclass, text, text[]);

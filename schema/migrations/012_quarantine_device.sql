-- A device is looked for without its tenant, too. Of a tenant alone there is quarantine_new_tenant_idx.
DROP INDEX IF EXISTS public.quarantine_new_device_idx;
CREATE INDEX quarantine_new_device_idx ON public.quarantine_events
  (device_id, tenant_id, ingested_at) WHERE replay_state = 'NEW';

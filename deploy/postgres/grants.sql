-- What the login role of `sluice ingest` needs, and nothing else. Run it after `sluice migrate`, as
-- the role that migrated or a superuser, once for each daemon role:
--   psql -v ON_ERROR_STOP=1 -v role=sluice -f grants.sql iotcloud
-- The role itself: CREATE ROLE sluice LOGIN PASSWORD '…' (no superuser, no BYPASSRLS, INHERIT).

GRANT USAGE ON SCHEMA public TO :"role";

-- Owner of telemetry and quarantine_events, because COPY is refused to others under row level
-- security; also the role that the policies of the other tables let pass.
GRANT sluice_owner TO :"role";

GRANT INSERT ON public.telemetry, public.quarantine_events TO :"role";
GRANT SELECT, INSERT, UPDATE ON public.quarantine_counters_minute TO :"role";
GRANT SELECT, INSERT, DELETE ON public.ingest_ledger TO :"role";

GRANT SELECT ON public.device_registry, public.device_certificates, public.subscriptions,
  public.app_settings, public.sluice_schema_migrations, public.quarantine_open,
  public.quarantine_recent, public.quarantine_by_device, public.quarantine_summary TO :"role";
GRANT UPDATE (latitude, longitude, location_source, updated_at) ON public.device_registry
  TO :"role";

-- For AUTO_PROVISION=1 only.
GRANT INSERT ON public.device_registry TO :"role";
GRANT UPDATE (active_device_count, updated_at) ON public.subscriptions TO :"role";

GRANT EXECUTE ON FUNCTION public.sluice_ensure_partition(date),
  public.sluice_drop_partitions_before(date),
  public.sluice_expire_quarantine(timestamptz, integer) TO :"role";

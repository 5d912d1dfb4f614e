-- Who sees what of migration 9, as in 7. Safe to run again, for roles that were made later.
DO $$
DECLARE
  readers text[] := ARRAY(SELECT rolname FROM pg_roles
                           WHERE rolname IN ('sluice_owner', 'pulse_app', 'pulse_operator'));
  reader text;
BEGIN
  FOREACH reader IN ARRAY readers LOOP
    EXECUTE format('GRANT SELECT ON public.quarantine_open, public.quarantine_recent,'
                   ' public.quarantine_by_device, public.quarantine_summary TO %I', reader);
    EXECUTE format('GRANT SELECT (identity_proof, first_reason, replayed_by)'
                   ' ON public.quarantine_events TO %I', reader);
    EXECUTE format('GRANT SELECT (withheld) ON public.quarantine_counters_minute TO %I', reader);
    EXECUTE format('DROP POLICY IF EXISTS %I ON public.quarantine_open', reader || '_reads');
    EXECUTE format('CREATE POLICY %I ON public.quarantine_open FOR SELECT TO %I USING (%s)',
                   reader || '_reads', reader,
                   CASE reader WHEN 'pulse_app'
                     THEN 'tenant_id = current_setting(''app.tenant_id'', true)' ELSE 'true' END);
  END LOOP;
END
$$;

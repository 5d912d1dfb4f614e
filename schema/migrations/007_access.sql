-- Who sees what. COPY FROM is refused on a table with row level security to everybody but its owner
-- (and superusers), whatever the policies say. So the two tables that the daemon copies into belong
-- to the role sluice_owner, which owns nothing else and cannot log in; the daemon's login role is
-- a member. See docs/schema.md.

-- Roles belong to the cluster: another database of it may have made them.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['sluice_owner', 'pulse_app', 'pulse_operator'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN NULL;
      WHEN insufficient_privilege THEN
        RAISE WARNING 'role % is missing and % may not create it: see docs/schema.md, Rights',
          wanted, current_user;
    END;
  END LOOP;
END
$$;

-- The owner so far becomes a member of the new one, so that it can still do what it could.
DO $$
DECLARE
  entry record;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_owner') THEN
    RETURN;
  END IF;
  IF NOT pg_has_role(current_user, 'sluice_owner', 'USAGE') THEN
    EXECUTE format('GRANT sluice_owner TO %I', current_user);
  END IF;
  GRANT CREATE ON SCHEMA public TO sluice_owner;  -- what ALTER TABLE OWNER asks of a new owner
  FOR entry IN
    SELECT c.oid::regclass AS relation, r.rolname AS owner
      FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
     WHERE c.oid IN ('public.telemetry'::regclass, 'public.quarantine_events'::regclass)
  LOOP
    IF NOT pg_has_role(entry.owner, 'sluice_owner', 'USAGE') THEN
      EXECUTE format('GRANT sluice_owner TO %I', entry.owner);
    END IF;
    EXECUTE format('ALTER TABLE %s OWNER TO sluice_owner', entry.relation);
    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', entry.relation);
  END LOOP;
  REVOKE CREATE ON SCHEMA public FROM sluice_owner;
EXCEPTION
  WHEN insufficient_privilege THEN
    RAISE WARNING 'telemetry and quarantine_events keep their owner (%): see docs/schema.md, Rights',
      SQLERRM;
END
$$;

-- A table that has policies already keeps exactly these, besides the one for the daemon; one
-- without row level security keeps it off.
DO $$
DECLARE
  entry record;
  has_role boolean[] := ARRAY(
    SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)
      FROM unnest(ARRAY['sluice_owner', 'pulse_app', 'pulse_operator'])
           WITH ORDINALITY AS w (wanted, n) ORDER BY n);
BEGIN
  FOR entry IN
    SELECT c.oid::regclass AS relation, c.relname AS name,
           EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AS has_policies
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
       AND c.relname IN ('telemetry', 'quarantine_events', 'quarantine_counters_minute',
                         'device_registry', 'device_certificates', 'subscriptions')
  LOOP
    IF has_role[1] THEN
      EXECUTE format('CREATE POLICY sluice_owner_all ON %s TO sluice_owner'
                     ' USING (true) WITH CHECK (true)', entry.relation);
    END IF;
    CONTINUE WHEN entry.has_policies;
    IF has_role[2] THEN
      EXECUTE format('CREATE POLICY tenant_reads_own ON %s FOR SELECT TO pulse_app'
                     ' USING (tenant_id = current_setting(''app.tenant_id'', true))',
                     entry.relation);
      -- Tenants see neither tokens nor their hashes.
      EXECUTE format('GRANT SELECT (%s) ON %s TO pulse_app',
        (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
          WHERE attrelid = entry.relation AND attnum > 0 AND NOT attisdropped
            AND attname NOT IN ('provision_token', 'provision_token_hash', 'token_hash')),
        entry.relation);
    END IF;
    IF has_role[3] THEN
      EXECUTE format('CREATE POLICY operator_reads_all ON %s FOR SELECT TO pulse_operator'
                     ' USING (true)', entry.relation);
      EXECUTE format('GRANT SELECT ON %s TO pulse_operator', entry.relation);
    END IF;
  END LOOP;
END
$$;

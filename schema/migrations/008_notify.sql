-- Whoever caches the registry is told what has changed, when the change commits.
--   sluice_changed  'device TENANT/DEVICE' for each device that is to be looked up again, or 'all';
--                   'settings' when app_settings is to be read again
--   sluice_revoked  'TENANT/DEVICE' for each device that lost something: its registration, its
--                   status ACTIVE, its token, an ACTIVE certificate or days of it. Never summed up.
-- Only columns that decide about a device count. Positions do not: the daemon writes them itself.
--
-- The functions run with the rights of the role that migrated, because whoever changes a
-- subscription need not see the registry. They may be called by triggers only.

-- Both may be null. Names of a device that no topic can name, and too many names, become 'all'.
CREATE FUNCTION public.sluice_notify_devices(changed text[], worse text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  well_formed constant text := '^[A-Za-z0-9._:-]{1,128}/[A-Za-z0-9._:-]{1,128}$';
BEGIN
  IF cardinality(changed) > 1000
     OR EXISTS (SELECT FROM unnest(changed) AS d (identity) WHERE d.identity !~ well_formed) THEN
    PERFORM pg_notify('sluice_changed', 'all');
  ELSE
    PERFORM pg_notify('sluice_changed', 'device ' || d.identity)
       FROM unnest(changed) AS d (identity);
  END IF;
  PERFORM pg_notify('sluice_revoked', d.identity)
     FROM unnest(worse) AS d (identity) WHERE d.identity ~ well_formed;
END
$$;

-- Rows before and after an UPDATE are joined by FULL JOIN throughout: it cannot become a nested
-- loop, whatever number of rows the plan was first made for.
CREATE FUNCTION public.sluice_registry_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  changed text[];
  worse text[];
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      SELECT array_agg(n.tenant_id || '/' || n.device_id) INTO changed FROM new_rows n;
    WHEN 'UPDATE' THEN
      SELECT array_agg(d.identity), array_agg(d.identity) FILTER (WHERE d.worse)
        INTO changed, worse
        FROM (SELECT tenant_id || '/' || device_id AS identity,
                     o.device_id IS NOT NULL AND (
                       n.device_id IS NULL
                       OR o.status = 'ACTIVE' AND n.status IS DISTINCT FROM 'ACTIVE'
                       OR o.provision_token_hash IS NOT NULL
                          AND n.provision_token_hash IS DISTINCT FROM o.provision_token_hash
                     ) AS worse
                FROM old_rows o FULL JOIN new_rows n USING (tenant_id, device_id)
               WHERE (o.site_id, o.status, o.subscription_id, o.provision_token_hash,
                      o.location_source)
                     IS DISTINCT FROM
                     (n.site_id, n.status, n.subscription_id, n.provision_token_hash,
                      n.location_source)) AS d;
    WHEN 'DELETE' THEN
      SELECT array_agg(o.tenant_id || '/' || o.device_id) INTO changed FROM old_rows o;
      worse := changed;
    WHEN 'TRUNCATE' THEN
      SELECT array_agg(r.tenant_id || '/' || r.device_id) INTO changed
        FROM public.device_registry r;
      worse := changed;
  END CASE;
  IF changed IS NOT NULL THEN
    PERFORM public.sluice_notify_devices(changed, worse);
  END IF;
  RETURN NULL;
END
$$;

-- A certificate that moves to another device is lost to the first one.
CREATE FUNCTION public.sluice_certificates_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  changed text[];
  worse text[];
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      SELECT array_agg(DISTINCT n.tenant_id || '/' || n.device_id) INTO changed FROM new_rows n;
    WHEN 'UPDATE' THEN
      SELECT array_agg(DISTINCT d.identity), array_agg(DISTINCT d.identity) FILTER (WHERE d.worse)
        INTO changed, worse
        FROM old_rows o FULL JOIN new_rows n USING (id)
       CROSS JOIN LATERAL (VALUES
               (o.tenant_id || '/' || o.device_id,
                o.status = 'ACTIVE' AND (
                  (n.tenant_id, n.device_id, n.status)
                  IS DISTINCT FROM (o.tenant_id, o.device_id, 'ACTIVE')
                  OR n.not_after < o.not_after OR n.not_before > o.not_before)),
               (n.tenant_id || '/' || n.device_id, false)) AS d (identity, worse)
       WHERE d.identity IS NOT NULL
         AND (o.tenant_id, o.device_id, o.status, o.not_before, o.not_after)
             IS DISTINCT FROM
             (n.tenant_id, n.device_id, n.status, n.not_before, n.not_after);
    WHEN 'DELETE' THEN
      SELECT array_agg(DISTINCT o.tenant_id || '/' || o.device_id),
             array_agg(DISTINCT o.tenant_id || '/' || o.device_id) FILTER (WHERE o.status = 'ACTIVE')
        INTO changed, worse FROM old_rows o;
    WHEN 'TRUNCATE' THEN
      SELECT array_agg(DISTINCT c.tenant_id || '/' || c.device_id),
             array_agg(DISTINCT c.tenant_id || '/' || c.device_id) FILTER (WHERE c.status = 'ACTIVE')
        INTO changed, worse FROM public.device_certificates c;
  END CASE;
  IF changed IS NOT NULL THEN
    PERFORM public.sluice_notify_devices(changed, worse);
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION public.sluice_subscriptions_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ids text[];
  changed text[];
BEGIN
  CASE TG_OP
    WHEN 'INSERT' THEN
      SELECT array_agg(n.subscription_id::text) INTO ids FROM new_rows n;
    WHEN 'UPDATE' THEN
      SELECT array_agg(subscription_id::text) INTO ids
        FROM old_rows o FULL JOIN new_rows n USING (subscription_id)
       WHERE o.status IS DISTINCT FROM n.status;
    WHEN 'DELETE' THEN
      SELECT array_agg(o.subscription_id::text) INTO ids FROM old_rows o;
    WHEN 'TRUNCATE' THEN
      PERFORM pg_notify('sluice_changed', 'all');
  END CASE;
  -- Most changes only count devices: then the registry, which may be large, is not read.
  IF ids IS NOT NULL THEN
    SELECT array_agg(d.identity) INTO changed
      FROM (SELECT r.tenant_id || '/' || r.device_id AS identity
              FROM public.device_registry r
             WHERE EXISTS (SELECT FROM unnest(ids) AS s (id) WHERE s.id = r.subscription_id::text)
             LIMIT 1001) AS d;
    PERFORM public.sluice_notify_devices(changed, NULL);
  END IF;
  RETURN NULL;
END
$$;

CREATE FUNCTION public.sluice_settings_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM pg_notify('sluice_changed', 'settings');
  RETURN NULL;
END
$$;

REVOKE ALL ON FUNCTION public.sluice_notify_devices(text[], text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_registry_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_certificates_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_subscriptions_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.sluice_settings_changed() FROM PUBLIC;

-- A trigger with the rows of its statement can have one event only. TRUNCATE has no such rows: they
-- are read before it.
DO $$
DECLARE
  entry record;
BEGIN
  FOR entry IN SELECT * FROM (VALUES ('device_registry', 'sluice_registry_changed'),
                                     ('device_certificates', 'sluice_certificates_changed'),
                                     ('subscriptions', 'sluice_subscriptions_changed'))
                             AS t (relation, function)
  LOOP
    EXECUTE format('CREATE TRIGGER sluice_changed_insert AFTER INSERT ON public.%I'
                   ' REFERENCING NEW TABLE AS new_rows'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION public.%I()',
                   entry.relation, entry.function);
    EXECUTE format('CREATE TRIGGER sluice_changed_update AFTER UPDATE ON public.%I'
                   ' REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION public.%I()',
                   entry.relation, entry.function);
    EXECUTE format('CREATE TRIGGER sluice_changed_delete AFTER DELETE ON public.%I'
                   ' REFERENCING OLD TABLE AS old_rows'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION public.%I()',
                   entry.relation, entry.function);
    EXECUTE format('CREATE TRIGGER sluice_changed_truncate BEFORE TRUNCATE ON public.%I'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION public.%I()',
                   entry.relation, entry.function);
  END LOOP;
END
$$;

CREATE TRIGGER sluice_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.app_settings
  FOR EACH STATEMENT EXECUTE FUNCTION public.sluice_settings_changed();

-- The login roles of docker-compose.yml with their passwords and rights: the daemon's, and those that
-- the broker's plugin and `sluice crl` read the registry with. Run it after `sluice migrate`, as the
-- superuser who migrated; again after each migration. The passwords are files in /run/secrets, or where
-- -v secrets=DIRECTORY says; no command line shows them.
\if :{?secrets} \else \set secrets /run/secrets \endif
\set ingest_password `cat :'secrets'/ingest_db_password`
\set broker_password `cat :'secrets'/broker_db_password`
\set crl_password `cat :'secrets'/crl_db_password`

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['sluice', 'sluice_broker', 'sluice_crl']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- As grants.sql and listeners.conf say, and docs/security.md for the list of revoked certificates.
ALTER ROLE sluice PASSWORD :'ingest_password';
ALTER ROLE sluice_broker BYPASSRLS PASSWORD :'broker_password';
ALTER ROLE sluice_crl BYPASSRLS PASSWORD :'crl_password';

\set role sluice
\ir grants.sql

GRANT SELECT (tenant_id, device_id, status, provision_token_hash)
  ON public.device_registry TO sluice_broker;
GRANT SELECT (tenant_id, device_id, status, fingerprint_sha256, not_before, not_after)
  ON public.device_certificates TO sluice_broker;
GRANT SELECT, UPDATE (status, updated_at) ON public.device_certificates TO sluice_crl;

#!/bin/bash
# docs/replacing-the-python-service.md, step by step: a database of the old service with data, a broker
# with its account, and the daemon with its variables; then back, and forward again.
set -euo pipefail
# shellcheck source=tests/ship/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A pids=()
work=$(mktemp -d)
sluice=$repo/build/bin/sluice
server_started() { pids[$1]=$2; }

# expect WHAT COMMAND…: dies unless the command succeeds.
expect() {
  "${@:2}" >"$work/expect.out" 2>&1 || { cat "$work/expect.out" >&2 && die "not so: $1"; }
  say "  $1"
}

sql() { psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -d iotcloud -U iot "$@"; }
superuser() { PGUSER=postgres sql -U postgres "$@"; }

# The writes of the old service, with its columns, as its role.
old_service_writes() { # seq
  sql >"$work/old.out" <<SQL
BEGIN;
INSERT INTO telemetry (time, tenant_id, device_id, site_id, msg_type, seq, metrics)
  VALUES (now(), 'orchard', 'probe-1', 'north', 'telemetry', $1, '{"heat": 1}');
INSERT INTO quarantine_events (event_ts, topic, tenant_id, site_id, device_id, msg_type, reason, payload,
                               envelope_version)
  VALUES (now(), 'tenant/orchard/device/probe-1/telemetry', 'orchard', 'south', 'probe-1', 'telemetry',
          'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', '{"site_id": "south", "provision_token": "tok-1", "seq": $1}', '1');
INSERT INTO quarantine_counters_minute (bucket_minute, tenant_id, reason, cnt)
  VALUES (date_trunc('minute', now()), 'orchard', 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', 1)
  ON CONFLICT (bucket_minute, tenant_id, reason)
  DO UPDATE SET cnt = quarantine_counters_minute.cnt + 1;
UPDATE device_registry SET latitude = 1, longitude = 2, location_source = 'auto', updated_at = now()
  WHERE tenant_id = 'orchard' AND device_id = 'probe-1';
SELECT pg_notify('telemetry_inserted', '{"tenant_ids":["orchard"]}');
COMMIT;
SQL
}

prepare_old_deployment() {
  export PGPASSFILE=$work/pgpass
  postgres_port=$(free_port 55432)
  start_postgres "$work/postgres" "$postgres_port" "$work/postgres.log" "$PGPASSFILE"
  PGDATABASE=postgres psql -Xq -h 127.0.0.1 -p "$postgres_port" -U postgres -c 'CREATE DATABASE iotcloud'
  superuser -q -f "$repo/tests/support/legacy_schema.sql" >/dev/null
  superuser -c "ALTER ROLE iot PASSWORD 'iot_dev'"
  echo "127.0.0.1:*:iotcloud:iot:iot_dev" >>"$PGPASSFILE"

  mqtt_port=$(free_port 51883)
  mkdir "$work/broker"
  echo "service_pulse:old-password" >"$work/broker/passwd"
  mosquitto_passwd -U "$work/broker/passwd"
  printf '%s\n' "listener $mqtt_port 127.0.0.1" "allow_anonymous false" \
    "password_file $work/broker/passwd" "persistence true" "persistence_location $work/broker/" \
    "max_queued_messages 0" "log_dest stderr" >"$work/broker/mosquitto.conf"
  chmod 711 "$work"
  chown -R mosquitto: "$work/broker"
  start_mosquitto "$work/broker/mosquitto.conf" "$mqtt_port" "$work/mosquitto.log"
}

# The old service's variables with its values; what is new is in the last line.
set_environment() { # role
  environment=(env -i "PATH=$PATH" MQTT_HOST=127.0.0.1 "MQTT_PORT=$mqtt_port"
    'MQTT_TOPIC=tenant/+/device/+/+' MQTT_USERNAME=service_pulse MQTT_PASSWORD=old-password
    MQTT_CA_CERT= MQTT_TLS_INSECURE=false PG_HOST=127.0.0.1 "PG_PORT=$postgres_port" PG_DB=iotcloud
    "PG_USER=$1" PG_PASS=iot_dev AUTO_PROVISION=0 REQUIRE_TOKEN=1 CERT_AUTH_ENABLED=0
    COUNTERS_ENABLED=1 SETTINGS_POLL_SECONDS=5 LOG_STATS_EVERY_SECONDS=30 AUTH_CACHE_TTL_SECONDS=60
    AUTH_CACHE_MAX_SIZE=10000 BATCH_SIZE=500 FLUSH_INTERVAL_MS=1000 INGEST_WORKER_COUNT=4
    INGEST_QUEUE_SIZE=50000 BUCKET_TTL_SECONDS=3600 BUCKET_CLEANUP_INTERVAL=300 SERVICE_NAME=ingest
    LOG_LEVEL=INFO "HTTP_PORT=$http_port" "SPOOL_DIR=$work/spool" QUARANTINE_RETENTION=0)
}
in_old_environment() { "${environment[@]}" "$@"; }

start_daemon() {
  "${environment[@]}" "$sluice" ingest >"$work/sluice.out" 2>>"$work/sluice.log" &
  pids[sluice]=$!
  wait_for 20 curl -fsS "http://127.0.0.1:$http_port/ready" || {
    tail -n 20 "$work/sluice.log" >&2
    die "the daemon is not ready"
  }
}

publish() { # site seq
  mosquitto_pub -h 127.0.0.1 -p "$mqtt_port" -u service_pulse -P old-password -q 1 \
    -t tenant/orchard/device/probe-1/telemetry \
    -m "{\"site_id\":\"$1\",\"provision_token\":\"tok-1\",\"seq\":$2,\"metrics\":{\"heat\":2}}"
}
count() { [[ $(sql -c "SELECT count(*) FROM $1") == "$2" ]]; }

clean_up() {
  end_pid 25 "${pids[sluice]:-0}" || true
  end_pid 20 "${pids[mosquitto]:-0}" || true
  end_pid 30 "${pids[postgres]:-0}" INT || true
  rm -rf "$work"
}
trap clean_up EXIT
prepare_old_deployment
http_port=$(free_port 58080)
set_environment iot

say "1. look: nothing is changed yet"
expect "migrate --dry-run lists what it would do" in_old_environment "$sluice" migrate --dry-run
expect "and has changed nothing" count "pg_tables WHERE tablename = 'ingest_ledger'" 0
say "2. migrate, as the old owner, while the old service writes"
expect "migrate" in_old_environment "$sluice" migrate
expect "the old rows are there" count telemetry 6000
expect "the old service goes on writing" old_service_writes 1
say "3. check the old settings"
expect "all of them are taken" in_old_environment "$sluice" ingest --check
expect "doctor finds nothing failed" in_old_environment "$sluice" doctor
say "4. swap"
start_daemon
expect "a device publishes, rightly and wrongly" eval 'publish north 2 && publish south 3'
expect "one is stored" wait_for 10 count telemetry 6002
expect "the other is in quarantine" wait_for 10 \
  count "quarantine_events WHERE reason = 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD'" 2
expect "/health has the old counters" eval \
  "curl -fsS http://127.0.0.1:$http_port/health | grep -q '\"messages_written\":1'"
expect "/metrics has the old names" eval \
  "curl -fsS http://127.0.0.1:$http_port/metrics | grep -q '^pulse_ingest_messages_total{.*orchard'"
say "5. afterwards: what the old service rejected is replayed when it is mended"
sql -c "UPDATE device_registry SET site_id = 'south' WHERE device_id = 'probe-1'"
expect "replay" in_old_environment "$sluice" quarantine replay --device probe-1
expect "ours and theirs are stored" wait_for 10 count telemetry 6004
sql -c "UPDATE device_registry SET site_id = 'north' WHERE device_id = 'probe-1'"

say "back"
expect "drain takes what the broker has, ends the session, writes all" in_old_environment "$sluice" drain
wait_for 20 process_gone "${pids[sluice]}"
expect "the accounting line has nothing spooled" grep -q ' spooled=0$' "$work/sluice.out"
expect "the old service writes" old_service_writes 4
expect "its row is there" count telemetry 6005
publish north 5 # to the old service: there is no session of ours any more

say "forward again, with a role of its own"
superuser -c "CREATE ROLE sluice LOGIN PASSWORD 'iot_dev'"
superuser -v role=sluice -f "$repo/deploy/postgres/grants.sql"
expect "migrate has nothing to do" in_old_environment "$sluice" migrate
set_environment sluice
start_daemon
expect "a device publishes" publish north 6
expect "it is stored, and what was published meanwhile is not ours" wait_for 10 count telemetry 6006
end_pid 25 "${pids[sluice]}" || die "the daemon does not stop"
tail -n 1 "$work/sluice.out"

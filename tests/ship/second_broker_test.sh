#!/bin/bash
# Sluice with brokers that are not Mosquitto: Debian's ejabberd (MQTT 5) and RabbitMQ (MQTT 3.1.1). What
# works and what does not is docs/operations.md, Other brokers; this is where it was tried.
set -euo pipefail
# shellcheck source=tests/ship/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

sluice=$repo/build/bin/sluice
devices=5
scratch=$(mktemp -d)
chmod 755 "$scratch"
pids=()

server_started() { pids+=("$2"); }

end_all() {
  local status=$? pid
  for pid in "${pids[@]}"; do end_pid 10 "$pid" || true; done
  ((status == 0)) || tail -n 20 "$scratch"/*.log >&2
  rm -rf "$scratch"
}
trap end_all EXIT

tried() { echo "  $*"; }

# kill_hard PID: of a child.
kill_hard() {
  kill -s KILL "$1"
  wait "$1" 2>/dev/null || true
}

# sql STATEMENT [DATABASE]
sql() {
  psql -qAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres" -U postgres -d "${2:-iot}" -c "$1"
}

start_database() {
  postgres=$(free_port 28600)
  export PGPASSFILE=$scratch/pgpass
  start_postgres "$scratch/postgres" "$postgres" "$scratch/postgres.log" "$PGPASSFILE"
  sql 'CREATE DATABASE iot' postgres
  export DATABASE_URL="host=127.0.0.1 port=$postgres dbname=iot user=postgres"
  "$sluice" migrate >"$scratch/migrate.log"
  sql "INSERT INTO device_registry (tenant_id, device_id, site_id, provision_token_hash)
       SELECT 'orchard', 'probe-' || n, 'north', encode(sha256('tok-apple'), 'hex')
       FROM generate_series(1, $devices) n"
}

# Without distribution: no other port than MQTT's is opened, and no epmd is started.
start_ejabberd() {
  export EJABBERD_CONFIG_PATH=$scratch/ejabberd/ejabberd.yml EJABBERD_LOG_PATH=$scratch/ejabberd/ejabberd.log
  if [[ ! -e $EJABBERD_CONFIG_PATH ]]; then
    mkdir -p "$scratch/ejabberd"
    cat >"$EJABBERD_CONFIG_PATH" <<CONFIG
hosts: [localhost]
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
listen:
  - {port: $broker, ip: "127.0.0.1", module: mod_mqtt}
modules:
  mod_mqtt: {session_expiry: 7 days, max_queue: unlimited}
CONFIG
    chown -R ejabberd: "$scratch/ejabberd"
  fi
  (cd "$scratch/ejabberd" && HOME=$PWD ERL_LIBS=/usr/lib/x86_64-linux-gnu ERL_CRASH_DUMP_BYTES=0 \
    as_user ejabberd setsid erl -noinput -mnesia dir "\"$PWD/db\"" -s ejabberd) \
    >>"$scratch/erl.log" 2>&1 &
  ejabberd=$!
  server_started ejabberd "$ejabberd"
  wait_for 180 port_answers "$broker" || die "ejabberd does not answer"
}

# Its epmd and its distribution listen on ports of 127.0.0.1 of their own.
start_rabbitmq() {
  local home=$scratch/rabbitmq epmd
  epmd=$(free_port 28900)
  mkdir -p "$home"
  echo '[rabbitmq_mqtt].' >"$home/plugins"
  printf '%s\n' 'listeners.tcp = none' "mqtt.listeners.tcp.default = 127.0.0.1:$broker" \
    'mqtt.allow_anonymous = true' >"$home/rabbitmq.conf"
  chown -R rabbitmq: "$home"
  export ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
  (as_user rabbitmq setsid epmd) >>"$scratch/epmd.log" 2>&1 &
  server_started epmd $!
  (cd "$home" && export HOME=$PWD RABBITMQ_NODENAME=sluice@localhost RABBITMQ_LOGS=- &&
    RABBITMQ_DIST_PORT=$(free_port $((epmd + 1))) && export RABBITMQ_DIST_PORT &&
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" &&
    export RABBITMQ_MNESIA_BASE=$PWD/mnesia RABBITMQ_ENABLED_PLUGINS_FILE=$PWD/plugins &&
    export RABBITMQ_CONFIG_FILE=$PWD/rabbitmq.conf RABBITMQ_CONF_ENV_FILE=/dev/null &&
    export RABBITMQ_PID_FILE=$PWD/pid RABBITMQ_LOG_BASE=$PWD &&
    as_user rabbitmq setsid /usr/lib/rabbitmq/bin/rabbitmq-server) >>"$scratch/rabbitmq.log" 2>&1 &
  server_started rabbitmq $!
  wait_for 180 port_answers "$broker" || die "RabbitMQ does not answer"
}

# start_daemon NAME [VARIABLE=VALUE…]: each NAME has a spool and a client id of its own.
start_daemon() {
  local name=$1
  shift
  env MQTT_HOST=127.0.0.1 MQTT_PORT="$broker" MQTT_CLIENT_ID="sluice-$name" \
    MQTT_USERNAME=sluice@localhost MQTT_PASSWORD=any MQTT_RECONNECT_MAX=500ms \
    SPOOL_DIR="$scratch/spool-$name" SPOOL_MAX_BYTES=64MiB SPOOL_SEGMENT_BYTES=4MiB \
    HTTP_HOST=127.0.0.1 HTTP_PORT="$http" IDENTITY_MODE=topic RATE_LIMIT_RPS=1000000 \
    RATE_LIMIT_BURST=1000000 "$@" \
    setsid "$sluice" ingest >>"$scratch/accounting" 2>>"$scratch/daemon-$name.log" &
  daemon=$!
  server_started daemon "$daemon"
}
stop_daemon() { end_pid 30 "$daemon" || die "the daemon had to be killed"; }
ready() { curl -fs -o /dev/null "http://127.0.0.1:$http/ready"; }
soon_ready() { wait_for 60 ready || die "not ready: $(curl -s "http://127.0.0.1:$http/ready")"; }
# not_ready_because TEXT
not_ready_because() { curl -s "http://127.0.0.1:$http/ready" | grep -qF "$1"; }

# publish FROM TO: messages numbered so from each device, acknowledged by the broker.
publish() {
  local device
  for ((device = 1; device <= devices; ++device)); do
    seq -f '{"site_id":"north","provision_token":"tok-apple","seq":%.0f}' "$1" "$2" |
      mosquitto_pub -h 127.0.0.1 -p "$broker" -V 5 -u "probe-$device@localhost" -P any \
        -q 1 -l -t "tenant/orchard/device/probe-$device/telemetry"
  done
}
# stored COUNT: of each device so many messages are there, each once.
stored() { [[ $(sql 'SELECT count(*) || count(DISTINCT (device_id, seq))::text FROM telemetry') == \
  "$((devices * $1))$((devices * $1))" ]]; }
# For as long as more comes: ejabberd is slow on a busy machine.
soon_stored() {
  local before=-1 now=0 round
  for ((round = 0; round < 10 && now != before; ++round)); do
    ! wait_for 60 stored "$1" || return 0
    before=$now
    now=$(sql 'SELECT count(*) FROM telemetry')
  done
  die "of $((devices * $1)) messages are stored, and differ: $(
    sql 'SELECT count(*), count(DISTINCT (device_id, seq)) FROM telemetry')"
}

try_ejabberd() {
  local load
  start_ejabberd
  start_daemon one
  soon_ready
  publish 1 200
  soon_stored 200
  tried "stores what ejabberd delivers"
  kill_hard "$daemon"
  publish 201 400
  start_daemon one
  soon_stored 400
  tried "ejabberd queues for a daemon that was killed"
  stop_daemon
  publish 401 600
  start_daemon one
  soon_stored 600
  tried "and for one that was stopped"
  publish 601 2600 &
  load=$!
  sleep 0.5
  for _ in 1 2 3; do
    kill_hard "$daemon"
    start_daemon one
    sleep 0.5
  done
  wait "$load"
  soon_stored 2600
  tried "a daemon killed under load: each message once"

  kill_hard "$ejabberd"
  start_ejabberd
  soon_ready
  publish 2601 2700
  soon_stored 2700
  tried "a broker that was killed: the daemon comes back by itself"
  stop_daemon
  publish 2701 2800
  kill_hard "$ejabberd"
  start_ejabberd
  start_daemon one
  soon_ready
  grep -q mqtt_session_lost "$scratch/daemon-one.log" || die "the lost session was not told"
  publish 2701 2800
  soon_stored 2800
  tried "ejabberd forgets its queue when it ends; the daemon says so (mqtt_session_lost)"

  SPOOL_DIR=$scratch/spool-one "$sluice" drain --timeout 30s >"$scratch/drain.log"
  publish 2801 2900
  start_daemon one
  soon_ready
  publish 2901 2902
  soon_stored 2802
  tried "a drained daemon leaves no session behind"
  stop_daemon
  grep -vE '^received=([0-9]+) .*spooled=0$' "$scratch/accounting" && die "an accounting line is off"
  awk -F'[= ]' '$2 != $4 + $6 + $8 + $10 {exit 1}' "$scratch/accounting" || die "unbalanced"
  tried "every accounting line balances: $(tail -n 1 "$scratch/accounting")"

  start_daemon two MQTT_SHARED_GROUP=ingest
  wait_for 60 not_ready_because 'shared subscriptions not supported' || die "a group was taken"
  tried "no shared groups: /ready says so"
  stop_daemon
  end_pid 20 "$ejabberd" || true
}

try_rabbitmq() {
  start_rabbitmq
  mosquitto_pub -h 127.0.0.1 -p "$broker" -V 311 -u guest -P guest -q 1 -t tenant/a -m b
  start_daemon three MQTT_USERNAME=guest MQTT_PASSWORD=guest
  wait_for 60 not_ready_because 'the broker closed the connection' || die "something else happened"
  tried "speaks MQTT 3.1.1 alone and hangs up: the daemon cannot use it, and says so"
  stop_daemon
}

broker=$(free_port 28700)
http=$(free_port 28800)
start_database
echo "ejabberd $(dpkg-query -Wf '${Version}' ejabberd)"
try_ejabberd
echo "RabbitMQ $(dpkg-query -Wf '${Version}' rabbitmq-server)"
try_rabbitmq

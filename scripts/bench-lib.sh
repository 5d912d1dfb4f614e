# Servers, daemons and figures of a benchmark; source it after lib.sh and `set -euo pipefail`, with
# these set: repo; work, a directory that the servers' users can pass through; section, a word in
# front of its figures. On exit all that was started is ended, and work removed.
# shellcheck shell=bash

bin=$repo/build/bin
rows=$work/rows
database=      # of the moment
login=()       # arguments of the fleet for the broker of the moment
daemons=()     # the names of those that run
declare -A pids=() http_ports=()

# ---- Servers. Nothing that starts one runs in a subshell: the trap is the main shell's.

server_started() { pids[$1]=$2; }

end() { # NAME [SIGNAL]
  [[ -n ${pids[$1]:-} ]] || return 0
  end_pid 60 "${pids[$1]}" "${2:-TERM}" || say "$1 did not end in time and was killed"
  unset "pids[$1]"
}

end_daemons() {
  local name
  for name in "${daemons[@]}"; do end "$name"; done
  daemons=()
}

clean_up() {
  local name
  trap '' INT TERM HUP
  end live KILL
  end_daemons
  for name in "${!pids[@]}"; do end "$name" INT; done
  for name in postgres broker; do
    [[ ! -L $work/$name ]] || rm -rf "$(readlink "$work/$name")"
  done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

sql() { psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U postgres -d "$@"; }

start_servers() {
  export PGPASSFILE=$work/pgpass
  postgres_port=$(free_port 23432)
  mqtt_port=$(free_port 23883)
  tls_port=$(free_port 24883)
  websocket_port=$(free_port 24901)
  private_directory "$work/broker" mosquitto
  broker=$(realpath "$work/broker")
  start_database
}

start_database() {
  start_postgres "$work/postgres" "$postgres_port" "$work/postgres.log" "$PGPASSFILE" \
    -c track_commit_timestamp=on
}

sluice() { # COMMAND…: as an operator, in the database of the moment
  DATABASE_URL=postgresql://postgres@127.0.0.1:$postgres_port/$database PKI_DIR=$work/pki \
    "$bin/sluice" "$@" >"$work/command.log" 2>&1 || die "sluice $1: $(cat "$work/command.log")"
}

# use_database DEVICES: sets `database` to one with so many registered; makes it when it is not there.
use_database() {
  database=fleet_$1
  [[ -z $(sql postgres -c "SELECT 1 FROM pg_database WHERE datname = '$database'") ]] || return 0
  say "registering $1 devices"
  sql postgres -c "CREATE DATABASE $database"
  sluice migrate
  "$bin/sluice-loadtest" register --devices "$1" | sql "$database"
  sql "$database" -c 'VACUUM ANALYZE'
}

# fresh_broker open|login: one that has forgotten everything; daemons end. `open` lets anybody in;
# `login` is configured as it is shipped, and proves every device.
fresh_broker() {
  end_daemons
  end mosquitto
  rm -f "$broker/mosquitto.db"
  login=()
  if [[ $1 == login ]]; then
    login=(--login --username service_pulse --password-file "$work/password" --tls-port "$tls_port"
      --ca "$work/pki/ca.crt")
    broker_configuration "$broker" "$tls_port" "$mqtt_port" "$websocket_port"
  else
    cat "$repo/deploy/mosquitto/mosquitto.conf"
    printf '\nlistener %s 127.0.0.1\nallow_anonymous true\n' "$mqtt_port"
    printf 'persistence_location %s/\nlog_dest stderr\n' "$broker"
  fi >"$broker/mosquitto.conf"
  start_mosquitto "$broker/mosquitto.conf" "$mqtt_port" "$work/mosquitto.log"
  ! process_gone "${pids[mosquitto]}" || die "$(tail -n 3 "$work/mosquitto.log")"
}

prepare_login() {
  [[ ! -e $work/pki ]] || return 0
  sluice pki init --server-name localhost 127.0.0.1
  (umask 077 && openssl rand -hex 32 >"$work/stamp.key" && random_password >"$work/password" &&
    for name in sluice service_pulse; do echo "$name:$(cat "$work/password")"; done \
      >"$broker/passwords" &&
    echo "postgresql://postgres:$(cut -d: -f5 "$PGPASSFILE")@127.0.0.1:$postgres_port/$database" \
      >"$broker/database.url")
  mosquitto_passwd -U "$broker/passwords"
  install -m 0600 "$work"/stamp.key "$work"/pki/{server.key,server.crt,combined-ca.crt} \
    "$work"/pki/device-crl.pem "$broker"
  install -m 0755 "$repo/deploy/mosquitto/rules.conf" "$bin/sluice_broker_plugin.so" "$broker"
  ((EUID != 0)) || chown -R mosquitto: "$broker"
}

issue_certificates() { # DEVICES
  local n name
  [[ ! -e $work/devices ]] || return 0
  say "issuing $1 certificates"
  for ((n = 1; n <= $1; ++n)); do
    name=tenant-$(((n - 1) % 5 + 1))/device-$n
    mkdir -p "$work/devices/${name%/*}"
    sluice device cert issue "${name%/*}" "${name#*/}" --out "$work/devices/$name"
  done
}

# start_daemon NAME [SETTING=VALUE…]: in the spool $work/NAME, if it is there. Sets ready_after, in
# seconds.
start_daemon() {
  local name=$1 began=$EPOCHREALTIME deadline=$((SECONDS + 60))
  http_ports[$name]=$(free_port 24080)
  env DATABASE_URL="postgresql://postgres@127.0.0.1:$postgres_port/$database" \
    MQTT_HOST=127.0.0.1 MQTT_PORT="$mqtt_port" MQTT_CLIENT_ID="$name" SPOOL_DIR="$work/$name" \
    HTTP_HOST=127.0.0.1 HTTP_PORT="${http_ports[$name]}" AUTH_CACHE_TTL_SECONDS=1h \
    RATE_LIMIT_RPS=1000000 RATE_LIMIT_BURST=1000000 "${@:2}" \
    setsid "$bin/sluice" ingest >>"$work/$name.log" 2>&1 &
  server_started "$name" $!
  daemons+=("$name")
  until curl -fs -o /dev/null "http://127.0.0.1:${http_ports[$name]}/ready"; do
    ((SECONDS < deadline)) || die "sluice is not ready: $(tail -n 3 "$work/$name.log")"
    sleep 0.01
  done
  ready_after=$(since "$began")
}

# fresh_daemon NAME [SETTING=VALUE…]: with nothing in its spool and its tables; ends the others.
fresh_daemon() {
  end_daemons
  rm -rf "${work:?}/$1"
  sql "$database" -c 'TRUNCATE telemetry, quarantine_events, quarantine_counters_minute, ingest_ledger'
  start_daemon "$@"
}

# ---- Figures.

calculate() { awk "BEGIN {printf \"%.15g\", $1}"; }
since() { calculate "$EPOCHREALTIME - $1"; }

# total METRIC: of all daemons, as an integer.
total() {
  local name
  for name in "${daemons[@]}"; do
    curl -fsS --max-time 5 "http://127.0.0.1:${http_ports[$name]}/metrics" || exit
  done | awk -v name="$1" '$1 == name {sum += $2} END {printf "%.0f", sum}'
}

reached() { local now && now=$(total "$1") && ((now >= $2)); } # METRIC NUMBER
at_most() { local now && now=$(total "$1") && ((now <= $2)); }

ticks() {
  local name
  for name in "${daemons[@]}"; do cat "/proc/${pids[$name]}/stat"; done |
    awk '{sum += $14 + $15} END {print sum}'
}

megabytes() { awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/${pids[$1]}/status"; }

play() { # RATE COUNT [FLEET ARGUMENT…]
  "$bin/sluice-loadtest" fleet --port "$mqtt_port" --rate "$1" --count "$2" --bad-percent 0 --quiet \
    "${login[@]}" "${@:3}" >"$work/fleet.log" 2>&1 || die "$(cat "$work/fleet.log")"
}

# measure RATE COUNT [FLEET ARGUMENT…]: plays so many messages and waits until they are stored. Sets
# cost, the daemons' CPU in us a message, and speed, in messages a second from the first to the last.
measure() {
  local began stored before
  sql "$database" -c 'TRUNCATE telemetry'
  stored=$(($(total sluice_stored_messages_total) + $2))
  before=$(ticks)
  began=$EPOCHREALTIME
  play "$@"
  wait_for 300 reached sluice_stored_messages_total "$stored" ||
    die "not all was stored: $(tail -qn 2 "$work"/*.log)"
  speed=$(calculate "$2 / $(since "$began")")
  cost=$(calculate "($(ticks) - $before) / $(getconf CLK_TCK) * 1e6 / $2")
  at_most sluice_stored_messages_total "$stored" || die "messages were stored twice"
}

# In the first round, a, b; in the next, b, a; and so on.
turns() { # ROUND NAMES…
  if (($1 % 2)); then echo "${*:2}"; else printf '%s\n' "${@:2}" | tac; fi
}

# each FORMULA LISTS…: evaluates it for each place of the lists, whose values are $1, $2, …
each() { paste -d ' ' "${@:2}" | awk "{printf \"%.6g\n\", $1}"; }

# row FIGURE UNIT FORMAT GOAL VALUES…: GOAL is like "<= 1.3", or empty for what is only shown.
row() {
  printf '%s\n' "${@:5}" | sort -g |
    awk -v section="$section" -v figure="$1" -v unit="$2" -v format="$3" -v goal="$4" '
    {value[NR] = $1}
    END {
      median = (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2
      split(goal, part, " ")
      if (goal != "") {
        low = part[1] == "<="
        met = low ? median <= part[2] + 0 : median >= part[2] + 0
        near = low ? value[1] <= part[2] + 0 : value[NR] >= part[2] + 0
        verdict = met ? "met" : near ? "within the spread" : "missed"
      }
      printf "%s\t%s\t%s\t%s\t%.6g\t%.6g\t%.6g\t%d\t%s\t%s\n", section, figure, unit, format, median,
        value[1], value[NR], NR, goal, verdict
    }' | tee -a "$rows" | cut -f 1-3,5-7,9-10 >&2
}

# list NAME VALUE: keeps a value of a figure; values NAME: all of them.
list() { echo "$2" >>"$work/$section.$1"; }
values() { cat "$work/$section.$1"; }

# ratio FIGURE GOAL A B: how the list A compares to B, pair by pair.
# shellcheck disable=SC2016,SC2046  # the formula is awk's; one word a value
ratio() { row "$1" x %.2f "$2" $(each '$1 / $2' "$work/$section.$3" "$work/$section.$4"); }

write_tsv() {
  printf '%s\t' section figure unit median least greatest runs goal
  echo verdict
  cut -f 1-3,5-10 "$rows"
}

write_markdown() {
  awk -F'\t' '
    BEGIN {
      print "| section | figure | median (least – greatest) | goal | |"
      print "|---|---|--:|--:|---|"
    }
    {
      text = sprintf($4, $5)
      if ($8 > 1) text = text " (" sprintf($4, $6) " – " sprintf($4, $7) ")"
      goal = $9 == "" ? "" : $9 " " $3
      sub(/<=/, "≤", goal)
      sub(/>=/, "≥", goal)
      printf "| %s | %s | %s %s | %s | %s |\n", $1, $2, text, $3, goal, $10
    }' "$rows"
}

# Servers for the benchmarks, after scripts/lib.sh; they run under $bench, with $bin's programs and
# $devices devices in the registry.
# shellcheck shell=bash disable=SC2154

# build_for_bench TARGET…
build_for_bench() {
  say "building; the first time takes some minutes (.bench/build.log)"
  (cd "$repo" && cmake --preset release &&
    cmake --build build --target "$@") \
    >"$bench/build.log" 2>&1 || {
    tail -n 30 "$bench/build.log" >&2
    die "the build failed"
  }
}

# The database stays; what is measured is emptied before each run. Commit timestamps say when the
# last row was there. Autovacuum would come when it likes, and be paid by whoever is on.
start_database() {
  export PGPASSFILE=$bench/pgpass
  local port
  port=$(free_port 54330)
  export DATABASE_URL=postgresql://postgres@127.0.0.1:$port/sluice
  admin=(psql -qXAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres)
  start_postgres "$bench/postgres" "$port" "$bench/postgres.log" "$PGPASSFILE" \
    -c track_commit_timestamp=on -c autovacuum=off 9>&-
  [[ -n $("${admin[@]}" -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'sluice'") ]] ||
    "${admin[@]}" -d postgres -c 'CREATE DATABASE sluice'
  "$bin/sluice" migrate >"$bench/migrate.log" 2>&1 || die "$(cat "$bench/migrate.log")"
  "$bin/sluice-loadtest" register --devices "$devices" | "${admin[@]}" -d sluice
  "${admin[@]}" -d sluice -c 'VACUUM ANALYZE'
}

# The broker as it is shipped, but for its listeners: a plain one with an account, without sluice's
# plugin, as peers know no stamps (scripts/bench-plugin says what it costs).
start_broker() {
  broker=$(mktemp -d)
  mqtt_port=$(free_port 21883)
  (umask 077 && random_password >"$broker/password" &&
    echo "bench:$(cat "$broker/password")" >"$broker/passwords")
  mosquitto_passwd -U "$broker/passwords"
  cat "$repo/deploy/mosquitto/mosquitto.conf" - >"$broker/mosquitto.conf" <<TEXT

# Added by ${0##*/}.
listener $mqtt_port 127.0.0.1
allow_anonymous false
password_file $broker/passwords
persistence_location $broker/
log_dest stderr
TEXT
  ((EUID != 0)) || chown -R mosquitto: "$broker"
  start_mosquitto "$broker/mosquitto.conf" "$mqtt_port" "$bench/mosquitto.log" 9>&-
}

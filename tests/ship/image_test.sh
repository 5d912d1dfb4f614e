#!/bin/bash
# Builds the images of deploy/Dockerfile on a Debian root of its own, looks into them, and runs the
# services of deploy/docker-compose.yml from them (tests/ship/container): one message goes from a device
# with a certificate into PostgreSQL. Needs root and some minutes, no container engine.
set -euo pipefail
# shellcheck source=tests/ship/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A pids=()
work=${1:-$(mktemp -d)}
secrets=$work/deploy/secrets

# Overlay where this file system can; vfs copies everything for each layer, and takes three times as long.
driver=overlay
build() { buildah --root "$work/store" --runroot "$work/run" --storage-driver "$driver" "$@"; }
root_of() { realpath "$work/$1.root"; }

# debian:bookworm-slim as far as it matters: a minimal root without documentation and apt's files, which
# takes updates too.
make_base() {
  local container root
  container=$(build from scratch) || { driver=vfs && container=$(build from scratch); }
  root=$(build mount "$container")
  debian_root "$root"
  debian_sources >"$root/etc/apt/sources.list"
  rm -rf "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/lib/apt/lists/* \
    "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
  build umount "$container" >/dev/null
  build commit -q "$container" base >/dev/null
  build rm "$container" >/dev/null
}

# make_image TARGET: with --format docker, because OCI's own has no HEALTHCHECK.
make_image() {
  local log=$work/$1.log
  say "building the image $1"
  (cd "$repo" && build bud --isolation chroot --format docker --layers --target "$1" -t "$1" \
    -f deploy/Dockerfile --build-arg BASE=localhost/base --build-arg VERSION=1.2.3 \
    --build-arg REVISION=abc --build-arg SOURCE=https://example.org/sluice .) >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    die "the build of $1 failed"
  }
  build inspect --type image "$1" >"$work/$1.json"
  ln -s "$(build mount "$(build from "$1")")" "$work/$1.root"
}

# expect WHAT COMMAND…: dies unless the command succeeds.
expect() { "${@:2}" >"$work/expect.out" 2>&1 || { cat "$work/expect.out" >&2 && die "not so: $1"; }; }
nothing() { [[ -z $("$@") ]] || { "$@" && return 1; }; }

# from_image TARGET EXPRESSION: a Python expression over `config`, the image's.
from_image() {
  python3 -c 'import json, sys
config = json.load(open(sys.argv[1]))["Docker"]["config"]
print(eval(sys.argv[2]))' "$work/$1.json" "$2"
}

packages() { dpkg-query --admindir="$(root_of "$1")/var/lib/dpkg" -W -f '${Package}\n'; }
of_development() { packages "$1" | grep -E -- '-dev$|^(gcc|g\+\+|clang|cpp|make|cmake|binutils)(-[0-9]+)?$' || true; }
programs_of_development() {
  find "$(root_of "$1")"/{usr/,}{local/,}{bin,sbin}/ -xdev 2>/dev/null |
    grep -E '/(cc|c\+\+|gcc|g\+\+|clang|cpp|ld|as|make|cmake|ninja)[-.0-9]*$' || true
}
setuid_files() { find "$(root_of "$1")" -xdev -type f -perm /6000; }
secrets_inside() {
  find "$(root_of "$1")" -xdev \( -name '*.key' -o -name 'id_*' -o -name .git -o -name secrets \
    -o -name database.url -o -name passwords \)
  grep -rIlE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' "$(root_of "$1")"/{etc,home,opt,root,srv,usr,var} || true
}
# What the image's own user could change, beside its volume and the places that everybody may write to.
writable() {
  find "$(root_of "$1")" -xdev \( -type f -o -type d \) \( -user "$2" -o -perm -o+w ! -perm -1000 \) ! -path "*$3"
}

check_image() { # target, uid, volume
  say "image $1: $(build images --format '{{.Size}}' "localhost/$1") on a base of" \
    "$(build images --format '{{.Size}}' localhost/base); $(packages "$1" | wc -l) packages"
  expect "$1: has no compiler and no -dev package" nothing of_development "$1"
  expect "$1: has no program for building" nothing programs_of_development "$1"
  expect "$1: has no setuid file" nothing setuid_files "$1"
  expect "$1: has no secret" nothing secrets_inside "$1"
  expect "$1: has nothing that its user owns but $3" nothing writable "$1" "$2" "$3"
  expect "$1: has apt's lists removed" nothing find "$(root_of "$1")/var/lib/apt/lists" -type f
  expect "$1: runs as $2" test "$(from_image "$1" 'config["User"]')" = "$2:$2"
  expect "$1: has its volume" test "$(from_image "$1" 'list(config["Volumes"])')" = "['$3']"
  expect "$1: has a HEALTHCHECK" test -n "$(from_image "$1" 'config["Healthcheck"]["Test"][1]')"
  expect "$1: is labelled" test "$(from_image "$1" \
    '[config["Labels"]["org.opencontainers.image." + x] for x in ("version", "revision", "source")]')" \
    = "['1.2.3', 'abc', 'https://example.org/sluice']"
}

check_builtin_run() {
  local container
  container=$(build from sluice)
  build run --isolation chroot "$container" -- sluice --version
  # shellcheck disable=SC2016  # expanded inside
  expect "every library of the plugin is in the broker's image" \
    nothing chroot "$(root_of broker)" sh -c 'ldd /usr/lib/sluice/*.so | grep "not found" || true'
}

# What an operator does first, in a copy of deploy/.
prepare() {
  cp -r "$repo/deploy" "$work/deploy"
  rm -rf "$secrets" "$work/deploy/.env"
  cp "$work/deploy/.env.example" "$work/deploy/.env"
  PATH=$repo/build/bin:$PATH "$work/deploy/prepare" localhost
  expect "the secrets are for root only" test "$(stat -c %a "$secrets")" = 700
  docker-compose -f "$work/deploy/docker-compose.yml" config >"$work/compose.yml"
}

# --- The second half: in a network namespace of its own, so that the ports are the real ones.

# service NAME ARGUMENT…: as an engine would run it; exec's.
service() {
  local target=sluice
  [[ $1 != mqtt ]] || target=broker
  exec "$repo/tests/ship/container" "$work/compose.yml" "$work/$target.json" "$(root_of "$target")" \
    "$work/state" "$@"
}

# start NAME ARGUMENT…: in the background; pids[NAME] is unshare's, process NAME that of number 1.
start() {
  (service "$@") >"$work/$1.out" 2>"$work/$1.err" &
  pids[$1]=$!
}
process() { awk '{print $1}' "/proc/${pids[$1]}/task/${pids[$1]}/children"; }

# inside NAME COMMAND…: what HEALTHCHECK does: in the namespaces and with the user of a running service.
inside() {
  local pid uid
  pid=$(process "$1")
  uid=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")
  nsenter --target "$pid" --mount --pid --root --wd -- \
    setpriv --reuid="$uid" --regid="$uid" --clear-groups --no-new-privs -- "${@:2}"
}
# healthy TARGET NAME: the image's HEALTHCHECK, which is a program or a shell's line.
healthy() {
  local check
  mapfile -t check < <(from_image "$1" '"\n".join(config["Healthcheck"]["Test"])')
  [[ ${check[0]} == CMD ]] || check=(CMD sh -c "${check[*]:1}")
  inside "$2" "${check[@]:1}"
}

psql_as_owner() { psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -p 5432 -U iot -d iotcloud "$@"; }

start_database() {
  export PGPASSFILE=$work/pgpass
  start_postgres "$work/postgres" 5432 "$work/postgres.log" "$PGPASSFILE"
  PGDATABASE=postgres psql -Xq -h 127.0.0.1 -p 5432 -U postgres \
    -c "CREATE ROLE iot SUPERUSER LOGIN PASSWORD '$(<"$secrets/postgres_password")'" \
    -c 'CREATE DATABASE iotcloud OWNER iot'
  echo "127.0.0.1:*:*:iot:$(<"$secrets/postgres_password")" >>"$PGPASSFILE"
}
server_started() { pids[$1]=$2; }

publish() { # seq
  mosquitto_pub -V 5 -h localhost -p 8883 --cafile "$secrets/pki/ca.crt" -q 1 \
    --cert "$work/device/device.crt" --key "$work/device/device.key" \
    -t tenant/orchard/device/probe-7/telemetry -m "{\"site_id\":\"north\",\"seq\":$1,\"metrics\":{\"heat\":21.5}}"
}
# Until the broker has read it, the plugin refuses; mosquitto_pub's status does not tell the two apart.
refused_by_the_list() {
  publish 2 || true
  grep -q 'certificate verify failed' "$work/mqtt.err"
}
stored() { [[ $(psql_as_owner -c 'SELECT count(*) FROM telemetry') == "$1" ]]; }

run_services() {
  ip link set lo up
  start_database
  say "migrate, roles"
  expect "migrate ends well" subshell service migrate
  expect "roles.sql runs" psql_as_owner -v secrets="$secrets" -f "$repo/deploy/postgres/roles.sql"
  expect "and once more" psql_as_owner -v secrets="$secrets" -f "$repo/deploy/postgres/roles.sql"
  expect "an operator adds a device" subshell service migrate device add orchard probe-7 --site north
  expect "and gives it a certificate" env DATABASE_URL=postgresql://iot@127.0.0.1/iotcloud \
    PGPASSFILE="$PGPASSFILE" "$repo/build/bin/sluice" device cert issue orchard probe-7 --dir "$secrets/pki" --out "$work/device"

  say "crl, mqtt, ingest: each process 1, on a read-only root, without capabilities"
  start crl crl write --dir /run/secrets --out /var/lib/sluice/device-crl.pem --every 1s
  start mqtt
  wait_for 20 healthy broker mqtt || { cat "$work/mqtt.err" >&2 && die "the broker is not healthy"; }
  start ingest
  wait_for 20 healthy sluice ingest || { cat "$work/ingest.err" >&2 && die "the daemon is not healthy"; }
  expect "it is ready" wait_for 20 curl -fsS http://127.0.0.1:8080/ready
  expect "its root is read-only" not inside ingest sh -c ': >/tmp/x'
  expect "it is process 1" inside ingest grep -qx sluice /proc/1/comm
  expect "doctor finds nothing failed" subshell service ingest doctor

  expect "a device publishes" publish 1
  expect "its message is stored" wait_for 20 stored 1
  psql_as_owner -c "SELECT tenant_id, device_id, site_id, seq, metrics FROM telemetry"
  say "revoking the device: crl writes the list, the broker reads it again by itself"
  expect "the owner revokes" subshell service migrate device revoke orchard probe-7
  expect "the list keeps the device from connecting" wait_for 30 refused_by_the_list

  say "SIGTERM to process 1"
  stop ingest
  cat "$work/ingest.out"
  expect "the accounting line balances" grep -qx \
    'received=1 stored=1 quarantined=0 duplicates=0 spooled=0' <(tail -n 1 "$work/ingest.out")
  stop crl
  stop mqtt
  expect "the broker's session is on its volume" test -s "$work/state/broker/mosquitto.db"
}
subshell() { ("$@"); }
not() { ! "$@"; }

# stop NAME: what an engine does; the process must end in order by itself.
stop() {
  local status=0
  kill -TERM "$(process "$1")"
  wait_for 25 process_gone "${pids[$1]}" || die "$1 does not heed SIGTERM"
  wait "${pids[$1]}" || status=$?
  ((status == 0)) || die "$1 ended with $status"
  unset "pids[$1]"
}

clean_up() {
  local name
  for name in "${!pids[@]}"; do end_pid 20 "${pids[$name]}" || true; done
}

remove_all() {
  build rm --all >/dev/null 2>&1 || true
  umount "$work/store/overlay" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}

if (($#)); then # the second half
  trap clean_up EXIT
  run_services
  exit
fi

((EUID == 0)) || die "needs root"
trap remove_all EXIT
chmod 711 "$work" # PostgreSQL's user passes through
make_base
make_image sluice
make_image broker
check_image sluice 10001 /var/lib/sluice
check_image broker 10002 /var/lib/mosquitto
check_builtin_run
prepare
unshare --net -- "${BASH_SOURCE[0]}" "$work"

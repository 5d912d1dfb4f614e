#!/usr/bin/env bash
# The Debian package in a root that has nothing but Debian: installed with what it depends on, started as
# its unit says, with the broker's plugin from the package; one message on its whole way; upgraded under the
# daemon; removed again without a trace, but for a spool that was not drained.
set -euo pipefail
# What is mounted for it is for nobody else, and gone with it.
[[ -n ${SLUICE_SHIP_MOUNTS:-} ]] || SLUICE_SHIP_MOUNTS=private exec unshare --mount "$0" "$@"
# shellcheck source=tests/ship/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

work=$(mktemp -d /tmp/sluice-package.XXXXXX)
chmod 755 "$work"
root=$work/root
archives=$repo/build/ship/archives  # of apt, so that the second run loads nothing
declare -A pids=()

server_started() { pids[$1]=$2; }

end() {  # end NAME SECONDS [SIGNAL]
  [[ -n ${pids[$1]:-} ]] || return 0
  end_pid "$2" "${pids[$1]}" "${3:-TERM}" || say "$1 did not end in time and was killed"
  unset "pids[$1]"
}

clean_up() {
  (end_daemon KILL) || true
  end mosquitto 20
  end postgres 30 INT
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}

# end_daemon SIGNAL: strace, which watches it, ends with it.
end_daemon() {
  local daemon
  [[ -n ${pids[strace]:-} ]] || return 0
  daemon=$(pgrep -P "${pids[strace]}") && kill -s "$1" "$daemon"
  wait_for 60 process_gone "${pids[strace]}" || die "the daemon does not stop"
  unset "pids[strace]"
}

in_root() { DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$root" "$@"; }

# apt_root ARGUMENT…: apt-get in the root; its words only when it fails.
apt_root() {
  in_root apt-get -q -o DPkg::Lock::Timeout=60 "$@" >"$work/apt.log" 2>&1 || {
    tail -n 40 "$work/apt.log" >&2
    die "apt-get $1 failed in the root"
  }
}

make_package() {
  (cd "$repo/build" && cpack -B "$work" >"$work/cpack.log" 2>&1) || {
    cat "$work/cpack.log" >&2
    die "cpack failed"
  }
  package=$(echo "$work"/sluice_*.deb)
  echo "package: ${package##*/}, $(stat -c %s "$package") bytes," \
    "$(dpkg-deb -f "$package" Installed-Size) KiB installed"
  echo "depends: $(dpkg-deb -f "$package" Depends)"
  # Who builds it says whose it is; secrets are not for all to read; prerm says why.
  lintian --allow-root --fail-on error,warning --suppress-tags \
    bogus-mail-host,bogus-mail-host-in-debian-changelog,non-standard-file-perm,maintainer-script-calls-systemctl \
    "$package"
}

make_root() {
  debian_root "$root"
  mount -t proc proc "$root/proc"
  debian_sources >"$root/etc/apt/sources.list"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  mkdir -p "$archives"
  cp -n "$archives"/*.deb "$root/var/cache/apt/archives/" 2>/dev/null || true
  apt_root update
  apt_root satisfy -y --no-install-recommends "$(dpkg-deb -f "$package" Depends), mosquitto"
  cp -n "$root"/var/cache/apt/archives/*.deb "$archives/"
  cp "$package" "$root/tmp/sluice.deb"
}

# What apt, dpkg and the logs keep about themselves is theirs. systemd-sysusers leaves its lock and the
# lists of users as they were, and mosquitto has run here.
files_of_root() {
  (cd "$root" && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./run -o -path ./var/cache \
    -o -path ./var/lib/apt -o -path ./var/log -o -path ./var/lib/mosquitto \
    -o -path './etc/.pwd.lock' -o -path './etc/*-' \) -prune -o -print | sort)
}

install_package() { apt_root install -y --no-install-recommends /tmp/sluice.deb; }

check_contents() {
  local shown
  in_root sluice --version
  in_root sluice-loadtest --version >/dev/null
  for shown in man1/sluice.1 man1/sluice-loadtest.1 man5/sluice.env.5; do
    gzip -t "$root/usr/share/man/$shown.gz"
  done
  # shellcheck disable=SC2016  # expanded by the inner shell
  shown=$(in_root bash -c 'source /usr/share/bash-completion/completions/sluice
    COMP_WORDS=(sluice quarantine re) COMP_CWORD=2 && _sluice && echo "${COMPREPLY[*]}"')
  [[ $shown == replay ]] || die "completion of 'sluice quarantine re' gives '$shown'"
  # zsh itself keeps of what is added what begins with the word at hand.
  # shellcheck disable=SC2016  # expanded by zsh
  shown=$(zsh -fc 'compadd() { shift; print -r -- $@ }; _files() { print files }
    complete() { local words=(sluice $@) CURRENT=$(($# + 1)); source $file }; file=$0
    complete quarantine re; complete quarantine list --tenant ""' \
    "$root/usr/share/zsh/vendor-completions/_sluice")
  [[ $shown == *\ replay\ *$'\nfiles' ]] || die "zsh's completion gives '$shown'"
  [[ $(in_root stat -c '%a %U:%G' /etc/sluice/sluice.env) == '640 root:sluice' ]] ||
    die "/etc/sluice/sluice.env is open to others"
  in_root systemd-analyze --man=no verify sluice.service sluice-crl.service
  for shown in sluice sluice-crl; do
    in_root systemd-analyze security --no-pager --offline=true \
      "/usr/lib/systemd/system/$shown.service" | grep 'Overall exposure'
  done
  [[ ! -e $root/etc/systemd/system/multi-user.target.wants/sluice.service ]] ||
    die "the service is enabled before it is configured"
}

start_database() {
  export PGPASSFILE=$work/pgpass
  postgres_port=$(free_port 54500)
  start_postgres "$work/postgres" "$postgres_port" "$work/postgres.log" "$PGPASSFILE"
  owner_url=postgresql://postgres:$(cut -d: -f5 "$PGPASSFILE")@127.0.0.1:$postgres_port/iotcloud
  admin -d postgres -c 'CREATE DATABASE iotcloud'
}

admin() { psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U postgres "$@"; }

# as_owner COMMAND…: of sluice, as who owns the tables and the authorities.
as_owner() { in_root env DATABASE_URL="$owner_url" PKI_DIR=/etc/sluice/pki sluice "$@"; }

# secret USER FILE: standard input becomes a file of the root that only USER can read.
secret() { in_root install -o "$1" -m 0400 /dev/stdin "$2"; }

# As docs/install.md has it.
prepare_database() {
  local password broker_password
  password=$(random_password)
  broker_password=$(random_password)
  as_owner migrate | tail -n 1
  admin -d iotcloud <<SQL
CREATE ROLE sluice LOGIN PASSWORD '$password';
CREATE ROLE sluice_broker LOGIN BYPASSRLS PASSWORD '$broker_password';
GRANT SELECT (tenant_id, device_id, status, provision_token_hash)
  ON device_registry TO sluice_broker;
GRANT SELECT (tenant_id, device_id, status, fingerprint_sha256, not_before, not_after)
  ON device_certificates TO sluice_broker;
SQL
  admin -d iotcloud -v role=sluice -f "$root/usr/share/sluice/postgres/grants.sql" 2>/dev/null
  echo "postgresql://sluice:$password@127.0.0.1:$postgres_port/iotcloud" |
    secret sluice /etc/sluice/database.url
  in_root install -d -o mosquitto -m 0750 /etc/mosquitto/sluice
  echo "postgresql://sluice_broker:$broker_password@127.0.0.1:$postgres_port/iotcloud" |
    secret mosquitto /etc/mosquitto/sluice/database.url
  as_owner pki init --server-name localhost 127.0.0.1 >/dev/null
  as_owner crl write --out /etc/mosquitto/sluice/device-crl.pem
  token=$(as_owner device add orchard probe-7 --site north 2>/dev/null)
}

# The broker with the package's own configuration and plugin; only its ports are ours.
start_broker() {
  local password key conf=$root/etc/mosquitto/conf.d name
  password=$(random_password)
  key=$(openssl rand -hex 32)
  for name in server.crt server.key combined-ca.crt; do
    secret mosquitto "/etc/mosquitto/sluice/$name" <"$root/etc/sluice/pki/$name"
  done
  secret mosquitto /etc/mosquitto/sluice/rules.conf <"$root/usr/share/sluice/mosquitto/rules.conf"
  secret mosquitto /etc/mosquitto/sluice/stamp.key <<<"$key"
  secret sluice /etc/sluice/stamp.key <<<"$key"
  secret sluice /etc/sluice/mqtt.password <<<"$password"
  (umask 077 && echo "sluice:$password" >"$work/passwords")
  mosquitto_passwd -U "$work/passwords"
  secret mosquitto /etc/mosquitto/sluice/passwords <"$work/passwords"
  mqtt_port=$(free_port 18500)
  cp "$root/usr/share/sluice/mosquitto/mosquitto.conf" "$conf/sluice.conf"
  sed -e "s|^listener 8883\$|listener $(free_port 18600) 127.0.0.1|" \
    -e "s|^listener 1883 .*|listener $mqtt_port 127.0.0.1|" \
    -e "s|^listener 9001 .*|listener $(free_port 18700) 127.0.0.1|" \
    "$root/usr/share/sluice/mosquitto/listeners.conf" >"$conf/sluice-listeners.conf"
  in_root install -d -o mosquitto /run/mosquitto
  chroot "$root" mosquitto -c /etc/mosquitto/mosquitto.conf >"$work/mosquitto.out" 2>&1 &
  server_started mosquitto $!
  wait_for 20 port_answers "$mqtt_port" || {
    cat "$work/mosquitto.out" "$root/var/log/mosquitto/mosquitto.log" >&2
    die "the broker does not start with the package's configuration"
  }
}

configure_daemon() {
  http_port=$(free_port 18800)
  cat >>"$root/etc/sluice/sluice.env" <<TEXT
MQTT_HOST=127.0.0.1
MQTT_PORT=$mqtt_port
MQTT_USERNAME=sluice
MQTT_PASSWORD_FILE=/etc/sluice/mqtt.password
DATABASE_URL_FILE=/etc/sluice/database.url
CERT_AUTH_ENABLED=1
STAMP_KEY_FILE=/etc/sluice/stamp.key
HTTP_HOST=127.0.0.1
HTTP_PORT=$http_port
TEXT
}

# unit NAME: what the package's unit says, one line each.
unit() { sed -n "s/^$1=//p" "$root/usr/lib/systemd/system/sluice.service"; }

# as_daemon COMMAND: a shell's, as the unit's user with the unit's settings. exec's; use it in a
# subshell.
as_daemon() {
  exec chroot --userspec="$(unit User):$(unit Group)" "$root" \
    sh -c "set -a; . $(unit EnvironmentFile); exec $1"
}

# Under strace, which writes down every system call for check_sandbox.
start_daemon() {
  export -f as_daemon unit
  export root
  # shellcheck disable=SC2016  # expanded by the inner shell
  strace -f -qq -o "$work/trace" setsid bash -c 'as_daemon "$1"' _ "$(unit ExecStart)" \
    >"$work/sluice.out" 2>"$work/sluice.log" &
  server_started strace $!
  wait_for 60 curl -fsS "http://127.0.0.1:$http_port/ready" || {
    cat "$work/sluice.log" >&2
    die "the daemon is not ready"
  }
}

stored() { [[ $(admin -d iotcloud -c 'SELECT count(*) FROM telemetry') == "$1" ]]; }

# send N: the device's Nth message, over its own login; then it must be a row, with a proven sender.
send() {
  # The first login of a device is refused while the plugin looks it up; devices try again.
  wait_for 20 mosquitto_pub -h 127.0.0.1 -p "$mqtt_port" -V 5 -q 1 -u orchard/probe-7 -P "$token" \
    -t tenant/orchard/device/probe-7/telemetry \
    -m '{"site_id": "north", "metrics": {"heat": 21.5}}' || {
    tail "$root/var/log/mosquitto/mosquitto.log" >&2
    die "the broker does not take message $1"
  }
  wait_for 30 stored "$1" || {
    cat "$work/sluice.log" >&2
    admin -d iotcloud -c 'SELECT reason, detail FROM quarantine_events' >&2
    die "message $1 was not stored"
  }
}

# As an operator takes the next version: the daemon goes on, and what was set stays.
upgrade_package() {
  local daemon next=$work/next settings=$root/etc/sluice/sluice.env
  dpkg-deb -R "$package" "$next"
  sed -i 's/^Version: .*/&+next/' "$next/DEBIAN/control"
  echo '# new in this version' >>"$next/etc/sluice/sluice.env"
  dpkg-deb -b "$next" "$root/tmp/next.deb" >/dev/null
  cp "$settings" "$work/settings"
  daemon=$(pgrep -P "${pids[strace]}")
  apt_root install -y --no-install-recommends -o Dpkg::Options::=--force-confdef /tmp/next.deb
  in_root dpkg-query -W sluice
  cmp "$settings" "$work/settings" || die "the operator's settings were changed"
  [[ $(in_root stat -c '%a %U:%G' /etc/sluice/sluice.env) == '640 root:sluice' ]] ||
    die "the settings are open to others after the upgrade"
  as_owner migrate | tail -n 1
  [[ $(pgrep -P "${pids[strace]}") == "$daemon" ]] || die "the daemon was restarted"
}

# calls_of GROUP: the system calls that systemd means by it.
calls_of() {
  local name
  while read -r name; do
    if [[ $name == @* ]]; then calls_of "$name"; else echo "$name"; fi
  done < <(in_root systemd-analyze --no-pager syscall-filter "$1" |
    sed -n 's/^    \([@a-z0-9_-]*\)$/\1/p')
}

# Nothing that the daemon did from its first instruction on is what its unit forbids.
check_sandbox() {
  local calls=$work/calls allowed=$work/allowed forbidden
  sed '1,/execve("\/usr\/bin\/sluice"/d' "$work/trace" >"$calls"
  comm -23 <(calls_of @system-service | sort -u) <(calls_of @privileged | sort -u) >"$allowed"
  forbidden=$(sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$calls" | sort -u | comm -23 - "$allowed")
  [[ -z $forbidden ]] || die "SystemCallFilter= forbids what the daemon calls: $forbidden"
  forbidden=$(grep -E '(mmap|pkey_mprotect)\(.*PROT_WRITE\|PROT_EXEC|mprotect\(.*PROT_EXEC' "$calls" || true)
  [[ -z $forbidden ]] || die "MemoryDenyWriteExecute= forbids $forbidden"
  forbidden=$(sed -nE 's/.* socket\((AF_[A-Z0-9]+),.*/\1/p' "$calls" | sort -u |
    grep -vxF "$(unit RestrictAddressFamilies | tr ' ' '\n')" || true)
  [[ -z $forbidden ]] || die "RestrictAddressFamilies= forbids $forbidden"
  echo "sandbox: $(sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$calls" | sort -u | wc -l)" \
    "different system calls, all of them allowed"
}

# What an operator has made beside the package is an operator's to remove.
remove_own_files() {
  rm -rf "$root"/etc/sluice/{pki,stamp.key,mqtt.password,database.url} "$root/etc/mosquitto/sluice" \
    "$root"/etc/mosquitto/conf.d/sluice*.conf
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_package
make_root
files_of_root >"$work/before"

say "installing, and one message on its whole way"
install_package
check_contents
start_database
prepare_database
start_broker
configure_daemon
(as_daemon 'sluice doctor') | tail -n 1
start_daemon
send 1
curl -fsS "http://127.0.0.1:$http_port/metrics" | grep '^sluice_build_info'
upgrade_package
send 2
end_daemon TERM
tail -n 1 "$work/sluice.out"
check_sandbox

say "purging: a spool that was not drained stays"
in_root systemctl enable sluice.service >/dev/null 2>&1
apt_root purge -y sluice
grep -q 'was not drained' "$work/apt.log" || die "nobody said that the spool stays"
[[ -d $root/var/lib/sluice/spool ]] || die "the spool is gone, which was not drained"

say "installing again on that spool, draining, purging"
install_package
configure_daemon
start_daemon
send 3
(as_daemon 'sluice drain')
end_daemon TERM
end mosquitto 20
apt_root purge -y sluice
remove_own_files
rmdir "$root/etc/sluice" 2>/dev/null || true
files_of_root >"$work/after"
diff "$work/before" "$work/after" || die "files were left behind"
echo "nothing is left of it"

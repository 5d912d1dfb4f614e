# Shared bash functions; source it after `set -euo pipefail`. Nothing runs on sourcing.
#
# Servers started here listen on 127.0.0.1 only, in a session of their own (a Ctrl-C at the terminal
# does not reach them), and are ended by the pid that started them.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# server_started NAME PID: called by start_* as soon as there is a process to end, before anything
# can fail. Define your own after sourcing this file.
server_started() { :; }

# free_port FIRST: prints the first port from FIRST on that nobody listens on at 127.0.0.1.
free_port() {
  local port
  for ((port = $1; port < $1 + 1000; ++port)); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
  done
  die "no free port from $1 on"
}

# remembered_port FILE FIRST: like free_port, but prefers the one that FILE holds from last time.
remembered_port() {
  local port
  port=$(free_port "$(cat "$1" 2>/dev/null || echo "$2")")
  echo "$port" | tee "$1"
}

# wait_for SECONDS COMMAND…: repeats the command until it succeeds; false when time is up.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}

running() { kill -0 "$1" 2>/dev/null; }

# end_pid SECONDS PID [SIGNAL]: asks the process to end, waits, and kills it when time is up.
# False when it had to be killed.
end_pid() {
  running "$2" || return 0
  kill -s "${3:-TERM}" "$2" 2>/dev/null || return 0
  # In an EXIT trap a bare return would give the script's status.
  wait_for "$1" process_gone "$2" && return 0
  kill -s KILL "$2" 2>/dev/null
  return 1
}

# True for a zombie, too: it only waits for its parent to look.
process_gone() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
  [[ -z $state || $state == Z ]]
}

# as_user USER COMMAND…: root becomes USER; anybody else stays who they are. exec's, so $! is the
# command's own pid: use it in a background job or a subshell.
as_user() {
  if ((EUID == 0)); then
    exec setpriv --reuid="$1" --regid="$(id -gn "$1")" --init-groups -- "${@:2}"
  fi
  exec "${@:2}"
}

# private_directory PATH USER: makes PATH, for USER only when we are root. Where USER cannot reach
# it (a closed directory above), PATH becomes a link to a fresh directory under /tmp; so give USER
# the realpath of PATH. Dies when another user's data is there.
private_directory() {
  local path=$1 user=$2 real
  ((EUID == 0)) || user=$(id -un)
  [[ -d $path ]] && (as_user "$user" test -w "$(realpath "$path")") && return
  if [[ -d $path ]]; then
    rmdir "$(realpath "$path")" 2>/dev/null || die "$path is somebody else's; remove it or use --fresh"
  fi
  rm -f "$path"
  mkdir -p "$path"
  if ((EUID == 0)); then chown "$user:" "$path"; fi
  chmod 700 "$path"
  (as_user "$user" test -w "$path") && return
  rmdir "$path"
  real=$(mktemp -d "/tmp/${path##*/}.XXXXXX")
  if ((EUID == 0)); then chown "$user:" "$real"; fi
  ln -s "$real" "$path"
}

# postgres_bin: prints the directory of the newest installed server's programs.
postgres_bin() {
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $newest/postgres ]] || die "PostgreSQL is not installed; see scripts/packages"
  echo "$newest"
}

# start_postgres DATA PORT LOG PASSFILE [OPTION…]: starts a server of its own, with superuser postgres,
# whose password goes to PASSFILE (for PGPASSFILE) when DATA is new. The server gets the options.
start_postgres() {
  local data=$1 port=$2 log=$3 passfile=$4 bin password
  bin=$(postgres_bin)
  private_directory "$data" postgres
  data=$(realpath "$data")
  if [[ ! -e $data/PG_VERSION || ! -s $passfile ]]; then
    find "$data/" -mindepth 1 -delete
    password=$(random_password)
    (umask 077 && echo "127.0.0.1:*:*:postgres:$password" >"$passfile")
    # initdb opens the password's file by name, so the pipe must be the server user's own.
    # shellcheck disable=SC2016  # expanded by the inner shell
    (cd / && as_user postgres bash -c '"$1/initdb" -D "$2" -U postgres -A scram-sha-256 -E UTF8 \
      --locale=C.UTF-8 --pwfile=<(cat)' _ "$bin" "$data" <<<"$password") >"$log" 2>&1 ||
      die "initdb failed; see $log"
  fi
  : >>"$log"
  (cd / && as_user postgres setsid "$bin/postgres" -D "$data" -p "$port" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=256MB \
    -c max_wal_size=4GB -c checkpoint_timeout=15min -c wal_compression=on "${@:5}" >>"$log" 2>&1) &
  server_started postgres $!
  PGPASSFILE=$passfile wait_for 60 \
    psql -qAt -h 127.0.0.1 -p "$port" -U postgres -d postgres -c 'SELECT 1' ||
    die "PostgreSQL does not answer; see $log"
}

random_password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# broker_configuration DIRECTORY TLS_PORT PORT WEBSOCKET_PORT: prints the broker's configuration as it
# is shipped, for a private broker: all its files in DIRECTORY, its listeners on these ports of
# 127.0.0.1.
broker_configuration() {
  local shipped directory
  shipped=$(dirname "${BASH_SOURCE[0]}")/../deploy/mosquitto
  directory=$(printf '%s' "$1" | sed 's/[\\&|]/\\&/g')
  sed -e "s|/etc/mosquitto/sluice/|$directory/|" -e "s|/usr/lib/sluice/|$directory/|" \
    -e "s|^listener 8883\$|listener $2 127.0.0.1|" \
    -e "s|^listener 1883 .*|listener $3 127.0.0.1|" \
    -e "s|^listener 9001 .*|listener $4 127.0.0.1|" \
    "$shipped/mosquitto.conf" "$shipped/listeners.conf"
  printf '\n# Added by %s.\npersistence_location %s/\nlog_dest stderr\n' "${0##*/}" "$1"
}

# start_mosquitto CONFIG PORT LOG: starts a broker that answers on PORT. Each of its clients is a
# descriptor.
start_mosquitto() {
  local config=$1 port=$2 log=$3 program
  program=$(PATH=$PATH:/usr/sbin:/sbin command -v mosquitto) || die "Mosquitto is not installed"
  : >>"$log"
  (ulimit -Sn 65536 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"
    as_user mosquitto setsid "$program" -c "$config" >>"$log" 2>&1) &
  server_started mosquitto $!
  wait_for 20 port_answers "$port" || die "Mosquitto does not answer; see $log"
}

port_answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

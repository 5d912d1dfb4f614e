#!/usr/bin/env bash
# Does a device get through with a certificate? Issues one, publishes a message over mutual TLS, and
# looks into the database for what became of it. Exit status 0: stored; 1: it was not; 2: could not
# be tried.
#
#   PKI_DIR=/etc/sluice/pki DATABASE_URL=postgresql://… deploy/test_mtls_device.sh TENANT DEVICE
#
# The device must be registered. The certificate is revoked at the end; its row stays. The database's
# settings are those of sluice; they must name the role that owns the tables.
set -euo pipefail

usage() {
  echo "usage: PKI_DIR=DIR ${0##*/} TENANT DEVICE [HOST [PORT]]" >&2
  exit 2
}

die() {
  echo "${0##*/}: $*" >&2
  exit 2
}

[[ $# -ge 2 && $# -le 4 && -n ${PKI_DIR:-} ]] || usage
tenant=$1 device=$2 host=${3:-localhost} port=${4:-8883}
here=$(dirname "$(realpath "$0")")
sluice=${SLUICE:-$here/../build/bin/sluice}
[[ -x $sluice ]] || sluice=$(command -v sluice) || die "sluice is not built; name it in SLUICE"

# psql reads its own variables; a URL on its command line would show the password to everybody.
if [[ -n ${DATABASE_URL:-} ]]; then
  eval "$(python3 -c '
import os, shlex, urllib.parse as u
url = u.urlsplit(os.environ["DATABASE_URL"])
query = dict(u.parse_qsl(url.query))
for name, value in (("HOST", url.hostname or query.get("host")), ("PORT", url.port),
                    ("USER", url.username), ("PASSWORD", url.password),
                    ("DATABASE", url.path.lstrip("/")), ("SSLMODE", query.get("sslmode"))):
    if value: print("export PG%s=%s" % (name, shlex.quote(u.unquote(str(value)))))')"
else
  export PGHOST=${PG_HOST:-iot-postgres} PGPORT=${PG_PORT:-5432} PGDATABASE=${PG_DB:-iotcloud}
  export PGUSER=${PG_USER:-iot} PGPASSWORD=${PG_PASS:-iot_dev}
fi

# query SQL: with :'tenant', :'device' and :'mark'.
query() {
  psql -qAtX -v ON_ERROR_STOP=1 -v tenant="$tenant" -v device="$device" -v mark="$mark" <<<"$1"
}

mark=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
work=$(mktemp -d)
fingerprint=
# shellcheck disable=SC2317  # the trap calls it
cleanup() {
  if [[ -n $fingerprint ]]; then
    "$sluice" device cert revoke "$tenant" "$device" --fingerprint "$fingerprint" \
      --reason "test_mtls_device.sh" >/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

echo "==> issuing a certificate for $tenant/$device"
"$sluice" device cert issue "$tenant" "$device" --out "$work/device" --days 1 || exit 2
fingerprint=$(openssl x509 -in "$work/device/device.crt" -noout -fingerprint -sha256)
fingerprint=${fingerprint#*=}
openssl x509 -in "$work/device/device.crt" -noout -subject -issuer -dates

site=$(query "SELECT site_id FROM device_registry
  WHERE tenant_id = :'tenant' AND device_id = :'device'") || die "the database does not answer"

echo "==> publishing over mutual TLS to $host:$port"
printf '{"version":"1","ts":"%s","site_id":"%s","metrics":{"mtls_test":%s}}' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$site" "$mark" >"$work/message"
if ! mosquitto_pub --cafile "$PKI_DIR/ca.crt" --cert "$work/device/device.crt" \
  --key "$work/device/device.key" -h "$host" -p "$port" -q 1 \
  -t "tenant/$tenant/device/$device/telemetry" -f "$work/message"; then
  echo "VERDICT: REFUSED by the broker"
  exit 1
fi

for ((attempt = 0; attempt < 100; ++attempt)); do
  found=$(query "SELECT 'ACCEPTED: stored at ' || coalesce(received_at, time) FROM telemetry
      WHERE tenant_id = :'tenant' AND device_id = :'device' AND time > now() - interval '1 day'
        AND metrics ->> 'mtls_test' = :'mark'
    UNION ALL
    SELECT 'REJECTED by the daemon: ' || reason FROM quarantine_events
      WHERE tenant_id = :'tenant' AND device_id = :'device'
        AND ingested_at > now() - interval '1 day'
        AND payload -> 'metrics' ->> 'mtls_test' = :'mark'
    LIMIT 1") || die "the database does not answer"
  if [[ -n $found ]]; then
    echo "VERDICT: $found"
    [[ $found == ACCEPTED* ]] && exit 0
    exit 1
  fi
  sleep 0.2
done
echo "VERDICT: LOST between broker and database: does the daemon run?"
exit 1

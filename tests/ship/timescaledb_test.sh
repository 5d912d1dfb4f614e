#!/bin/bash
# The hypertable that the migrations make, on a real TimescaleDB: tests/ship/timescaledb/.
set -euo pipefail
# shellcheck source=tests/ship/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$repo/tests/ship/timescaledb
modules=$repo/build/ship/timescaledb
mkdir -p "$modules"
cd "$modules"
if ! cmp -s "$here/package-lock.json" node_modules/installed; then
  cp "$here"/package{,-lock}.json .
  npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
  cp package-lock.json node_modules/installed
fi
cp "$here/hypertable_test.mjs" .
REPOSITORY=$repo exec node --test hypertable_test.mjs

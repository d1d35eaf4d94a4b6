#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A fixed report, as a user would make it: puts the company's template, makes the report in every form, and computes every
# number of it again. No model is needed. Exit 0: each number has its cells, and the odd month was found.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
"$build/bin/inhouse" workflow put "$here/report.yaml" --quiet
for as in markdown html json grafana; do
    mkdir "$INHOUSE_HOME/$as"
    "$build/bin/inhouse" run desk-report "$here/metrics.csv" --as "$as" --out "$INHOUSE_HOME/$as" --quiet
done
"$build/bin/inhouse" audit verify --quiet
exec python3 "$here/check.py" "$here/metrics.csv" "$INHOUSE_HOME"

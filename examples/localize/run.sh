#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The strings of an app into German, as a user would: memory, glossary, a brand rule, no model. Exit 0: what is done is right and whole, what is
# not done says why, nothing but targets changed, and what was approved is memory afterwards.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
"$build/bin/inhouse" run localize "$here/app.po" --memory "$here/tm.po" --glossary "$here/terms.csv" --style "$here/brand.yml" \
    --set language=de --out "$INHOUSE_HOME/out/" 2> "$INHOUSE_HOME/said" || { cat "$INHOUSE_HOME/said" >&2; exit 1; }
# What a person approves is memory from then on: the same file again, without tm.po.
"$build/bin/inhouse" review approve "$(grep -o 'art_[0-9A-Z]*' "$INHOUSE_HOME/said" | head -1)" --quiet
"$build/bin/inhouse" run localize "$here/app.po" --set language=de --quiet --out "$INHOUSE_HOME/again/"
"$build/bin/inhouse" audit verify --quiet
python3 "$here/check.py" "$INHOUSE_HOME/out" "$here/app.po" "$INHOUSE_HOME/again"

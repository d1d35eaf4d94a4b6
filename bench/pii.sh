#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-pii: personal values found in text that nothing was learned on, false alarms on clean messages, checksum types, and the time; see
# bench/pii_find.c. Prints rows f2, checksum-precision, ms-per-1000-tokens. Exit 0: all hold; 1: one is short.
# `bench/pii.sh --train FILE` makes the shipped weights (src/trust/guard/tagger.weights), --shipped measures with them on data they did not see.
set -eu
cd "$(dirname "$0")/.."
data=${INHOUSE_DATA:-../shared/data}
build=${INHOUSE_BUILD:-build}
pii=$data/pii/presidio_synth_v2.jsonl
clean=$data/banking77/train.csv
if [ ! -f "$pii" ] || [ ! -f "$clean" ]; then
    echo "needs $pii and $clean (INHOUSE_DATA)" >&2
    exit 77
fi
exec "$build/bench/pii_find" "$pii" "$clean" README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs/*.md docs/*/*.md \
    rules/stakes/ordinary.txt examples/helpdesk/articles/*.md "$@"

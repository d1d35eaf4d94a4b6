#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-marks: what the lists of injection and harm mark, of harmless text that looks alike, of clean messages, and of held-out sentences; see
# bench/marks_find.c. Exit 0: all hold; 1: one is short.
set -eu
cd "$(dirname "$0")/.."
data=${INHOUSE_DATA:-../shared/data}
build=${INHOUSE_BUILD:-build}
set -- "$data/prompt_injection/piguard/NotInject_one.json" "$data/prompt_injection/piguard/NotInject_two.json" "$data/banking77/train.csv" \
    rules/harm/held-out.txt "$@"
for file in "$1" "$2" "$3"; do
    if [ ! -f "$file" ]; then
        echo "needs $file (INHOUSE_DATA)" >&2
        exit 77
    fi
done
exec "$build/bench/marks_find" "$@"

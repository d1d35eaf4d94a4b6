#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-stakes: what goes to a person whatever a model says: recall of each stake on sentences held out, false
# alarms on those made to look like one and on Banking77. Prints rows stakes-*. Exit 0: all hold; 1: one is short.
set -eu
cd "$(dirname "$0")/.."
data=${INHOUSE_DATA:-../shared/data}
build=${INHOUSE_BUILD:-build}
exec "$build/bench/stakes_find" rules/stakes/held-out.txt "$data/banking77/train.csv" "$@"

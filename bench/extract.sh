#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-extract: values found in customer-service turns, by cross-validation over whole conversations, against patterns
# alone in the same run. Prints rows extract-f1 and extract-precision. Exit 0: both hold; 1: one is short; 77: no data.
set -eu
cd "$(dirname "$0")/.."
export INHOUSE_DATA="${INHOUSE_DATA:-../shared/data}"
exec "${INHOUSE_BUILD:-build}/bench/extract_multidogo" "$@"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-certify: certificates on Banking77, beside the rules that others use on the same scores. Prints rows
# violations, stress and coverage-N, and the curve of labels in all; some minutes (five heads, and those of the curve).
# Sentence vectors as in bench/learn.sh. Exit 0: all rows hold; 1: one is short; 77: no data or model.
set -eu
cd "$(dirname "$0")/.."
data=${INHOUSE_DATA:-../shared/data}
build=${INHOUSE_BUILD:-build}
model=${INHOUSE_FETCHED:-third_party/.fetched}/models/all-MiniLM-L6-v2
export INHOUSE_DATA="$data" INHOUSE_BUILD="$build"
if [ ! -f "$data/banking77/train.csv" ]; then
    echo "no $data/banking77/train.csv: skipped"
    exit 77
fi
if [ -z "${INHOUSE_EMBEDDINGS:-}" ]; then
    INHOUSE_EMBEDDINGS=$build/bench/banking77.f32
    if [ ! -s "$INHOUSE_EMBEDDINGS" ]; then
        if [ ! -d "$model" ]; then
            echo "no $model (make setup fetches it): skipped"
            exit 77
        fi
        "$build/bench/embed_csv" "$model" "$data/banking77/train.csv" "$INHOUSE_EMBEDDINGS"
    fi
fi
export INHOUSE_EMBEDDINGS
exec "$build/bench/certify_banking77" "$@"

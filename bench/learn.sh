#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-learn: the learned rung alone. Rows: banking77-cv and -ece, few-5, few-10, self-5, self-10 (with unlabelled
# traffic), clinc-scope and -ece, oos-1/3/5 and oos-blind-1/3/5 (share of texts of none of the labels that are refused at
# 1/3/5 % of the others, with and without examples of such). bench/learn_rows.c says how each is measured; its options may
# be given here. Sentence vectors lie in INHOUSE_VECTORS, or are made once by the worker's engine from the fetched model
# (two minutes) and kept in the build folder. Exit 0: all rows hold; 1: one is short; 77: no data or model.
set -eu
cd "$(dirname "$0")/.."
data=${INHOUSE_DATA:-../shared/data}
build=${INHOUSE_BUILD:-build}
model=${INHOUSE_FETCHED:-third_party/.fetched}/models/all-MiniLM-L6-v2
export INHOUSE_DATA="$data"
if [ -z "${INHOUSE_VECTORS:-}" ]; then
    INHOUSE_VECTORS=$build/bench
    for set in banking77/train clinc150/clinc150; do
        name=${set%/*}
        if [ ! -f "$data/$set.csv" ]; then
            echo "no $data/$set.csv: skipped"
            exit 77
        fi
        "$build/bench/learn_rows" names "$data/$set.csv" >"$build/bench/$name-names.csv"
        for part in "$data/$set.csv" "$build/bench/$name-names.csv"; do
            out=$build/bench/$name.f32
            [ "$part" = "$data/$set.csv" ] || out=$build/bench/$name-names.f32
            [ ! -s "$out" ] || continue
            if [ ! -d "$model" ]; then
                echo "no $model (make setup fetches it): skipped"
                exit 77
            fi
            "$build/bench/embed_csv" "$model" "$part" "$out"
        done
    done
fi
export INHOUSE_VECTORS
exec "$build/bench/learn_rows" "$@"

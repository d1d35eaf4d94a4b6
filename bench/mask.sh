#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make bench-mask: what keeping a JSON schema costs per emitted token, against llama.cpp's grammar; see bench/schema_mask.c.
# Lower is better: the ratio is the peer's cost over ours. INHOUSE_BENCH_PEER=self puts ours in the peer's place.
root=$(cd "$(dirname "$0")/.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
suite=${INHOUSE_DATA:-$root/../shared/data}/json_schema/draft2020-12
model=${INHOUSE_MODELS:-${INHOUSE_FETCHED:-$root/third_party/.fetched}/models}/smollm2-135m-instruct-q4_1.gguf
if [ ! -f "$model" ] || [ ! -d "$suite" ]; then
    echo "needs SmolLM2 (make setup) and the suite (INHOUSE_DATA): $model, $suite" >&2
    exit 77
fi
exec "$build/bench/schema_mask" "$model" "$suite" "$root/tests/golden/schemas" "${ROUNDS:-3}" "${INHOUSE_BENCH_PEER:-}"

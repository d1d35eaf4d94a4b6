#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Values out of messages, as a user would: learns from past.jsonl, reads new.jsonl, and holds the answers against what a
# person read and against the messages themselves. No model is needed. Exit 0: it worked and is as good as it was.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
"$build/bin/inhouse" learn booking-details "$here/past.jsonl" --quiet
"$build/bin/inhouse" run booking-details "$here/new.jsonl" --quiet --out "$INHOUSE_HOME/out.jsonl"
"$build/bin/inhouse" audit verify --quiet
exec python3 - "$here/new.jsonl" "$INHOUSE_HOME/out.jsonl" <<'PYTHON'
import json, sys
new = {r["id"]: r for r in map(json.loads, open(sys.argv[1]))}
out = {r["id"]: r for r in map(json.loads, open(sys.argv[2]))}
fields = ["reference", "travel_date", "passengers", "price", "destination"]
right = alone = wrong = unverified = 0
for i, r in new.items():
    text = r["text"].encode()
    for f in fields:
        value, meta = out[i][f], out[i]["_meta"][f]
        ok = (value or "") == r["expected"].get(f, "")
        right += ok
        if value:
            said = text[meta["at"]:meta["at"] + meta["len"]].decode()
            unverified += not said or (f in ("reference", "destination") and said != value)
        if meta["rung"] != "person":
            alone += 1
            wrong += not ok
n = len(new) * len(fields)
print("right %d of %d; decided alone %d, of those wrong %d; unverified %d" % (right, n, alone, wrong, unverified))
sys.exit(0 if len(out) == len(new) and right >= 0.9 * n and alone >= 0.5 * n and wrong <= 0.05 * alone and not unverified
         else 1)
PYTHON

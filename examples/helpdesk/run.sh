#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example company from its files to answers, as a user would: checks the data, takes in the embedding model and the
# articles, learns, answers the sixty new tickets with the learned rung and holds them against their expected values.
# Exit 0: it worked and is as good as it was; 77: the model is not fetched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
model=${INHOUSE_FETCHED:-$root/third_party/.fetched}/models/all-MiniLM-L6-v2
python3 "$here/check.py"
if [ ! -d "$model" ]; then
    echo "no $model (make setup fetches it): skipped"
    exit 77
fi
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
"$build/bin/inhouse" models import "$model" --quiet
"$build/bin/inhouse" datasets add helpdesk "$here/articles" --quiet
"$build/bin/inhouse" learn ticket-triage "$here/past.jsonl" --quiet
"$build/bin/inhouse" run ticket-triage "$here/new.jsonl" --quiet --out "$INHOUSE_HOME/out.jsonl"
"$build/bin/inhouse" audit verify --quiet
exec python3 - "$here/new.jsonl" "$INHOUSE_HOME/out.jsonl" <<'PYTHON'
import json, sys
new = {r["id"]: r["expected"] for r in map(json.loads, open(sys.argv[1]))}
out = {r["id"]: r for r in map(json.loads, open(sys.argv[2]))}
right = sum(out[i]["queue"] == e["queue"] for i, e in new.items())
alone = [i for i in new if out[i]["_meta"]["queue"]["rung"] != "person"]
wrong = sum(out[i]["queue"] != new[i]["queue"] for i in alone)
print("queue right %d of %d; decided alone %d, of those wrong %d" % (right, len(new), len(alone), wrong))
sys.exit(0 if len(out) == 60 and right >= 45 and len(alone) >= 10 and wrong <= 1 else 1)
PYTHON

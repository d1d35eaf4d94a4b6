#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What broke since yesterday, as a team would ask: four runs and CODEOWNERS in, the report and its files out, and held against what was put in (make.py).
# Needs no model. Exit 0: it worked and says what is so.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${INHOUSE_BUILD:-$root/build}
INHOUSE_HOME=$(mktemp -d)
export INHOUSE_HOME
unset INHOUSE_URL
trap '"$build/bin/inhouse" stop --quiet >/dev/null 2>&1 || true; rm -rf "$INHOUSE_HOME"' EXIT
mkdir "$INHOUSE_HOME/out"
"$build/bin/inhouse" run qa-regression "$here/new.xml" --base "$here/base.xml" --history "$here/history-1.xml" --history "$here/history-2.xml" \
    --owners "$here/CODEOWNERS" --quiet --out "$INHOUSE_HOME/out/"
"$build/bin/inhouse" audit verify --quiet >/dev/null
exec python3 - "$INHOUSE_HOME/out" <<'PYTHON'
import json, sys
out = sys.argv[1] + "/"
r = json.load(open(out + "regression.json"))
ctrf = json.load(open(out + "ctrf.json"))
check = json.load(open(out + "github-check.json"))
report = open(out + "report.md", encoding="utf-8").read()
want = {"new_failure": 5, "persistent": 1, "fixed": 1, "new_flaky": 1, "slower": 1, "added": 1, "removed": 1}
right = sum(r["classes"][k] == v for k, v in want.items())
owned = sum(c["owner"] != "" for c in r["changes"] if c.get("state") in ("failed", "error"))
print("verdict %s; %d of %d classes right; %d causes; %d of 6 failures with an owner; %d sentences" % (
    r["verdict"], right, len(want), len(r["groups"]), owned, sum(s["kept"] for s in r["sentences"])))
ok = (r["verdict"] == "blocked" and right == len(want) and r["groups"][0]["cause"] == "infrastructure" and owned == 6 and
      ctrf["results"]["summary"]["failed"] == 6 and check["conclusion"] == "failure" and "Verdict: blocked" in report)
sys.exit(0 if ok else 1)
PYTHON

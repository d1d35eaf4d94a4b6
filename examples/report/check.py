#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes every number of a report again, from the CSV, and looks for what the example promises."""
import csv
import json
import re
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

rows = list(csv.reader(open(sys.argv[1])))
out = Path(sys.argv[2])
report = json.loads((out / "markdown" / "report.json").read_text())
values, again = report["values"], {}


def exact(i):
    v = values[i]
    if i not in again:
        cells = [rows[r - 1][rows[0].index(c["column"])] for c in v.get("cells", []) for r in range(c["first_row"], c["last_row"] + 1)]
        x = [Decimal(re.sub(r"[^0-9.-]", "", c)) for c in cells if v["how"] != "rows" and re.search("[0-9]", c)]
        of = [exact(k) for k in v.get("of", [])]
        q = Decimal(1).scaleb(-12)
        how = v["how"].replace("_size", "")
        n = {"cell": lambda: x[0], "sum": lambda: sum(x), "min": lambda: min(x), "max": lambda: max(x), "rows": lambda: Decimal(len(cells)),
             "mean": lambda: (sum(x) / len(x)).quantize(q, ROUND_HALF_UP), "change": lambda: of[0] - of[1], "rest": lambda: of[0] - sum(of[1:]),
             "percent_change": lambda: ((of[0] - of[1]) * 100 / abs(of[1])).quantize(q, ROUND_HALF_UP), "periods": lambda: Decimal(len(of)),
             "ratio": lambda: (of[0] * 100 / of[1]).quantize(q, ROUND_HALF_UP), "share": lambda: (of[0] * 100 / of[1]).quantize(q, ROUND_HALF_UP),
             "template": lambda: Decimal(v["number"]), "bound": lambda: Decimal(v["number"])}[how]()
        again[i] = abs(n) if v["how"].endswith("_size") else n
    return again[i]


numbers = [i for i, v in enumerate(values) if "number" in v]
wrong = [values[i] for i in numbers if exact(i) != Decimal(values[i]["number"])]
odd = [values[a["period"]]["shown"] for a in report["anomalies"]]
made = [r["status"] for s in report["sections"] for r in s["rows"]]
page = (out / "html" / "report.html").read_text()
board = json.loads((out / "grafana" / "dashboard.json").read_text())
print(f"{len(numbers)} numbers computed again, {len(wrong)} wrong, {report['untraced']} untraced; rows {made.count('made')} of {len(made)}; "
      f"odd: {', '.join(odd) or 'none'}; {len(board['panels'])} panels")
sys.exit(0 if not wrong and not report["untraced"] and set(made) == {"made"} and "2025-06" in odd and "<svg" in page
         and all("Column " in p["description"] for p in board["panels"]) and (out / "json" / "report.json").is_file() else 1)

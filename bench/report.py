#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The detector of odd periods: how often it flags a series in which nothing is odd, and what it finds of planted odd periods.

Nothing is odd: each real series (24 monthly columns of support metrics, the days of six series without their labelled windows) gets a robust
line, and its distances from that line are drawn anew, with replacement, 200 times. Odd: one period of such a series is moved by ten times the
median distance x 1.4826. The peer is the rule that most dashboards have: farther than 3 standard deviations from the mean. The limits of the
detector were set on simulated noise alone (src/work/report/odd.c), none of this data.
"""
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import common

DRAWS = 200
TEMPLATE = "options:\n  sections:\n    - name: s\n      title: S\n      rows:\n        - {column: \"*\", anomalies: true, decimals: 4}\n"


def line(y):
    n = len(y)
    slope = statistics.median((y[j] - y[i]) / (j - i) for i in range(n) for j in range(i + 1, n))
    start = statistics.median(v - slope * i for i, v in enumerate(y))
    return [start + slope * i for i in range(n)]


def monthly():
    for platform in ("android", "desktop"):
        rows = [list(csv.DictReader(p.open()))[0] for p in sorted((common.DATA / "support_metrics_reports").glob(platform + "_2025-*-report.csv"))]
        for name in rows[0] if rows else []:
            if name.startswith("num_") or "synthetic" in name or "percentage" in name:
                yield f"{platform} {name}", [float(r[name]) for r in rows]


def daily():
    folder = common.DATA / "nab_metrics"
    windows = json.loads((folder / "windows.json").read_text()) if (folder / "windows.json").is_file() else {}
    for p in sorted(folder.glob("*.csv")):
        days = {}
        for r in csv.DictReader(p.open()):
            at = r["timestamp"]
            if not any(a[:19] <= at <= b[:19] for a, b in windows.get(p.name, {}).get("windows", [])):
                days.setdefault(at[:10], []).append(float(r["value"]))
        y = [statistics.mean(v) for v in days.values()]
        if len(y) >= 8:
            yield p.stem, y


def ask(columns):
    """For each column, the periods that are flagged."""
    n = len(columns[0])
    with tempfile.TemporaryDirectory() as folder:
        table, template = Path(folder, "t.csv"), Path(folder, "t.yaml")
        template.write_text(TEMPLATE)
        with table.open("w") as f:
            w = csv.writer(f)
            w.writerow(["year"] + [f"c{i}" for i in range(len(columns))])
            for i in range(n):
                w.writerow([2000 + i] + [f"{c[i]:.6f}" for c in columns])
        done = subprocess.run([str(common.BUILD / "test/report_dump"), str(template), folder, str(table)], stdin=subprocess.DEVNULL,
                              env=dict(os.environ, INHOUSE_BUILD=str(common.BUILD)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        report = json.loads(Path(folder, "report.json").read_text())
    odd = [set() for _ in columns]
    for a in report["anomalies"]:
        odd[int(a["column"][1:])].add(int(report["values"][a["period"]]["shown"]) - 2000)
    return odd


def sigma(columns):
    out = []
    for y in columns:
        m, s = statistics.mean(y), statistics.stdev(y)
        out.append({i for i, v in enumerate(y) if s > 0 and abs(v - m) > 3 * s})
    return out


def main():
    common.need(common.BUILD / "test/report_dump", common.DATA / "support_metrics_reports", common.DATA / "nab_metrics")
    rng = random.Random(1)
    sums = {}
    for kind, name, y in [("monthly", *m) for m in monthly()] + [("daily", *d) for d in daily()]:
        fit = line(y)
        rest = [v - f for v, f in zip(y, fit)]
        scale = 1.4826 * statistics.median(abs(r) for r in rest) or statistics.mean(abs(r) for r in rest)
        dull = [[f + rng.choice(rest) for f in fit] for _ in range(DRAWS)]
        odd, at = [], []
        for d in dull:
            i = rng.randrange(len(y))
            at.append(i)
            odd.append([v + (10 * scale if k == i else 0) for k, v in enumerate(d)])
        got = []
        for judge in (ask, sigma):
            a, b = judge(dull), judge(odd)
            got.append((sum(bool(x) for x in a), sum(i in x for i, x in zip(at, b))))
        t = sums.setdefault(kind, [0] * 5)
        sums[kind] = [t[0] + DRAWS, *(a + b for a, b in zip(t[1:], (got[0][0], got[1][0], got[0][1], got[1][1])))]
        print("  %-60s %3d points: flagged %5.1f %% (3 sigma %5.1f %%), odd found %5.1f %% (%5.1f %%)" %
              (name, len(y), *(100 * g[0] / DRAWS for g in got), *(100 * g[1] / DRAWS for g in got)))
    for kind, (n, ours, theirs, found, peer) in sums.items():
        print("%s: %d series drawn, flagged %.1f %% (3 sigma %.1f %%), a period planted 10 robust deviations off found in %.1f %% (%.1f %%)" %
              (kind, n, 100 * ours / n, 100 * theirs / n, 100 * found / n, 100 * peer / n))
    # The rows are of the monthly metrics, which reports are made of. Days of machines have steps and spikes of their own: drawn anew, they are odd.
    n, ours, theirs, found, peer = sums["monthly"]
    if common.SELF:
        theirs, peer = ours, found
    ok = common.row("false-alarms", "%.4f" % (ours / n), "%.4f" % (theirs / n), ours / max(1, theirs), "<=0.05", ours <= 0.05 * n)
    ok &= common.row("odd-found", "%.4f" % (found / n), "%.4f" % (peer / n), found / max(1, peer), ">=1", found >= peer)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()

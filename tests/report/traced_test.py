#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reports of real tables. This program reads the same files with another reader (Python's csv), computes every value of report.json again
with decimals of its own, and looks for digits in report.md that no value stands for. The bound: 0 numbers without a source."""
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import unittest
from decimal import ROUND_HALF_UP, Decimal, getcontext
from pathlib import Path

BUILD = Path(os.environ.get("INHOUSE_BUILD") or Path(__file__).resolve().parents[2] / "build")
SOURCE = Path(os.environ.get("INHOUSE_SOURCE") or Path(__file__).resolve().parents[2])
DATA = Path(os.environ.get("INHOUSE_DATA") or "/nonexistent")
DUMP = BUILD / "test" / "report_dump"
TEMPLATE = SOURCE / "workflows" / "standard-report.yaml"
getcontext().prec = 60
METRICS = sorted((DATA / "support_metrics_reports").glob("*.csv"))
SERIES = sorted((DATA / "nab_metrics").glob("*.csv"))


def number(cell):
    return Decimal(re.sub(r"[,%\s]", "", cell))


def rounded(x, decimals):
    return x.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def shown_number(s):
    return Decimal(re.sub(r"[^0-9.+-]", "", s.split(" ")[0]))


class Files:
    """The cells, by (file, column, row): row 1 is the header."""

    def __init__(self, paths):
        self.rows = {}
        for p in paths:
            self.rows[p.name] = list(csv.reader(p.read_text(encoding="utf-8-sig").splitlines()))

    def cells(self, value):
        for c in value.get("cells", []):
            rows = self.rows[c["file"]]
            at = rows[0].index(c["column"])
            for row in range(c["first_row"], c["last_row"] + 1):
                yield rows[row - 1][at]


class Again:
    """Every value, computed again."""

    def __init__(self, report, files):
        self.values, self.files, self.known = report["values"], files, {}

    def exact(self, i):
        if i not in self.known:
            self.known[i] = self.compute(self.values[i])
        return self.known[i]

    def compute(self, v):
        how, cells = v["how"], [c for c in self.files.cells(v) if c.strip() not in ("", "-", "NA", "null")]
        of = [self.exact(k) for k in v.get("of", [])]
        quotient = Decimal(1).scaleb(-12)
        if how in ("cell", "sum", "mean", "median", "min", "max"):
            x = [number(c) for c in cells]
            assert x, v
            return {"cell": lambda: x[0], "sum": lambda: sum(x), "min": lambda: min(x), "max": lambda: max(x),
                    "mean": lambda: (sum(x) / len(x)).quantize(quotient, rounding=ROUND_HALF_UP),
                    "median": lambda: statistics.median(x)}[how]()
        if how in ("count", "rows"):
            return Decimal(len(cells) if how == "count" else sum(c["last_row"] - c["first_row"] + 1 for c in v["cells"]))
        if how == "distinct":
            return Decimal(len(set(cells)))
        if how == "items":
            return Decimal(sum(len([p for p in re.split(";" if ";" in c else ",", c) if p.strip()]) for c in cells))
        if how in ("ratio", "share"):
            return (of[0] * 100 / of[1]).quantize(quotient, rounding=ROUND_HALF_UP)
        if how in ("change", "change_size", "rest"):
            d = of[0] - sum(of[1:])
            return abs(d) if how == "change_size" else d
        if how in ("percent_change", "percent_change_size"):
            d = ((of[0] - of[1]) * 100 / abs(of[1])).quantize(quotient, rounding=ROUND_HALF_UP)
            return abs(d) if how.endswith("size") else d
        if how == "periods":
            return Decimal(len(of))
        if how in ("template", "bound"):
            return Decimal(v["number"])  # the template's own; the detector's bounds are tried in bench/report.py
        raise AssertionError("no such way to make a number: " + how)


def check(test, paths, out):
    report = json.loads((out / "report.json").read_text())
    markdown = (out / "report.md").read_text()
    files = Files(paths)
    again = Again(report, files)
    numbers = 0
    for i, v in enumerate(report["values"]):
        if "number" in v:
            numbers += 1
            exact = again.exact(i)
            test.assertEqual(Decimal(v["number"]), exact, v)
            test.assertEqual(shown_number(v["shown"]), rounded(exact, v["decimals"]), v)
        elif v["how"] == "label":
            seen = set(files.cells(v))
            test.assertTrue(all(c.startswith(v["shown"][:4]) or c == v["shown"] for c in seen), (v["shown"], list(seen)[:3]))
        elif v["how"] == "template":
            test.assertGreater(v["template_line"], 0)
    spans = [0]

    def texts(node):
        if isinstance(node, dict):
            if "spans" in node:
                raw = node["text"].encode()
                for s in reversed(node["spans"]):
                    test.assertEqual(raw[s["begin"]:s["end"]].decode(), report["values"][s["value"]]["shown"])
                    raw = raw[:s["begin"]] + raw[s["end"]:]
                    spans[0] += 1
                test.assertIsNone(re.search(rb"[0-9]", raw), node["text"])
            for x in node.values():
                texts(x)
        elif isinstance(node, list):
            for x in node:
                texts(x)

    texts(report)
    body = markdown.split("\n[^1]: ")[0]
    body = re.sub(r"!\[.*?\]\(chart-\d+\.svg\)", "", body)
    known = sorted({re.sub(r"([\\`*_\[\]<>|])", r"\\\1", v["shown"]) for v in report["values"]}, key=len, reverse=True)
    names = sorted({re.sub(r"([\\`*_\[\]<>|])", r"\\\1", r["metric"]) for s in report["sections"] for r in s["rows"]}, key=len, reverse=True)
    body = re.sub(r"\[\^\d+\]", "\0", body)
    for word in known + names:
        if re.search("[0-9]", word):
            body = re.sub(r"(?<![0-9.,])" + re.escape(word) + r"(?![0-9]|[.,][0-9])", "", body)
    test.assertIsNone(re.search("[0-9]", body), re.findall(r".{0,30}[0-9]+.{0,30}", body)[:3])
    test.assertEqual(report["untraced"], 0)
    for s in report["sections"]:
        for r in s["rows"]:
            test.assertTrue(r["status"] == "made" or r["why"])
            if r["status"] == "made":
                test.assertTrue(r["sentences"], r["metric"])
    html = (out / "report.html").read_text()
    anchors = set(re.findall(r'id="(v\d+)"', html))
    test.assertTrue(set(re.findall(r'href="#(v\d+)"', html)) <= anchors)
    test.assertNotIn("<script", html)
    return numbers, spans[0], report


def make(paths, out, template=TEMPLATE):
    return subprocess.run([str(DUMP), str(template), str(out), *map(str, paths)], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)


class Traced(unittest.TestCase):
    def one(self, paths):
        with tempfile.TemporaryDirectory() as folder:
            done = make(paths, folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            return check(self, paths, Path(folder))

    def test_every_metric_file(self):
        numbers = spans = rows = 0
        for p in METRICS + SERIES:
            with self.subTest(p.name):
                n, s, report = self.one([p])
                numbers, spans = numbers + n, spans + s
                rows += sum(r["status"] == "made" for part in report["sections"] for r in part["rows"])
        print(f"{len(METRICS + SERIES)} files: {numbers} numbers computed again, {spans} places in texts, {rows} rows, 0 without a source")

    def test_a_year_of_files_as_one_table(self):
        for platform in ("android", "desktop"):
            paths = [p for p in METRICS if re.match(platform + r"_2025-\d\d-sumo", p.name)]
            self.assertEqual(len(paths), 12)
            n, s, report = self.one(paths)
            lines = [t["text"] for part in report["sections"] for r in part["rows"] for t in r["sentences"]]
            self.assertTrue(any("from" in x and "2025-11" in x and "2025-12" in x for x in lines))
            print(f"{platform}: {n} numbers, {s} places in texts; {lines[0]}")

    def test_columns_that_differ_are_refused(self):
        a = [p for p in METRICS if "2025-01" in p.name][:1] + [p for p in METRICS if "pain-points" in p.name][:1]
        with tempfile.TemporaryDirectory() as folder:
            done = make(a, folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("same columns", done.stderr)


if __name__ == "__main__":
    if not METRICS or not DUMP.is_file():
        print("skipped: it needs report_dump and INHOUSE_DATA/support_metrics_reports")
        sys.exit(77)
    unittest.main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong numbers, planted into the sentences of real reports: every one is to be caught. Beside it, how many of the sentences as they stand,
and of the same facts in other words, are kept: refusing everything would catch everything."""
import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from traced_test import DUMP, METRICS, SERIES, TEMPLATE

TURNS = [("rose", "fell"), ("above", "below"), ("highest", "lowest"), ("up", "down"), ("most", "least")]


def run(paths, sentences, out):
    done = subprocess.run([str(DUMP), str(TEMPLATE), str(out), *map(str, paths)], input="".join(s + "\n" for s in sentences), text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


class Sentence:
    def __init__(self, node, report):
        self.report, self.raw = report, node["text"].encode()
        self.spans = [(s["begin"], s["end"], report["values"][s["value"]]) for s in node["spans"]]

    def text(self):
        return self.raw.decode()

    def numbers(self):
        return [s for s in self.spans if "number" in s[2]]

    def with_(self, changes):
        raw = self.raw
        for (begin, end, _), new in sorted(changes, key=lambda c: -c[0][0]):
            raw = raw[:begin] + new.encode() + raw[end:]
        return raw.decode()

    def metric(self):
        for s in self.spans:
            if s[2]["how"] in ("name", "template") and "number" not in s[2]:
                return s[2]["shown"]
        return None

    def shown_at(self, metric, where):
        return {(v["shown"], v["how"]) for v in self.report["values"] if v.get("metric") == metric and v.get("where", "") == where}

    def still_true(self, metric, old, new_metric, new):
        """Would the numbers of `old` be right for `new` too?"""
        here = [v for _, _, v in self.numbers() if v.get("metric") == metric and (old is None or v.get("where", "") == old)]
        return all((v["shown"], v["how"]) in self.shown_at(new_metric, v.get("where", "") if new is None else new) for v in here)


def plants(s, rng, labels, metrics):
    """(kind, sentence) of every wrong number that can be planted."""
    numbers = s.numbers()
    for span in numbers:
        shown = span[2]["shown"]
        digits = [i for i, c in enumerate(shown) if c.isdigit()]
        i = rng.choice(digits)
        yield "digit", s.with_([(span, shown[:i] + rng.choice([d for d in "0123456789" if d != shown[i]]) + shown[i + 1:])])
        if span[2]["how"] not in ("change", "percent_change") and float(span[2]["number"]) != 0:
            yield "sign", s.with_([(span, "-" + shown.lstrip("-") if not shown.startswith("-") else shown[1:])])
        if span[2]["unit"] == "%":
            yield "unit", s.with_([(span, shown.replace("%", ""))])
            yield "unit", s.with_([(span, shown.replace("%", " pp"))])
        else:
            yield "unit", s.with_([(span, (shown.split(" ")[0]) + "%")])
        exact = span[2]["number"]
        if len(exact.partition(".")[2]) > span[2]["decimals"]:
            d = span[2]["decimals"]
            step = -1 if float(shown.split(" ")[0].replace(",", "").rstrip("%")) > float(exact) else 1
            n = int(re.sub(r"[^0-9]", "", shown)) + step
            wrong = f"{n / 10 ** d:,.{d}f}" + re.sub(r"^[-+0-9.,]*", "", shown)
            if n >= 0:
                yield "rounding", s.with_([(span, ("-" if shown.startswith("-") else "") + wrong)])
        if "," in shown:
            yield "mark", s.with_([(span, shown.replace(",", "."))])
        elif "." not in shown and float(span[2]["number"]) != 0:
            yield "mark", s.with_([(span, re.sub(r"([0-9])(?![0-9.,])", r"\g<1>0", shown, count=1))])
    for a in range(len(numbers)):
        for b in range(a + 1, len(numbers)):
            x, y = numbers[a], numbers[b]
            if x[2]["shown"] != y[2]["shown"]:
                yield "swapped", s.with_([(x, y[2]["shown"]), (y, x[2]["shown"])])
    for span in s.spans:
        v = span[2]
        if v["how"] == "label":
            others = [x for x in labels if x != v["shown"] and not s.still_true(s.metric(), v["shown"], s.metric(), x)]
            if others and any(n[2].get("where") == v["shown"] or True for n in numbers):
                kind = "period" if re.match(r"^\d{4}-", v["shown"]) else "row"
                new = rng.choice(others)
                if new not in s.text():
                    yield kind, s.with_([(span, new)])
    if s.metric() is not None:
        span = [x for x in s.spans if x[2]["shown"] == s.metric() and "number" not in x[2]][0]
        others = [m for m in metrics if m != s.metric() and not s.still_true(s.metric(), None, m, None)]
        if others:
            yield "column", s.with_([(span, rng.choice(others))])
    for a, b in TURNS:
        for x, y in ((a, b), (b, a)):
            if re.search(rf"\b{x}\b", s.text()):
                yield "direction", re.sub(rf"\b{x}\b", "\0", s.text(), count=1).replace("\0", y)


def retold(report):
    """The same facts in other words, as a writer of reports might."""
    values = report["values"]
    for part in report["sections"]:
        for row in part["rows"]:
            name = row["metric"]
            for node in row["sentences"]:
                s = Sentence(node, report)
                if " from " in s.text() and " rose " in s.text() or " fell " in s.text():
                    up = " rose " in s.text()
                    before, bp, now, p, change = [x[2]["shown"] for x in s.spans[1:6]]
                    yield f"In {p} {name} {'increased' if up else 'decreased'} to {now}, {'up' if up else 'down'} from {before} in {bp}."
                    yield f"{name} was {now} in {p}, compared with {before} in {bp}."
                    yield f"Compared to the previous period, {name} {'grew' if up else 'declined'} by {change}."
                elif s.text().startswith("Over"):
                    low_p, low, high_p, high = [x[2]["shown"] for x in s.spans[2:6]]
                    yield f"The highest value of {name} was {high} in {high_p}, the lowest {low} in {low_p}."


def families():
    yield from ([p] for p in METRICS + SERIES)
    for platform in ("android", "desktop"):
        yield [p for p in METRICS if re.match(platform + r"_2025-\d\d-sumo", p.name)]


class Planted(unittest.TestCase):
    def test_every_planted_wrong_number_is_caught(self):
        rng = random.Random(20261122)
        kept, own, wrong, missed, told, told_kept = 0, 0, collections.Counter(), [], 0, 0
        for paths in families():
            with tempfile.TemporaryDirectory() as folder:
                run(paths, [], folder)
                report = json.loads((Path(folder) / "report.json").read_text())
                nodes = [t for part in report["sections"] for r in part["rows"] for t in r["sentences"]]
                labels = sorted({v["shown"] for v in report["values"] if v["how"] == "label"})
                metrics = sorted({r["metric"] for part in report["sections"] for r in part["rows"] if r["status"] == "made"})
                sentences = [Sentence(n, report) for n in nodes]
                bad = [p for s in sentences for p in plants(s, rng, labels, metrics)]
                other = list(retold(report))
                verdicts = run(paths, [s.text() for s in sentences] + other + [b for _, b in bad], folder)
                n, m = len(sentences), len(sentences) + len(other)
                own += n
                kept += sum(v == "ok" for v in verdicts[:n])
                told += len(other)
                told_kept += sum(v == "ok" for v in verdicts[n:m])
                for s, v in list(zip([x.text() for x in sentences] + other, verdicts[:m])):
                    if v != "ok" and os.environ.get("SHOW"):
                        print("refused:", v, s)
                for part in report["sections"]:
                    texts = [t["text"] for r in part["rows"] for t in r["sentences"]]
                    if texts:
                        at = [v for s, v in zip(sentences, verdicts) if s.text() in texts]
                        self.assertIn("ok", at, f"{paths[0].name}: no verified sentence in {part['name']}")
                for (kind, text), v in zip(bad, verdicts[m:]):
                    wrong[kind] += 1
                    if v == "ok":
                        missed.append((kind, text))
        print(f"planted {sum(wrong.values())} wrong ({', '.join(f'{k} {n}' for k, n in sorted(wrong.items()))}): caught "
              f"{sum(wrong.values()) - len(missed)}; kept {kept} of {own} own sentences, {told_kept} of {told} told in other words")
        for kind, text in missed[:40]:
            print("missed:", kind, text)
        self.assertEqual(len(missed), 0)
        self.assertGreaterEqual(kept, 0.98 * own)
        self.assertGreaterEqual(told_kept, 0.9 * told)


if __name__ == "__main__":
    if not METRICS or not DUMP.is_file():
        print("skipped: it needs report_dump and INHOUSE_DATA/support_metrics_reports")
        sys.exit(77)
    unittest.main()

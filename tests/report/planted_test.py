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


def published():
    """(report as published, its table)."""
    for md in sorted(METRICS[0].parent.glob("*.md")):
        table = md.with_suffix(".csv")
        if "2025-12-01" in md.name:
            table = md.parent / "desktop_2025-12-sumo-desktop-report.csv"
        if table.is_file():
            yield md.read_text(), table


def findings(table, texts):
    """Of each text: [verdict, line, number] of every number in it."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, text in enumerate(texts):
            names.append(Path(folder, f"{i}.md"))
            names[-1].write_text(text)
        done = subprocess.run([str(DUMP), str(TEMPLATE), folder, str(table)], input="".join(f"@{n}\n" for n in names), text=True,
                              capture_output=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [[x.split("\t")[:3] for x in part.split("\n") if x] for part in done.stdout.split("\n\n")[:len(texts)]]


def wrong_reports(text, right, rng):
    """(kind, text) with one wrong number each, planted at numbers that are right as published."""
    lines = text.split("\n")
    spots = []
    for verdict, line, number in right:
        at = lines[int(line) - 1]
        m = re.search(r"(?<![\d/.-])%s(?![\d.%%])" % re.escape(number), at)
        if verdict == "ok" and m and not at.startswith("#"):
            spots.append((int(line) - 1, m.start(), m.end(), number))

    def put(i, a, b, new):
        out = list(lines)
        out[i] = out[i][:a] + new + out[i][b:]
        return "\n".join(out)

    for i, a, b, number in rng.sample(spots, min(40, len(spots))):
        k = rng.choice([k for k, c in enumerate(number) if c.isdigit()])
        yield "digit", put(i, a, b, number[:k] + rng.choice([d for d in "0123456789" if d != number[k]]) + number[k + 1:])
        if len(number) < 7:
            yield "sign", put(i, a, b, "-" + number)
            yield "unit", put(i, a, b, number.rstrip("%") if number.endswith("%") else number + "%")
            yield "mark", put(i, a, b, number.replace(".", "") if "." in number else number + "0" if number != "0" else "10")
        if "." in number:
            yield "rounding", put(i, a, b, re.sub(r"\d%$", lambda d: str((int(d.group()[0]) + 1) % 10) + "%", number))
    rows = [i for i, x in enumerate(lines) if x.startswith("| ") and "---" not in x and i > 0][1:]
    for i, j in zip(rows, rows[1:]):
        x, y = lines[i].split("|"), lines[j].split("|")
        if x[2] != y[2]:
            out = list(lines)
            out[i], out[j] = "|".join(["", y[1]] + x[2:]), "|".join(["", x[1]] + y[2:])
            yield "row", "\n".join(out)
            out[i], out[j] = "|".join(["", x[1], y[2]] + x[3:]), "|".join(["", y[1], x[2]] + y[3:])
            yield "swapped", "\n".join(out)
        if re.fullmatch(r" [\d.]+% ", x[3]) and x[2].strip() != x[3].strip():
            out = list(lines)
            out[i] = "|".join(["", x[1], x[3], x[2]] + x[4:])
            yield "column", "\n".join(out)


class Planted(unittest.TestCase):
    def test_published_reports(self):
        rng = random.Random(20261122)
        numbers, kept, wrong, missed = 0, 0, collections.Counter(), []
        for text, table in published():
            right = findings(table, [text])[0]
            numbers += len(right)
            kept += sum(v == "ok" for v, _, _ in right)
            bad = list(wrong_reports(text, right, rng))
            held = sum(v != "ok" for v, _, _ in right)
            for (kind, wrong_text), found in zip(bad, findings(table, [b for _, b in bad]) if bad else []):
                wrong[kind] += 1
                if sum(v != "ok" for v, _, _ in found) <= held:
                    changed = [(a, b) for a, b in zip(text.split("\n"), wrong_text.split("\n")) if a != b]
                    missed.append((table.name, kind, changed[0][1][:150]))
        print(f"published reports: {kept} of {numbers} numbers found in their tables; planted {sum(wrong.values())} wrong "
              f"({', '.join(f'{k} {n}' for k, n in sorted(wrong.items()))}), caught {sum(wrong.values()) - len(missed)}")
        for m in missed[:30]:
            print("missed:", *m)
        self.assertEqual(missed, [])
        self.assertGreaterEqual(kept, 0.95 * numbers)

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

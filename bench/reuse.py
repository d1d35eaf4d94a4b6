#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-reuse: what is reused, what never is, and how much was offered (bench/reuse_data.py says how it is built).

Rows: false-accepts (pairs of opposite or other-number requests taken for one another; the peer is cosine >= 0.9 over the same
vectors, as GPTCache does), offered (rewrites that say the same and were taken so), fields (share of a stream's fields filled
without decoding), unverified (filled fields that are wrong, or are no span or transform of their document by this file's own
reading), cross-team (hits on another team's answers). Exit 0: all hold; 1: one is short; 77: no data.
REUSE_PAIRS bounds the pairs of each kind and data set (all by default), REUSE_SEED changes the streams.
"""
import csv
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import BUILD, DATA, EMBED, SELF, House, need, row
from reuse_data import MONTHS, number_pairs, polarity_pairs, rewrites, streams

TOOL = BUILD / "bench/reuse_room"
SEED = os.environ.get("REUSE_SEED", "7")
PEER_PAIRS = 1500  # of each kind, embedded for the peer


def texts():
    with open(DATA / "banking77/train.csv", newline="", encoding="utf-8") as f:
        banking = [(r["text"].replace("\n", " ").strip(), r["category"]) for r in csv.DictReader(f)]
    with open(DATA / "clinc150/clinc150.csv", newline="", encoding="utf-8") as f:
        clinc = [(r["text"].strip(), r["intent"]) for r in csv.DictReader(f)]
    return {"banking77": banking, "clinc150": clinc}


def verdicts(pairs):
    lines = "".join("%s\t%s\n" % (a.replace("\t", " "), b.replace("\t", " ")) for a, b in pairs)
    out = subprocess.run([str(TOOL), "pairs"], input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout
    return out.split("\n")[:-1]


def cosines(pairs):
    """Of each pair by the fetched embedding model; None when it is not there."""
    if not EMBED.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.csv"
        with open(path, "w", newline="", encoding="utf-8") as f:
            w = csv.writer(f)
            w.writerow(("text", "label"))
            w.writerows((t, "-") for pair in pairs for t in pair)
        subprocess.run([str(BUILD / "bench/embed_csv"), str(EMBED), str(path), str(path) + ".f32"], check=True)
        raw = Path(str(path) + ".f32").read_bytes()
    dim = len(raw) // 4 // (2 * len(pairs))
    values = struct.iter_unpack("<%df" % dim, raw)
    result = []
    for a in values:
        b = next(values)
        result.append(sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))
    return result


def measure_guard():
    r = random.Random("pairs " + SEED)
    limit = int(os.environ.get("REUSE_PAIRS", "0"))
    must, same, sample = [], [], []
    for name, rows in texts().items():
        for kind in ("polarity", "number"):
            made = [p for k, (t, _) in enumerate(rows) for p in (polarity_pairs(t) if kind == "polarity" else number_pairs(t, k))]
            made = [p for p in dict.fromkeys(made) if p[0] != p[1]]
            if limit and len(made) > limit:
                made = r.sample(made, limit)
            said = verdicts(made)
            wrong = [p for p, v in zip(made, said) if v == "same"]
            print("  %s %s: %d pairs, %d taken for the same; refused for %s" %
                  (name, kind, len(made), len(wrong), dict(Counter(v for v in said if v != "same").most_common(5))))
            for a, b in wrong[:5]:
                print("    %r = %r" % (a, b))
            must += [(p, v == "same") for p, v in zip(made, said)]
            sample += r.sample(made, min(PEER_PAIRS // 2, len(made)))
        made = [(t, x) for t, _ in rows for x in rewrites(t) if x != t]
        if limit and len(made) > limit:
            made = r.sample(made, limit)
        said = verdicts(made)
        print("  %s rewrites: %d, %d accepted; refused for %s" %
              (name, len(made), said.count("same"), dict(Counter(v for v in said if v != "same").most_common(5))))
        same += [(p, v == "same") for p, v in zip(made, said)]
        report_neighbours(name, rows)
    wrong = sum(1 for _, accepted in must if accepted)
    peer, peer_same = "-", "-"
    near = cosines(sample)
    if near is not None:
        hits = sum(1 for c in near if c >= 0.9)
        peer = "%.1f%%" % (100 * hits / len(near))
        some = r.sample([p for p, _ in same], min(PEER_PAIRS, len(same)))
        peer_same = "%.1f%%" % (100 * sum(1 for c in cosines(some) if c >= 0.9) / len(some))
    upper = 3 / len(must)
    print("  wrong per pair offered: at most %.4f%% with 95%% confidence (%d pairs, rule of three)" % (100 * upper, len(must)))
    accepted = sum(1 for _, yes in same if yes)
    ok = row("false-accepts", "%d of %d" % (wrong, len(must)), "%d of %d" % (wrong, len(must)) if SELF else peer, 1 if SELF else 0 if wrong == 0 else 9,
             "0", wrong == 0)
    share = "%.1f%%" % (100 * accepted / len(same))
    row("offered", share, share if SELF else peer_same, 1, "context", True)
    return ok


def report_neighbours(name, rows):
    """Texts of the data as they are: how many others of the same and of another label the guard takes for the same."""
    blocks = {}
    for i, (t, _) in enumerate(rows):
        blocks.setdefault(" ".join(sorted(set(re.findall(r"[a-z]{6,}", t.lower())))), []).append(i)
    pairs = [(a, b) for block in blocks.values() for k, a in enumerate(block[:60]) for b in block[k + 1:60]]
    said = verdicts([(rows[a][0], rows[b][0]) for a, b in pairs])
    hits = [(a, b) for (a, b), v in zip(pairs, said) if v == "same" and rows[a][0].lower() != rows[b][0].lower()]
    other = [(a, b) for a, b in hits if rows[a][1] != rows[b][1]]
    texts_hit = len({i for pair in hits for i in pair})
    alike = sum(1 for a, b in pairs if rows[a][1] == rows[b][1])
    print("  %s as it is: of %d pairs of one label with the same long words %d accepted; %d of %d texts (%.1f%%) say what another said; "
          "%d accepted pairs have different labels" % (name, alike, len(hits) - len(other), texts_hit, len(rows), 100 * texts_hit / len(rows), len(other)))
    for a, b in other[:6]:
        print("    %r (%s) = %r (%s)" % (rows[a][0], rows[a][1], rows[b][0], rows[b][1]))


# ---- fields ----

def reads(span, value, transform):
    """This file's own reading: is `value` that transform of `span`?"""
    if transform == "verbatim":
        return span == value
    if transform in ("lower", "upper", "label"):
        folded = {"lower": span.lower(), "upper": span.upper(), "label": re.sub("[ -]", "_", span.lower())}[transform]
        return folded == value
    digits = re.sub(r"\D", "", span)
    if transform == "number":
        return digits.lstrip("0") == re.sub(r"\D", "", value).lstrip("0")
    if transform == "amount":
        number, code = value.split(" ")
        signs = {"EUR": ("EUR", "\u20ac", "uro"), "USD": ("USD", "$"), "GBP": ("GBP", "\u00a3")}.get(code, (code,))
        return digits.lstrip("0") == re.sub(r"\D", "", number).lstrip("0") and any(s in span for s in signs)
    y, m, d = (int(x) for x in value.split("-"))
    numbers = [int(x) for x in re.findall(r"\d+", span)]
    named = any(span.lower().find(MONTHS[m - 1][:3].lower()) >= 0 or w in span for w in ({3: ["M\u00e4r"], 5: ["Mai"], 10: ["Okt"], 12: ["Dez"]}.get(m, [])) or [""]
                if w or MONTHS[m - 1][:3].lower() in span.lower())
    return sorted(numbers) == sorted([y, d] if named else [y, m, d])


def measure_fields():
    docs = list(streams(DATA, 160, SEED))
    lines = "".join(json.dumps({"stream": s, "text": t, "fields": f}) + "\n" for s, t, f, _ in docs)
    out = subprocess.run([str(TOOL), "stream"], input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")[:-1]
    total, filled, bad = Counter(), Counter(), []
    refused = Counter()
    for (stream, text, fields, kind), line in zip(docs, out):
        answer = json.loads(line)
        total[stream] += len(fields)
        refused[(kind, answer["fit"])] += 1
        raw = text.encode()
        for fill in answer["fills"]:
            span = raw[fill["at"]:fill["at"] + fill["len"]].decode()
            right = fields.get(fill["name"]) == fill["value"]
            if not right or not reads(span, fill["value"], fill["transform"]):
                bad.append((stream, kind, fill, fields.get(fill["name"])))
            filled[stream] += right
    for stream in total:
        print("  %s: %.1f%% of %d fields" % (stream, 100 * filled[stream] / total[stream], total[stream]))
    for kind in ("kept", "changed", "odd"):
        print("  %s layout: %s" % (kind, {fit: n for (k, fit), n in refused.items() if k == kind}))
    for stream, kind, fill, truth in bad[:8]:
        print("    %s (%s): %r, should be %r" % (stream, kind, fill, truth))
    share = sum(filled.values()) / sum(total.values())
    ours = "%.1f%%" % (100 * share)
    ok = row("fields", ours, ours if SELF else "0.0%", 1 if SELF else share / 0.8, ">=80%", share >= 0.8)
    n = sum(filled.values()) + len(bad)
    ours = "%d of %d" % (len(bad), n)
    return row("unverified", ours, ours if SELF else "-", 1 if SELF else 0 if not bad else 9, "0", not bad) and ok


# ---- teams ----

FORM = """name: intake
title: Where a message comes from
fields:
  - name: language
    type: language
    target_error: 0.4
"""


def measure_teams():
    """The same requests by two teams through the server: the second one's never meets the first one's."""
    r = random.Random("teams " + SEED)
    sample = [t for t, _ in r.sample(texts()["banking77"], 200) if len(t) > 60][:40]
    with House() as house:
        house.start(roles=())
        house.call("PUT", "/api/v1/workflows/intake", FORM, "application/yaml")
        red, blue = house.key("red"), house.key("blue")

        def hits(key):
            n = 0
            for t in sample:
                _, answer = house.post(key, "/api/v1/tasks", {"workflow": "intake", "input": {"text": t}, "rungs": ["reuse", "rule"]})
                n += any(s["rung"] == "reuse" and s["verdict"] == "answered" for s in answer["climb"])
            return n
        first, again, other = hits(red), hits(red), hits(blue)
    print("  a team asks %d requests: %d reused; asks them again: %d; another team asks them: %d" % (len(sample), first, again, other))
    ours = "%d of %d" % (other, len(sample))
    return row("cross-team", ours, ours if SELF else "-", 1 if SELF else 0 if other == 0 else 9, "0", other == 0 and again > 0)


def main():
    need(DATA / "banking77/train.csv", DATA / "clinc150/clinc150.csv", TOOL)
    ok = measure_guard()
    ok = measure_fields() and ok
    ok = measure_teams() and ok
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()

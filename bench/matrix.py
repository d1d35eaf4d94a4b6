#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-matrix: can a key see from the time of an answer that another team's object is there?

Of each kind that belongs to a team (task, artifact, job): objects of another team and ids that were never given, asked in
random order over one kept connection, on the fake engine. A run is 300 of each, compared by a two-sample
Kolmogorov-Smirnov test (asymptotic p-value); the answers must be equal byte for byte. Of all runs at most one in ten may
give p <= 0.01 (chance alone gives one in a hundred). The control asks for objects of the own team against ids that were
never given (900 of each): it must give p < 1e-8, which shows that the test sees what there is to see.

Row matrix_timing: ours = runs with p <= 0.01, peer = all runs, target at most 0.1. Row matrix_control: ours = -log10 of
the control's p, the smallest of the kinds, peer = 8, target at least 1. With INHOUSE_BENCH_PEER=self the foreign objects
are replaced by further ids that were never given. Exit 0: both hold; 1: short; 77: something needed is missing.
Usage: bench/matrix.py [--runs N] [--samples N]
"""
import argparse
import http.client
import json
import math
import os
import random
import sys
import time
from pathlib import Path

import common

os.environ.setdefault("INHOUSE_BUILD", str(common.BUILD))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))
import e2e  # noqa: E402

OBJECTS = 40
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ks(a, b):
    """Two-sample Kolmogorov-Smirnov: the asymptotic p-value."""
    both = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    d, fa, fb, i = 0.0, 0, 0, 0
    while i < len(both):
        x = both[i][0]
        while i < len(both) and both[i][0] == x:
            fa, fb = fa + (both[i][1] == 0), fb + (both[i][1] == 1)
            i += 1
        d = max(d, abs(fa / len(a) - fb / len(b)))
    t = math.sqrt(len(a) * len(b) / (len(a) + len(b))) * d
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * t * t) for k in range(1, 101)) if t > 0.2 else 1.0
    return min(1.0, max(p, 1e-300))


def never(like):
    """An id that was never given, as close to a given one as a guess gets: other random bits at its end."""
    return like[:-8] + "".join(random.choice(CROCKFORD) for _ in range(8))


class Asker:
    def __init__(self, house, key):
        self.c = http.client.HTTPConnection("127.0.0.1", house.port, timeout=60)
        self.headers = {"Authorization": "Bearer " + key}

    def ask(self, path):
        start = time.perf_counter_ns()
        self.c.request("GET", path, headers=self.headers)
        reply = self.c.getresponse()
        body = reply.read()
        return time.perf_counter_ns() - start, reply.status, body


def run(asker, path, there, samples):
    """The p-value of one run, and every distinct answer to either."""
    order = [True, False] * samples
    random.shuffle(order)
    took, said = {True: [], False: []}, {True: set(), False: set()}
    # as many of either, made before: nothing but the server tells them apart
    names = {True: there, False: [never(name) for name in there]}
    for hit in order:
        name = random.choice(names[hit])
        ns, status, body = asker.ask(path % name)
        took[hit].append(ns)
        said[hit].add((status, body))
    return ks(took[True], took[False]), said


def things(s, key):
    """Tasks, artifacts and jobs of that key's team."""
    def ask(method, path, body):
        status, answer = s.call(method, path, body, {"Authorization": "Bearer " + key}, local=False)
        if status not in (200, 202):
            raise RuntimeError(answer)
        return answer
    tasks = [ask("POST", "/api/v1/tasks", {"workflow": "colours", "input": {"id": str(i), "text": "thing %d" % i}})
             for i in range(OBJECTS)]
    lines = "\n".join(json.dumps({"id": str(i), "text": "%s %d" % (w, i), "expected": {"shade": w}})
                      for i in range(12) for w in ("light", "dark"))
    job = ask("POST", "/api/v1/workflows/shades/learn?measure=0", lines)["job"]
    s.wait_job(job)
    return {"task": [t["id"] for t in tasks], "artifact": [t["artifact"] for t in tasks], "job": [job]}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--runs", type=int, default=20)
    a.add_argument("--samples", type=int, default=300)
    a = a.parse_args()
    common.need(common.BUILD / "bin/inhoused", common.BUILD / "bin/inhouse-worker")
    low, runs, least, equal = 0, 0, math.inf, True
    with e2e.House(config="limits: {requests_per_minute: 10000000}\n") as s:
        keys = {}
        for team in ("red", "blue"):
            keys[team] = s.call("POST", "/api/v1/keys", {"name": team, "team": team, "role": "reviewer"})[1]["key"]
        red, blue = things(s, keys["red"]), things(s, keys["blue"])
        asker = Asker(s, keys["red"])
        for kind, path in (("task", "/api/v1/tasks/%s"), ("artifact", "/api/v1/artifacts/%s?open=0"), ("job", "/api/v1/jobs/%s")):
            for _ in range(300):
                asker.ask(path % never(blue[kind][0]))  # warm: pages, caches, the first connection's threads
            ps = []
            for _ in range(a.runs):
                other = [never(name) for name in blue[kind]] if common.SELF else blue[kind]
                p, said = run(asker, path, other, a.samples)
                equal = equal and len(said[True] | said[False]) == 1
                ps.append(p)
            low, runs = low + sum(p <= 0.01 for p in ps), runs + len(ps)
            control = -math.log10(run(asker, path, red[kind], 3 * a.samples)[0])
            least = min(least, control)
            print("%-9s %d runs, p <= 0.01 in %d, median p %.2f; control -log10 p %.0f; answers %s" %
                  (kind, len(ps), sum(p <= 0.01 for p in ps), sorted(ps)[len(ps) // 2], control,
                   "equal" if equal else "DIFFER"), flush=True)
    good = common.row("matrix_timing", low, runs, low / runs, "<=0.1", low / runs <= 0.1 and equal)
    sees = common.row("matrix_control", "%.0f" % least, 8, least / 8, ">=1", least >= 8)
    sys.exit(0 if good and sees else 1)


if __name__ == "__main__":
    main()

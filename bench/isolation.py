#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-isolation: can one team see from the time of an answer what another has asked?

Each sample: a key of the owning team asks a prompt that nobody has asked before; a third team asks something else, as on
any server that is used; then the asking key asks either the same prompt (hit) or a new one of the same length (miss), one
token of answer. Hits and misses come in random order. (Without the third team what stays in the processor's own caches and
branch predictor for some milliseconds made hits about 20 microseconds faster: no cache of ours, and gone with the next request.) A run is
250 of each, compared by a two-sample Kolmogorov-Smirnov test (asymptotic p-value). Asked 20 times with keys of two
teams, at most 2 runs may give p <= 0.01 (chance alone gives 0.2 on average). Then one run with two keys of one team,
which must give p < 1e-8: it shows that the test would have seen a shared cache. `cached_tokens` is looked at as well:
across teams no hit may have more than LEAK tokens over what every prompt begins with (the template's own words).

Through the real HTTP API, on the small model cut to its first --layers layers (0: whole), because 31,500 prompts must
be decoded: fewer layers make the decoding shorter and leave everything else as it is, so a leak would show the better.
Row isolation: ours = runs with p <= 0.01, peer = all runs, target at most 0.1. Row isolation_control: ours = -log10 of the
same-team p, peer = 8, target at least 1. INHOUSE_BENCH_PEER=self has no meaning here and is ignored.
Exit 0: both hold; 1: short; 77: something needed is missing.
Usage: bench/isolation.py [--runs N] [--samples N] [--layers N] [--model FILE]
"""
import argparse
import http.client
import json
import math
import random
import statistics
import struct
import sys
import time
from pathlib import Path

import common

LEAK = 12
WORDS = ("amber basil cedar delta ember fjord grove heron ivory jewel karma lemon maple north ocean pearl quartz river "
         "stone tulip umber vivid willow xenon yield zebra").split()


def cut_model(source, out, layers):
    """Copies a GGUF with only the first `layers` blocks."""
    data = source.read_bytes()
    at = 4
    version, n_tensors, n_keys = struct.unpack_from("<IQQ", data, at)
    at += 20
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def text(at):
        n, = struct.unpack_from("<Q", data, at)
        return data[at + 8:at + 8 + n], at + 8 + n

    def skip(kind, at):
        if kind == 8:
            return text(at)[1]
        if kind != 9:
            return at + sizes[kind]
        item, n = struct.unpack_from("<IQ", data, at)
        at += 12
        if item != 8:
            return at + n * sizes[item]
        for _ in range(n):
            at = text(at)[1]
        return at

    keys, alignment = [], 32
    for _ in range(n_keys):
        begin = at
        name, at = text(at)
        kind, = struct.unpack_from("<I", data, at)
        value = at + 4
        at = skip(kind, value)
        if name == b"general.alignment":
            alignment, = struct.unpack_from("<I", data, value)
        if name.endswith(b".block_count"):
            keys.append(data[begin:value] + struct.pack("<I", layers))
        else:
            keys.append(data[begin:at])
    tensors = []
    for _ in range(n_tensors):
        name, at = text(at)
        n, = struct.unpack_from("<I", data, at)
        shape = data[at:at + 4 + 8 * n + 4]
        at += len(shape)
        offset, = struct.unpack_from("<Q", data, at)
        at += 8
        tensors.append((offset, name, shape))
    start = (at + alignment - 1) // alignment * alignment
    tensors.sort()
    ends = [t[0] for t in tensors[1:]] + [len(data) - start]
    kept = [(t, data[start + t[0]:start + end]) for t, end in zip(tensors, ends)
            if not t[1].startswith(b"blk.") or int(t[1].split(b".")[1]) < layers]
    head, body = b"", b""
    for (_, name, shape), content in kept:
        head += struct.pack("<Q", len(name)) + name + shape + struct.pack("<Q", len(body))
        body += content + b"\0" * (-len(content) % alignment)
    whole = data[:4] + struct.pack("<IQQ", version, len(kept), n_keys) + b"".join(keys) + head
    out.write_bytes(whole + b"\0" * (-len(whole) % alignment) + body)


class Asker:
    """A key of a team, on one kept-open connection."""

    def __init__(self, house, name, team):
        self.key = house.key(team, name)
        self.connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=120)

    def ask(self, text):
        """Milliseconds, and how many tokens the server says were there."""
        body = json.dumps({"model": "light", "max_tokens": 1, "messages": [{"role": "user", "content": text}]})
        start = time.perf_counter()
        answer = common.call(self.connection, "POST", "/v1/chat/completions", body,
                             headers={"Authorization": "Bearer " + self.key})
        ms = (time.perf_counter() - start) * 1000
        return ms, answer["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)


def prompt(rng):
    return "%d " % rng.randrange(10**6) + " ".join(rng.choice(WORDS) for _ in range(20))


def ks(a, b):
    """Two-sample Kolmogorov-Smirnov: the largest distance and its asymptotic p-value (Numerical Recipes 14.3)."""
    points = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    i = j = 0
    d = 0.0
    for n, (x, which) in enumerate(points):
        i, j = i + (which == 0), j + (which == 1)
        if n + 1 == len(points) or points[n + 1][0] != x:
            d = max(d, abs(i / len(a) - j / len(b)))
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    l = (root + 0.12 + 0.11 / root) * d
    if l < 0.2:
        return d, 1.0
    p = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * l * l) for k in range(1, 101))
    return d, min(1.0, max(p, 0.0))


def run(owner, third, asker, samples, rng):
    times, cached = {True: [], False: []}, {True: [], False: []}
    order = [True] * samples + [False] * samples
    rng.shuffle(order)
    for hit in order:
        text, other = prompt(rng), prompt(rng)  # both made before: what differs is only which is sent
        owner.ask(text)
        third.ask(prompt(rng))
        ms, there = asker.ask(text if hit else other)
        times[hit].append(ms)
        cached[hit].append(there)
    d, p = ks(times[True], times[False])
    cached["ms"] = "%.3f %.3f" % (statistics.median(times[True]), statistics.median(times[False]))
    return d, p, cached


def spread(cached):
    return "hits %d..%d misses %d..%d  median ms %s" % (min(cached[True]), max(cached[True]), min(cached[False]), max(cached[False]), cached["ms"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=250)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--model", type=Path, default=common.LIGHT)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    common.need(args.model, common.BUILD / "bin/inhoused")
    rng = random.Random(args.seed)
    with common.House() as house:
        model = args.model
        if args.layers > 0:
            model = house.home / "cut.gguf"
            cut_model(args.model, model, args.layers)
        house.command("models", "add", model, "--role", "light")
        house.start()
        ours = Asker(house, "owner", "team-a")
        other = Asker(house, "other", "team-b")
        third = Asker(house, "third", "team-c")
        for _ in range(20):  # threads and speeds settle
            for one in (ours, third, other):
                one.ask(prompt(rng))
        seen, leaks = 0, 0
        for n in range(args.runs):
            d, p, cached = run(ours, third, other, args.samples, rng)
            seen += p <= 0.01
            leaks += sum(c > min(cached[False]) + LEAK for c in cached[True])
            print("run %2d cross-team  D %.3f p %.4f  cached %s" % (n + 1, d, p, spread(cached)), flush=True)
        mate = Asker(house, "mate", "team-a")
        d, p, cached = run(ours, third, mate, args.samples, rng)
        print("control same team   D %.3f p %.3g  cached %s" % (d, p, spread(cached)))
    print("seed %d, %d runs of %d hits and %d misses; hits that used another team's tokens: %d" %
          (args.seed, args.runs, args.samples, args.samples, leaks))
    ok = common.row("isolation", "%d" % seen, "%d" % args.runs, seen / args.runs, "0.10",
                    seen <= 0.1 * args.runs and leaks == 0)
    power = -math.log10(max(p, 1e-300))
    ok = common.row("isolation_control", "%.1f" % power, "8", power / 8, "1.0", p < 1e-8) and ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
